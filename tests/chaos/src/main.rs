//! The program behind `cargo xtask chaos`, which builds what is needed and says where it is.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use chaos::{CaseReport, Options, run};
use clap::{Parser, ValueEnum};

/// The whole system under load, one fault after the other, and what must hold after each.
#[derive(Parser)]
#[command(name = "cargo xtask chaos")]
struct Arguments {
    /// Decides the order of faults and what the clients want
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No case begins later than this
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// At most so many cases
    #[arg(long, default_value_t = 60)]
    cases: usize,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Where the figures go, as JSON
    #[arg(long, default_value = "target/chaos")]
    directory: PathBuf,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Output {
    /// Columns for people
    #[default]
    Table,
    /// For programs
    Json,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { seed, minutes, cases, output, directory } = Arguments::parse();
    let filter = std::env::var_os("TRAPPING_FILTER_WASM").context("TRAPPING_FILTER_WASM is not set")?;
    let time = Duration::from_mins(minutes);
    eprintln!("seed {seed}: at most {cases} cases within {minutes} minutes");
    let report = run(Options { seed, cases, time, filter: filter.into() }, tell).await?;
    let path = report.write(&directory)?;
    match output {
        Output::Table => println!("{}", report.table()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    eprintln!("figures in {}", path.display());
    Ok(if report.broken().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(number: usize, case: &CaseReport) {
    let CaseReport { part, fault, requests, recovery, settled, .. } = case;
    let errors: u64 = case.errors.values().sum();
    eprintln!(
        "{number}: {part} {fault}: {requests} requests, {errors} errors; recovered after {recovery:.1} s, settled after {settled:.1} s"
    );
    for what in &case.broken {
        eprintln!("   BROKEN: {what}");
    }
}
