//! `cargo xtask bench growth` with sizes that take no time: it runs, and every row is there. What it measures is no test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

const SIZES: [u32; 2] = [1_000, 2_000];
/// Calls, and memory at the end; where most are gone also the feed, reconciling, two exports and the memory of one.
const ROWS: [(&str, usize); 2] = [("1,000 of the runners live", 12), ("all runners live", 7)];

#[test]
fn each_call_is_measured_at_each_size() -> anyhow::Result<()> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-growth"));
    bench.args(["--rounds", "3", "--repeats", "1", "--sizes", &SIZES.map(|size| size.to_string()).join(",")]);
    let output = bench.arg("--output").arg(&directory).output()?;
    let (table, log) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{log}");
    let report: Value = serde_json::from_slice(&std::fs::read(directory.join("growth.json"))?)?;
    let figures = report["figures"].as_array().context("no figures")?;
    for (shape, rows) in ROWS {
        let figures: Vec<_> = figures.iter().filter(|figure| figure["shape"] == shape).collect();
        ensure!(figures.len() == rows, "{shape}: {figures:?}");
        ensure!(table.contains(&format!("| {shape} | 1000 | 2000 |")), "{table}");
    }
    for figure in figures {
        let name = figure["name"].as_str().context("no name")?;
        ensure!(table.contains(&format!("| {name} | ")), "{name} is missing: {table}");
        let medians = figure["medians"].as_array().context("no medians")?;
        ensure!(medians.len() == SIZES.len() && medians.iter().all(|each| each.as_f64() > Some(0.0)), "{figure}");
    }
    Ok(())
}
