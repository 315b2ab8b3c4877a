//! promtool, which checks metrics, and alerts against made-up ones. It comes with Prometheus.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{chosen, fetch, may_use_system};
use crate::command::on_path;
use crate::debian;
use crate::workspace::Workspace;

const PROGRAM: &str = "promtool";
const INSTEAD: &str = "promtool could not be fetched; install Prometheus and set PROMTOOL_BIN to its promtool";

/// The path of the program.
pub(crate) fn promtool(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(chosen) = chosen("PROMTOOL_BIN", Path::is_file, "a program")? {
        return Ok(chosen);
    }
    if let Some(directory) = may_use_system().then(|| on_path(&[PROGRAM])).flatten() {
        return Ok(directory.join(PROGRAM));
    }
    // Unpacked, not installed: the package would start a server.
    let fetched = fetch::directory(workspace, "prometheus", |place| debian::unpack("prometheus", place));
    Ok(fetched.context(INSTEAD)?.join("usr/bin").join(PROGRAM))
}
