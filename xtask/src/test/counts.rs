//! A guard against slowness that no clock is needed for: valgrind counts the instructions that one request costs, and
//! the count must not grow by more than a tenth.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, output, program, run};
use crate::debian;
use crate::progress::{say, step};
use crate::workspace::Workspace;

/// What each case cost when it was last looked at, in instructions of a native build.
const BOUNDS: &str = "crates/authn/examples/count/bounds.json";
/// The difference of so many and so many requests is that of the requests alone.
const FEW: u64 = 100;
const MANY: u64 = 300;

/// Counts each case and compares it with what it cost before.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    debian::install(&["valgrind"], "counting instructions needs valgrind; install it from https://valgrind.org")?;
    let mut build = cargo(workspace);
    build.args(["build", "--release", "--package", "authn", "--example", "count"]);
    step("cargo build of the program to count", || run(&mut build))?;
    let counted = workspace.target.join("release/examples/count");
    let path = workspace.root.join(BOUNDS);
    let bounds: BTreeMap<String, u64> = serde_json::from_str(&fs::read_to_string(&path)?).context(BOUNDS)?;
    let mut grown = Vec::new();
    for (case, bound) in &bounds {
        let most = bound.saturating_add(bound / 10);
        let now = instructions(&counted, case, MANY)?.saturating_sub(instructions(&counted, case, FEW)?)
            / MANY.saturating_sub(FEW);
        say(&format!("  {case:<12} {now:>8} instructions a request, {bound} before, {most} at most"));
        if now > most {
            grown.push(case.as_str());
        }
        if now < bound.saturating_sub(bound / 10) {
            say(&format!("  {case} got cheaper: write {now} into {BOUNDS}, so that it stays so"));
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    bail!("{} cost more than before; find out why, or write the new count into {BOUNDS} and say why", grown.join(", "))
}

/// The instructions of a whole run, start-up and all.
fn instructions(counted: &Path, case: &str, times: u64) -> Result<u64> {
    let mut valgrind = program("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1"]);
    let said = output(valgrind.arg(counted).args([case, &times.to_string()]));
    let said = said.with_context(|| format!("valgrind could not run {} {case}", counted.display()))?;
    let count = said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim());
    count.and_then(|count| count.parse().ok()).with_context(|| format!("no count in what valgrind said:\n{said}"))
}
