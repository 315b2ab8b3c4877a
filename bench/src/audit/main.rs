//! The audit log with a million entries: sealed, exported, verified. Time and peak memory of each.
//!
//! Run by `cargo xtask bench audit`, which builds the control plane as it is shipped and says where the programs are.

mod measure;
mod report;
mod seed;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::Parser;
use sqlx::{Connection as _, PgConnection};
use testkit::system::{System, SystemOptions, Tools};

use crate::measure::{Figure, run};
use crate::report::{Report, Sizes};

/// A file of so much less is exported and verified beside the whole one, to see that memory does not grow.
const FRACTION: u32 = 10;

/// The audit log with a million entries.
#[derive(Parser)]
struct Arguments {
    /// Entries in the log
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..))]
    entries: u32,
    /// Where the figures go, as JSON
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    /// The independent verifier
    #[arg(long, default_value = "docs/audit/verify.py")]
    verifier: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let control_plane = vec![("AUDIT_SEAL_SECONDS".to_owned(), "1".to_owned())];
    let options = SystemOptions { control_plane, own_postgres: true, ..SystemOptions::default() };
    let mut system = System::start(options).await?;
    eprintln!("having the service write some entries");
    seed::by_the_service(&system).await?;
    system.control_planes().first_mut().context("no control plane")?.process().stop();
    eprintln!("copying them until there are {}", arguments.entries);
    let mut connection = PgConnection::connect(system.database_url()).await?;
    seed::copies(&mut connection, arguments.entries).await?;
    eprintln!("sealing them");
    system.restart_control_plane(0).await?;
    let sealing = measure::sealing(&mut system, &mut connection).await?;
    let sizes = Sizes::of(&mut connection).await?;
    let commands =
        Commands { url: system.database_url(), directory: system.scope().directory(), arguments: &arguments };
    let mut figures = vec![sealing];
    figures.extend(tokio::task::block_in_place(|| commands.measure_all())?);
    Report { entries: arguments.entries, sizes, figures }.publish(&arguments.output)
}

/// The commands that are measured.
struct Commands<'a> {
    url: &'a str,
    directory: &'a Path,
    arguments: &'a Arguments,
}

impl Commands<'_> {
    fn measure_all(&self) -> anyhow::Result<Vec<Figure>> {
        let (all, few) = (self.arguments.entries, self.arguments.entries / FRACTION);
        let mut figures = Vec::new();
        for format in ["jsonl", "json", "csv"] {
            for (name, count) in [("few", few), ("all", all)] {
                let after = all.saturating_sub(count).to_string();
                let (mut command, file) = (self.runner_tokens()?, self.file(name, format));
                command.args(["export-audit-log", "--format", format, "--after", &after, "--output"]).arg(file);
                figures.push(run(&format!("export as {format}"), count, command.env("DATABASE_URL", self.url))?);
            }
        }
        let log = self.file("all", "jsonl");
        let beginning = self.file("beginning", "jsonl");
        seed::first_lines(&log, few, &beginning)?;
        let mut command = self.runner_tokens()?;
        command.arg("verify-audit-log");
        figures.push(run("verify the database", all, command.env("DATABASE_URL", self.url))?);
        for (file, count) in [(&beginning, few), (&log, all)] {
            let mut command = self.runner_tokens()?;
            figures.push(run("verify the jsonl file", count, command.arg("verify-audit-log").arg(file))?);
        }
        for (file, count) in [(&beginning, few), (&log, all)] {
            let mut command = Command::new("python3");
            figures.push(run("verify it in Python", count, command.arg(&self.arguments.verifier).arg(file))?);
        }
        Ok(figures)
    }

    fn runner_tokens(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(Tools::from_env()?.control_plane);
        command.env_clear().current_dir(self.directory);
        Ok(command)
    }

    fn file(&self, name: &str, format: &str) -> PathBuf {
        self.directory.join(format!("{name}.{format}"))
    }
}
