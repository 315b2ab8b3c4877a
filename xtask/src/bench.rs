//! `cargo xtask bench`: what things cost, measured in one run.

use std::ffi::OsString;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::{cargo, program};
use crate::progress::step;
use crate::tools::Tools;
use crate::workspace::Workspace;
use crate::{command, filter, programs};

/// The program behind `bench filter`.
const FILTER: &str = "bench-filter";
/// The program behind `bench audit`.
const AUDIT: &str = "bench-audit";

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The filter beside Envoy's jwt_authn: processor time a request, memory, size, time to start.
    Filter(Options),
    /// The audit log with a million entries: sealed, exported in each format, verified; time and memory.
    Audit(Options),
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
    let tools = Tools::get(workspace)?;
    filter::build(workspace, &filter::FILTER)?;
    match bench {
        Bench::Filter(options) => {
            let empty = filter::build(workspace, &filter::EMPTY)?;
            measure(workspace, &tools, FILTER, options, ("EMPTY_WASM", empty.into()))
        }
        Bench::Audit(options) => {
            programs::build(workspace, programs::PRIVATE_POSTGRES)?;
            let control_plane = programs::build_as_shipped(workspace)?;
            measure(workspace, &tools, AUDIT, options, ("RUNNER_TOKENS_BIN", control_plane.into()))
        }
    }
}

fn measure(
    workspace: &Workspace,
    tools: &Tools,
    name: &str,
    options: &Options,
    (variable, value): (&str, OsString),
) -> Result<()> {
    let mut build = cargo(workspace);
    build.args(["build", "--package", "bench", "--bin", name]);
    step(&format!("cargo build of {name}"), || command::run(&mut build))?;
    let mut bench = program(programs::path(workspace, name));
    bench.current_dir(&workspace.root).args(&options.arguments);
    bench.envs(programs::environment(workspace, tools)).env(variable, value);
    command::run_shown(&mut bench)
}
