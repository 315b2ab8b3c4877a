//! What people see while they wait.

use std::io::{Write as _, stderr, stdout};
use std::time::Instant;

use anyhow::Result;

/// Writes one line for people. A closed terminal is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Writes one line for programs.
pub(crate) fn result(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// Does a long piece of work between a line that announces it and one that says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("▸ {what}"));
    let started = Instant::now();
    let outcome = work();
    let mark = if outcome.is_ok() { "✓" } else { "✗" };
    say(&format!("{mark} {what} ({:.1} s)", started.elapsed().as_secs_f64()));
    outcome
}
