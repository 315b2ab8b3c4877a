//! Packages of npm, locked, for a folder of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::fetch;
use super::node::Node;
use crate::command::run;
use crate::progress::say;
use crate::workspace::Workspace;

const LOCK: &str = "package-lock.json";

/// Installs the packages of `tests/NAME` where they are not those of its lock file, and puts its scripts beside them.
/// Gives where.
pub(super) fn packages(workspace: &Workspace, node: &Node, name: &str) -> Result<PathBuf> {
    let source = workspace.root.join("tests").join(name);
    let place = workspace.tool(name);
    if fs::read(place.join(LOCK)).ok() != Some(fs::read(source.join(LOCK))?) && place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let place = fetch::directory(workspace, name, |place| install(node, &source, place))?;
    for script in fs::read_dir(&source)?.flatten().map(|entry| entry.path()).filter(|path| is_script(path)) {
        fs::copy(&script, place.join(script.file_name().unwrap_or_default()))?;
    }
    say(&format!("  {name}: {}", workspace.shown(&place)));
    Ok(place)
}

fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "mjs")
}

fn install(node: &Node, source: &Path, place: &Path) -> Result<()> {
    for file in ["package.json", LOCK] {
        fs::copy(source.join(file), place.join(file))?;
    }
    let mut npm = node.npm();
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(place)
        .stdin(Stdio::null());
    run(&mut npm).with_context(|| format!("npm could not fetch the packages of {}", source.display()))
}
