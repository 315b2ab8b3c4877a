//! What calls cost as the records grow: from a thousand runners and entries to a million.
//!
//! Run by `cargo xtask bench growth`, which builds the control plane as it is shipped and says where the programs are.

mod calls;
mod export;
mod figures;
mod measure;
mod report;
mod side;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::measure::Limits;
use crate::report::Report;
use crate::side::{Shape, Side};

/// What calls cost as the records grow.
#[derive(Parser)]
struct Arguments {
    /// Runners, and entries of the audit log; the others are compared with the first
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000],
        value_parser = clap::value_parser!(u32).range(1_000..))]
    sizes: Vec<u32>,
    /// Interleaved rounds of each call
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    /// So often each call is made in a round, less often if it takes long
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Seconds after which no more rounds of a call begin, if there were three
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Decides which runners are asked for
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the figures go, as JSON
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Arguments { rounds, repeats, seconds, .. } = arguments;
    let limits = Limits { rounds, repeats, time: Duration::from_secs(seconds) };
    let policy = side::policy_file()?;
    let mut figures = Vec::new();
    for shape in [Shape::Gone, Shape::Live] {
        let mut sides = Vec::new();
        for size in &arguments.sizes {
            eprintln!("a service with {size} runners and entries, {}", shape.described());
            sides.push(Side::start(shape, *size, arguments.seed, policy.path()).await?);
        }
        figures.extend(measure::all(&mut sides, shape, limits).await?);
    }
    Report { sizes: arguments.sizes, seed: arguments.seed, figures }.publish(&arguments.output)
}
