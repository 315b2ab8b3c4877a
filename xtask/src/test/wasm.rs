//! The unit tests of the pure crates, compiled to wasm and run by Node.js: what runs in Envoy is wasm too.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::tally::Tally;
use crate::command::{cargo, exists, output, program, run};
use crate::progress::step;
use crate::tools;
use crate::workspace::Workspace;

const TARGET: &str = "wasm32-unknown-unknown";

/// Compiles and runs them.
pub(super) fn tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    if !rustup_has_target() {
        bail!("the toolchain has no {TARGET} target; install it with: rustup target add {TARGET}");
    }
    let (runner, path) = tools::wasm_bindgen_test_runner(workspace)?;
    let failed = tally.failed();
    let mut test = for_wasm(workspace);
    test.args(["test", "--package", "authn", "--package", "identity", "--lib", "--no-fail-fast", "--target", TARGET])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner)
        .env("PATH", path);
    let succeeded = step("cargo test of the pure crates in wasm", || tally.count(&mut test))?;
    match tally.failed().saturating_sub(failed) {
        0 if succeeded => Ok(()),
        0 => bail!("the tests did not compile, or their runner failed"),
        failed => bail!("{failed} tests failed in wasm"),
    }
}

fn for_wasm(workspace: &Workspace) -> Command {
    let mut command = cargo(workspace);
    // Flags for the host, such as another linker, are not for wasm.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("CARGO_TARGET_DIR", workspace.target.join("wasm"));
    command
}

fn rustup_has_target() -> bool {
    has_target()
        || exists("rustup")
            && step(&format!("rustup target add {TARGET}"), || run(program("rustup").args(["target", "add", TARGET])))
                .is_ok()
            && has_target()
}

fn has_target() -> bool {
    output(program("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_some_and(|directory| Path::new(&directory).is_dir())
}
