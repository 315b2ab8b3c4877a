//! The project's own commands: `cargo xtask demo|test|filter`.
//!
//! What they need and the machine lacks, they fetch through package registries, or say in one line how to install it.
//! Progress goes to standard error; standard output holds results only.

mod command;
mod filter;
mod progress;
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
    }
    Ok(ExitCode::SUCCESS)
}
