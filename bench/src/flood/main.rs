//! A flood of bad tokens from one client, and what a good client feels of it.
//!
//! Run by `cargo xtask bench flood`, which builds the control plane as it is shipped and says where the programs are.

mod attack;
mod good;
mod kinds;
mod measure;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::measure::Scene;
use crate::report::Report;

/// A flood of bad tokens from one client, and what a good client feels of it.
#[derive(Parser)]
struct Arguments {
    /// Bad tokens a second, no two of them the same
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
    rate: u32,
    /// Interleaved rounds: without a flood, then with each kind
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    /// Milliseconds of each part of a round
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(200..))]
    milliseconds: u64,
    /// Where the figures go, as JSON
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { rate, rounds, milliseconds, output } = Arguments::parse();
    let mut scene = Scene::start().await?;
    let figures = measure::all(&mut scene, rate, rounds, Duration::from_millis(milliseconds)).await?;
    Report { rate, figures }.publish(&output)
}
