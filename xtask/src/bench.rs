//! `cargo xtask bench`: ratios to a peer, measured in one run.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::{cargo, program};
use crate::progress::step;
use crate::tools::Tools;
use crate::workspace::Workspace;
use crate::{command, filter, programs};

/// The program behind `bench filter`.
const FILTER: &str = "bench-filter";

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The filter beside Envoy's jwt_authn: processor time a request, memory, size, time to start.
    Filter(Options),
}

/// How.
#[derive(Args)]
pub(crate) struct Options {
    /// Arguments for the benchmark, such as `--rounds 5` or `--only cached`; `--help` lists them.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds what is needed and measures.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<()> {
    let Bench::Filter(options) = bench;
    let tools = Tools::get(workspace)?;
    filter::build(workspace, &filter::FILTER)?;
    let empty = filter::build(workspace, &filter::EMPTY)?;
    let mut build = cargo(workspace);
    build.args(["build", "--package", "bench", "--bin", FILTER]);
    step(&format!("cargo build of {FILTER}"), || command::run(&mut build))?;
    let mut bench = program(programs::path(workspace, FILTER));
    bench.current_dir(&workspace.root).args(&options.arguments);
    bench.envs(programs::environment(workspace, &tools)).env("EMPTY_WASM", empty);
    command::run_shown(&mut bench)
}
