//! The control plane behind Envoy, beside the least that does the same in Python: processor time, throughput, latency.
//!
//! Run by `cargo xtask bench control-plane`, which builds the control plane as it is shipped and says where the programs
//! and Python's packages are.

mod calls;
mod measure;
mod peer;
mod report;
mod scene;

use std::path::PathBuf;

use clap::Parser;

use crate::measure::Bench;
use crate::report::Report;
use crate::scene::Scene;

/// The control plane behind Envoy, beside the least that does the same in Python.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// Interleaved rounds of each call
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    /// Requests to Python in a round; the control plane gets ten times as many, to be busy for as long
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    requests: u32,
    /// Runners in the records, of which 1,000 are live
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    runners: u32,
    /// Where the figures go, as JSON
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    /// The directory of the service in Python
    #[arg(long, default_value = "bench/python")]
    python_service: PathBuf,
    /// Python's packages
    #[arg(long, env = "PYTHON_PACKAGES")]
    python_packages: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut scene = Scene::start(&arguments).await?;
    let bench = Bench::new(&mut scene, &arguments)?;
    let (figures, parts) = (bench.both().await?, bench.parts().await?);
    Report { runners: arguments.runners, figures, parts }.publish(&arguments.output)
}
