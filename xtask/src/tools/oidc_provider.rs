//! The certified issuer: `tests/oidc-provider` with its locked packages.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::fetch;
use super::node::Node;
use crate::command::run;
use crate::progress::say;
use crate::workspace::Workspace;

const LOCK: &str = "package-lock.json";

/// Installs its packages where they are not those of the lock file, and gives the environment variables through which
/// tests find it.
pub(crate) fn oidc_provider(workspace: &Workspace) -> Result<[(&'static str, OsString); 2]> {
    let source = workspace.root.join("tests/oidc-provider");
    let node = Node::get(workspace)?;
    let place = workspace.tool("oidc-provider");
    if fs::read(place.join(LOCK)).ok() != Some(fs::read(source.join(LOCK))?) && place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let place = fetch::directory(workspace, "oidc-provider", |place| install(&node, &source, place))?;
    fs::copy(source.join("server.mjs"), place.join("server.mjs"))?;
    say(&format!("  oidc-provider: {}", workspace.shown(&place)));
    Ok([("OIDC_PROVIDER_DIR", place.into()), ("NODE_BIN", node.node.into())])
}

fn install(node: &Node, source: &Path, place: &Path) -> Result<()> {
    for file in ["package.json", LOCK] {
        fs::copy(source.join(file), place.join(file))?;
    }
    let mut npm = node.npm();
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(place)
        .stdin(Stdio::null());
    run(&mut npm).context("npm could not fetch the packages of the certified issuer")
}
