//! `cargo xtask bench`: what things cost, measured in one run.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::{self, cargo, program};
use crate::progress::step;
use crate::tools::{Tools, python_service};
use crate::workspace::Workspace;
use crate::{filter, programs};

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The filter beside Envoy's jwt_authn: processor time a request, memory, size, time to start.
    Filter(Options),
    /// The audit log with a million entries: sealed, exported in each format, verified; time and memory.
    Audit(Options),
    /// What calls cost with a thousand to a million runners and entries in the records; time and memory.
    Growth(Options),
    /// The control plane behind Envoy beside the least that does the same in Python: processor time, throughput, latency.
    ControlPlane(Options),
    /// A flood of bad tokens, and what a good client feels of it; tokens refused a second, latency.
    Flood(Options),
}

/// How.
#[derive(Args)]
pub(crate) struct Options {
    /// Arguments for the benchmark, such as `--rounds 5` or `--only cached`; `--help` lists them.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// How a benchmark is built.
#[derive(Clone, Copy)]
enum Build {
    /// It waits for what it measures.
    Plain,
    /// Its own time is a part of what it measures.
    Optimised,
}

/// Builds what is needed and measures.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<()> {
    let tools = Tools::get(workspace)?;
    filter::build(workspace, &filter::FILTER)?;
    let (name, options, build, variables) = match bench {
        Bench::Filter(options) => {
            let empty = filter::build(workspace, &filter::EMPTY)?;
            ("bench-filter", options, Build::Plain, vec![("EMPTY_WASM", empty.into())])
        }
        Bench::Audit(options) => ("bench-audit", options, Build::Plain, vec![as_shipped(workspace)?]),
        Bench::Growth(options) => ("bench-growth", options, Build::Optimised, vec![as_shipped(workspace)?]),
        Bench::ControlPlane(options) => {
            let (packages, place) = python_service(workspace)?;
            let variables = vec![as_shipped(workspace)?, (packages, place.into())];
            ("bench-control-plane", options, Build::Optimised, variables)
        }
        Bench::Flood(options) => ("bench-flood", options, Build::Optimised, vec![as_shipped(workspace)?]),
    };
    let mut bench = program(build_benchmark(workspace, name, build)?);
    bench.current_dir(&workspace.root).args(&options.arguments);
    bench.envs(programs::environment(workspace, &tools)).envs(variables);
    command::run_shown(&mut bench)
}

/// The control plane as it is shipped, and how a benchmark is told of it.
fn as_shipped(workspace: &Workspace) -> Result<(&'static str, OsString)> {
    programs::build(workspace, programs::PRIVATE_POSTGRES)?;
    Ok(("RUNNER_TOKENS_BIN", programs::build_as_shipped(workspace)?.into()))
}

fn build_benchmark(workspace: &Workspace, name: &str, build: Build) -> Result<PathBuf> {
    let mut cargo = cargo(workspace);
    cargo.args(["build", "--package", "bench", "--bin", name]);
    let path = match build {
        Build::Plain => programs::path(workspace, name),
        Build::Optimised => {
            cargo.arg("--release");
            workspace.target.join("release").join(name)
        }
    };
    step(&format!("cargo build of {name}"), || command::run(&mut cargo))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_has_a_command() {
        let manifest = include_str!("../../bench/Cargo.toml");
        let programs = manifest.lines().filter_map(|line| line.strip_prefix("name = \"bench-")?.strip_suffix('"'));
        let missing: Vec<&str> = programs.clone().filter(|name| !Bench::has_subcommand(name)).collect();
        assert_eq!(missing, [""; 0]);
        assert!(programs.count() >= 5);
    }
}
