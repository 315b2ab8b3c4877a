//! `cargo xtask bench flood` with few tokens: each bad one is refused, each good one passes, and every row is there. What
//! it measures is no test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

const KINDS: [&str; 3] = ["garbage", "bad-signature", "unknown-key"];

#[test]
fn each_flood_is_refused_and_the_good_client_served() -> anyhow::Result<()> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-flood"));
    bench.args(["--rate", "200", "--rounds", "3", "--milliseconds", "300"]);
    let output = bench.arg("--output").arg(&directory).output()?;
    let (table, log) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{log}");
    let report: Value = serde_json::from_slice(&std::fs::read(directory.join("flood.json"))?)?;
    let figures = report["figures"].as_array().context("no figures")?;
    let kinds: Vec<_> = figures.iter().filter_map(|figure| figure["kind"].as_str()).collect();
    assert_eq!(kinds, KINDS);
    for figure in figures {
        ensure!(figure["reached"].as_f64() > Some(0.0) && figure["p50_ms"][1].as_f64() > Some(0.0), "{figure}");
        // One a cool-down of five seconds at most, and one that was due.
        let most = figure["seconds"].as_f64().context("no time")? / 5.0 + 2.0;
        ensure!(figure["key_fetches"].as_f64() <= Some(most), "{figure}");
    }
    ensure!(table.lines().count() == 2 + KINDS.len(), "{table}");
    Ok(())
}
