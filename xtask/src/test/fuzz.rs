//! A short run of each fuzz target, where there is a nightly compiler. `cargo test` runs the same targets everywhere.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::command::{output, program};
use crate::progress::{say, step};
use crate::tools;
use crate::workspace::Workspace;

const TARGETS: [&str; 4] = ["token", "key_set", "configuration", "admission"];
/// For each target.
const SECONDS: u32 = 5;

/// Runs each target for a few seconds, starting from the seeds and from what earlier runs found.
pub(super) fn fuzz(workspace: &Workspace) -> Result<()> {
    if output(program("rustup").args(["run", "nightly", "cargo", "--version"])).is_none() {
        say("not fuzzed: there is no nightly compiler (rustup toolchain install nightly).");
        say("crates/authn/tests/fuzzing.rs runs the same targets over the seeds and repeatable mutations of them.");
        return Ok(());
    }
    let cargo_fuzz = tools::cargo_fuzz(workspace)?;
    let place = workspace.target.join("fuzz");
    for target in TARGETS {
        let found = place.join("corpus").join(target);
        fs::create_dir_all(&found)?;
        let mut fuzz = program("rustup");
        for variable in ["CARGO", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC", "RUSTDOC", "RUSTFLAGS"] {
            fuzz.env_remove(variable);
        }
        fuzz.current_dir(workspace.root.join("crates/authn/fuzz"))
            .args(["run", "nightly"])
            .arg(&cargo_fuzz)
            // Safe Rust: panics are what can be found, and they need no sanitizer.
            .args(["run", "--fuzz-dir", ".", "--sanitizer", "none", "--target-dir"])
            .arg(&place)
            .arg(target)
            .arg(&found)
            .arg(format!("corpus/{target}"))
            .args(["--", "-verbosity=0", "-print_final_stats=1", &format!("-max_total_time={SECONDS}")])
            .arg(format!("-artifact_prefix={}/{target}-", place.display()));
        step(&format!("fuzzing {target} for {SECONDS} s, after a build"), || finish(&mut fuzz))?;
    }
    Ok(())
}

/// The fuzzer talks a lot: shown is how many inputs it tried, or everything when it found something.
fn finish(fuzz: &mut Command) -> Result<()> {
    let outcome = fuzz.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&outcome.stderr);
    if !outcome.status.success() {
        bail!("{said}\nthe input that did it is under target/fuzz; add it to the target's corpus once it is mended");
    }
    let tried = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    say(&format!("  {} inputs", tried.unwrap_or("no").trim()));
    Ok(())
}
