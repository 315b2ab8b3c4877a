//! Chromium, and what drives it: `tests/page` with its locked packages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::node::Node;
use super::packages::packages;
use super::{chosen, may_use_system};
use crate::command::on_path;
use crate::debian;
use crate::progress::say;
use crate::workspace::Workspace;

const PROGRAM: &str = "chromium";
const INSTEAD: &str = "the page is tested in Chromium; install it, or set CHROMIUM_BIN to a Chromium or Chrome";

/// Installs both, and gives the environment variables through which tests find them.
pub(crate) fn browser(workspace: &Workspace) -> Result<[(&'static str, OsString); 2]> {
    let chromium = chromium()?;
    say(&format!("  chromium: {}", workspace.shown(&chromium)));
    let place = packages(workspace, &Node::get(workspace)?, "page")?;
    Ok([("CHROMIUM_BIN", chromium.into()), ("PAGE_TESTS_DIR", place.into())])
}

fn chromium() -> Result<PathBuf> {
    if let Some(chosen) = chosen("CHROMIUM_BIN", Path::is_file, "a program")? {
        return Ok(chosen);
    }
    for name in [PROGRAM, "google-chrome"] {
        if let Some(directory) = may_use_system().then(|| on_path(&[name])).flatten() {
            return Ok(directory.join(name));
        }
    }
    debian::install(&[PROGRAM], INSTEAD)?;
    Ok(on_path(&[PROGRAM]).context(INSTEAD)?.join(PROGRAM))
}
