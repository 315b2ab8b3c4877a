//! Debian's packages: installed when this is allowed, otherwise asked for in one line.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::command::{exists, output, program, run};
use crate::progress::step;

/// Makes sure that these packages are installed. `instead` says what to do where Debian's packages are not the way.
pub(crate) fn install(packages: &[&str], instead: &str) -> Result<()> {
    let missing: Vec<_> = packages.iter().filter(|package| !is_installed(package)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !exists("apt-get") {
        bail!("{instead}");
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("{instead}; or: sudo apt-get update && sudo apt-get install --yes {list}");
    }
    step(&format!("apt-get install {list}"), || {
        run(apt_get().arg("update"))?;
        run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(&missing))
    })
    .with_context(|| instead.to_owned())
}

/// Fetches a package and unpacks it into a directory, without installing it: for programs that need nothing but libc.
pub(crate) fn unpack(package: &str, place: &Path) -> Result<()> {
    if !exists("apt-get") {
        bail!("this is no Debian");
    }
    if rustix::process::geteuid().is_root() {
        run(apt_get().arg("update"))?;
    }
    run(apt_get().args(["download", package]).current_dir(place))?;
    let archive = fs::read_dir(place)?.flatten().map(|entry| entry.path()).find(|path| is_archive(path));
    let archive = archive.context("apt-get left no package")?;
    run(program("dpkg-deb").arg("--extract").arg(&archive).arg(place))?;
    Ok(fs::remove_file(archive)?)
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deb")
}

fn apt_get() -> std::process::Command {
    let mut command = program("apt-get");
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_installed(package: &str) -> bool {
    output(program("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]))
        .is_some_and(|status| status == "installed")
}
