//! Linters that Python's package index carries, pinned with all that they need in `xtask/linters.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::{fetch, wheel};
use crate::command::{program, run};
use crate::workspace::Workspace;

const PINS: &str = "linters.txt";

/// Where they are.
pub(crate) struct Linters(PathBuf);

impl Linters {
    /// Fetches them where they are not those that are pinned.
    pub(crate) fn get(workspace: &Workspace) -> Result<Self> {
        let pins = workspace.root.join("xtask").join(PINS);
        let place = workspace.tool("linters");
        if place.exists() && fs::read(place.join(PINS)).ok() != Some(fs::read(&pins)?) {
            fs::remove_dir_all(&place)?;
        }
        fetch::directory(workspace, "linters", |place| install(&pins, place)).map(Self)
    }

    /// One of them, ready to be given arguments.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = program(self.0.join("bin").join(name));
        command.env("PYTHONPATH", &self.0).stdin(Stdio::null());
        command
    }
}

fn install(pins: &Path, place: &Path) -> Result<()> {
    wheel::need_pip()?;
    fs::copy(pins, place.join(PINS))?;
    let mut pip = program("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--no-compile",
        "--target",
    ])
    .arg(place)
    .arg("--requirement")
    .arg(pins)
    .envs([("PIP_DISABLE_PIP_VERSION_CHECK", "1"), ("PIP_ROOT_USER_ACTION", "ignore")])
    .stdin(Stdio::null());
    run(&mut pip).context("the linters of the packaging could not be fetched")
}
