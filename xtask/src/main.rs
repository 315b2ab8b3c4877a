//! The project's own commands: `cargo xtask demo|test|filter`.
//!
//! What they need and the machine lacks, they fetch through package registries, or say in one line how to install it.
//! Progress goes to standard error; standard output holds results only.

mod command;
mod debian;
mod filter;
mod progress;
mod tools;
mod workspace;

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
            filter::build(&workspace)?;
            progress::result(filter::MODULE);
        }
        Task::Tools => {
            let found = tools::Tools::get(&workspace)?.environment();
            for (variable, value) in found.into_iter().chain(tools::oidc_provider(&workspace)?) {
                progress::result(&format!("{variable}={}", value.to_string_lossy()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
