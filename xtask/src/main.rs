//! The project's own commands: `cargo xtask demo|test|filter|bench|chaos`.
//!
//! What they need and the machine lacks, they fetch through package registries, or say in one line how to install it.
//! Progress goes to standard error; standard output holds results only.

mod bench;
mod chaos;
mod command;
mod debian;
mod demo;
mod exports;
mod filter;
mod programs;
mod progress;
mod test;
mod tools;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the filter and leave it at target/filter/oidc_filter.wasm; the last line printed is that path.
    Filter,
    /// Start the whole system on this machine, provision a runner through Envoy, and stay up until Ctrl-C.
    Demo {
        /// Exit after the round trip; status 0 only if it really worked.
        #[arg(long)]
        once: bool,
    },
    /// Run formatting, licences, lints, unit, integration and whole-system tests.
    Test(test::Selection),
    /// Measure against a peer in one run; prints tables and writes target/bench/*.json.
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// Put the whole system under load, let one part after the other fail, and check what must hold; writes
    /// target/chaos/*.json. Status 1 if something did not hold.
    #[command(disable_help_flag = true)]
    Chaos {
        /// Such as `--seed 7 --minutes 30 --cases 60`; `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Bring .sqlx (what a build without a database must know of each query) up to date.
    Queries,
    /// Find or fetch the programs of others (Envoy, Postgres, the certified issuer) and print where they are.
    Tools,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            progress::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match task {
        Task::Filter => {
            filter::build(&workspace, &filter::FILTER)?;
            progress::result(filter::FILTER.path);
        }
        Task::Demo { once } => demo::run(&workspace, *once)?,
        Task::Test(selection) => return Ok(test::run_all(&workspace, selection)),
        Task::Bench { what } => bench::run(&workspace, what)?,
        Task::Chaos { arguments } => chaos::run(&workspace, arguments)?,
        Task::Queries => test::update_queries(&workspace)?,
        Task::Tools => {
            let found = tools::Tools::get(&workspace)?.environment();
            let of_tests = tools::oidc_provider(&workspace)?.into_iter().chain(tools::browser(&workspace)?);
            for (variable, value) in found.into_iter().chain(of_tests) {
                progress::result(&format!("{variable}={}", value.to_string_lossy()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
