//! `cargo xtask bench control-plane` with few requests: both services give the right answers, and every row is there. What
//! it measures is no test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

const CALLS: [&str; 3] = ["get one runner", "list 20 runners", "provision one (just in time)"];
/// Of so few requests the kernel may tell no processor time at all.
const PROCESSOR_TIMES: [&str; 3] = ["service_us", "database_us", "edge_us"];
const TIMES: [&str; 3] = ["requests_a_second", "p50_ms", "p99_ms"];

#[test]
fn each_call_is_measured_on_both_sides() -> anyhow::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-control-plane"));
    bench.args(["--rounds", "3", "--requests", "10", "--runners", "1000"]);
    bench.arg("--python-service").arg(root.join("python")).arg("--output").arg(&directory);
    let output = bench.output()?;
    let (table, log) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{log}");
    let report: Value = serde_json::from_slice(&std::fs::read(directory.join("control-plane.json"))?)?;
    let figures = report["figures"].as_array().context("no figures")?;
    let names: Vec<_> = figures.iter().filter_map(|figure| figure["name"].as_str()).collect();
    assert_eq!(names, CALLS);
    for figure in figures {
        for side in ["ours", "peer"] {
            let cost = |name: &str| figure[side][name].as_f64();
            ensure!(PROCESSOR_TIMES.iter().all(|name| cost(name) >= Some(0.0)), "{side}: {figure}");
            ensure!(TIMES.iter().all(|name| cost(name) > Some(0.0)), "{side}: {figure}");
        }
    }
    for name in CALLS {
        for row in [format!("| {name} | "), format!("| {name}: ours"), format!("| {name}: Python")] {
            ensure!(table.contains(&row), "{row} is missing: {table}");
        }
    }
    let parts = report["parts"].as_array().context("no parts")?;
    ensure!(parts.len() == 2 && parts.iter().all(|part| part["ours"]["p50_ms"].as_f64() > Some(0.0)), "{parts:?}");
    Ok(())
}
