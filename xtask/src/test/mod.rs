//! `cargo xtask test`: formatting, dependencies, lints, offline queries, and every test there is.

mod counts;
mod fuzz;
mod packaging;
mod postgres;
mod queries;
mod tally;
mod wasm;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use self::postgres::PrivatePostgres;
pub(crate) use self::queries::update as update_queries;
use self::tally::Tally;
use crate::command::{cargo, program, run};
use crate::progress::{result, say, step};
use crate::tools::{self, Tools};
use crate::workspace::Workspace;
use crate::{chaos, filter, programs};

/// What is run.
#[derive(Args)]
pub(crate) struct Selection {
    /// Run this part alone; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Arguments for `cargo test` instead of `--workspace`, such as `-p control-plane` or a test's name.
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Selection {
    fn includes(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// A part of the checks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// cargo fmt
    Format,
    /// Licences, bans and sources of dependencies
    Dependencies,
    /// clippy, for the host and for wasm
    Lints,
    /// Images, compose, Kubernetes, workflows and scripts
    Packaging,
    /// Whether .sqlx is what the queries in the code need
    Queries,
    /// Unit, integration and whole-system tests
    Tests,
    /// The pure crates' unit tests in wasm, run by Node.js
    Wasm,
    /// A short run of each fuzz target
    Fuzz,
    /// The instructions that a request costs the filter's own part, by valgrind
    Counts,
}

/// How a part went.
struct Report {
    name: String,
    took: Duration,
    outcome: Result<()>,
}

/// Runs the parts one after the other, all of them even if one fails, and sums up.
pub(crate) fn run_all(workspace: &Workspace, selection: &Selection) -> ExitCode {
    let mut tally = Tally::default();
    let parts = Part::value_variants().iter().filter(|part| selection.includes(**part));
    let reports: Vec<_> = parts.map(|part| perform(workspace, *part, &selection.arguments, &mut tally)).collect();
    say("\nSummary");
    for Report { name, took, outcome } in &reports {
        let mark = if outcome.is_ok() { "✓" } else { "✗" };
        say(&format!("  {mark} {name:<14}{:>7.1} s", took.as_secs_f64()));
        if let Err(error) = outcome {
            say(&format!("    {error:#}"));
        }
    }
    let failed = reports.iter().any(|report| report.outcome.is_err());
    if selection.includes(Part::Tests) || selection.includes(Part::Wasm) {
        result(&tally.to_string());
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn perform(workspace: &Workspace, part: Part, arguments: &[String], tally: &mut Tally) -> Report {
    let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    say(&format!("\n── {name} ──"));
    let started = Instant::now();
    let outcome = match part {
        Part::Format => run(cargo(workspace).args(["fmt", "--all", "--check"])),
        Part::Dependencies => dependencies(workspace),
        Part::Lints => lints(workspace),
        Part::Packaging => packaging::check(workspace),
        Part::Queries => queries::check(workspace),
        Part::Tests => tests(workspace, arguments, tally),
        Part::Wasm => wasm::tests(workspace, tally),
        Part::Fuzz => fuzz::fuzz(workspace),
        Part::Counts => counts::check(workspace),
    };
    Report { name, took: started.elapsed(), outcome }
}

fn dependencies(workspace: &Workspace) -> Result<()> {
    let mut deny = program(tools::cargo_deny(workspace)?);
    deny.current_dir(&workspace.root).args(["check", "licenses", "bans", "sources"]);
    run(&mut deny)
}

fn lints(workspace: &Workspace) -> Result<()> {
    let mut clippy = cargo(workspace);
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    step("clippy of the workspace", || run(clippy.env("SQLX_OFFLINE", "true")))?;
    filter::lint(workspace)
}

fn tests(workspace: &Workspace, arguments: &[String], tally: &mut Tally) -> Result<()> {
    let tools = Tools::get(workspace)?;
    let issuer = tools::oidc_provider(workspace)?;
    let browser = tools::browser(workspace)?;
    filter::build(workspace, &filter::FILTER)?;
    let trapping = chaos::trapping_filter(workspace)?;
    let promtool = tools::promtool(workspace)?;
    let python = [tools::schemathesis(workspace)?, tools::python_service(workspace)?];
    tools::shells()?;
    let judge = filter::build(workspace, &filter::JUDGE)?;
    programs::build(workspace, programs::PRIVATE_POSTGRES)?;
    let postgres = PrivatePostgres::start(workspace, &tools)?;
    let mut test = cargo(workspace);
    test.args(["test", "--no-fail-fast"]);
    if arguments.is_empty() {
        test.arg("--workspace")
    } else {
        test.args(arguments)
    };
    test.envs(programs::environment(workspace, &tools)).envs(issuer).envs(browser).envs(python);
    test.env("PROMTOOL_BIN", promtool).env("SIGNATURE_JUDGE_WASM", judge);
    test.env(chaos::TRAPPING_FILTER, trapping);
    // The database is for running; what is compiled comes from .sqlx.
    test.env("DATABASE_URL", postgres.url()).env("SQLX_OFFLINE", "true");
    let succeeded = step("cargo test", || tally.count(&mut test))?;
    if tally.ran() == 0 {
        bail!("no test was run");
    }
    match tally.failed() {
        0 if succeeded => Ok(()),
        0 => bail!("the tests did not compile, or one of their programs crashed"),
        failed => bail!("{failed} tests failed"),
    }
}
