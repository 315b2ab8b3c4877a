//! The runner of wasm-bindgen's tests, which lets Node.js run them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::node::Node;
use super::{fetch, may_use_system};
use crate::command::{cargo, on_path, output, program, run};
use crate::workspace::Workspace;

/// Must be that of `wasm-bindgen` in Cargo.lock, to which `wasm-bindgen-test` is pinned.
const VERSION: &str = "0.2.130";
const RUNNER: &str = "wasm-bindgen-test-runner";

/// The path of the runner and a `PATH` on which it finds Node.js.
pub(crate) fn wasm_bindgen_test_runner(workspace: &Workspace) -> Result<(PathBuf, OsString)> {
    let path = path_with(&Node::get(workspace)?.node)?;
    let fits = |runner: &PathBuf| {
        output(program(runner).arg("--version")).is_some_and(|text| text.split(' ').any(|word| word == VERSION))
    };
    let installed = || on_path(&[RUNNER]).map(|directory| directory.join(RUNNER)).filter(fits);
    if let Some(runner) = may_use_system().then(installed).flatten() {
        return Ok((runner, path));
    }
    let fetched = fetch::directory(workspace, &format!("wasm-bindgen-cli-{VERSION}"), |place| {
        let mut install = cargo(workspace);
        install.args(["install", "wasm-bindgen-cli", "--version", VERSION, "--no-default-features", "--root"]);
        run(install.arg(place).env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
    });
    let fetched = fetched.with_context(|| format!("install it with: cargo install wasm-bindgen-cli@{VERSION}"))?;
    Ok((fetched.join("bin").join(RUNNER), path))
}

/// `PATH`, with the directory of this Node.js in front unless it is the one that is found anyway: what else is in that
/// directory must not come before the toolchain.
fn path_with(node: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directory = node.parent().context("Node.js lies in a directory")?;
    if on_path(&["node"]).as_deref() == Some(directory) {
        return Ok(path);
    }
    Ok(std::env::join_paths([directory.to_owned()].into_iter().chain(std::env::split_paths(&path)))?)
}
