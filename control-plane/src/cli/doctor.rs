//! `doctor`

use std::fmt;
use std::fs;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use super::progress::during;
use super::table::{Cell, Tone, render};
use super::{Output, environment, screen};
use crate::clock::Clock;
use crate::config::{self, ServeConfig};
use crate::doctor::{self, Callers, Finding, Level};
use crate::github::Github;
use crate::store;

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Where callers reach the edge, to look through it
    #[arg(long, value_name = "URL")]
    edge: Option<String>,
    /// A file with a token that is refused (`-` for standard input), to say which check fails
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with the edge's signing key, to hold it against `IDENTITY_PUBLIC_KEYS`
    #[arg(long, value_name = "FILE")]
    edge_key_file: Option<PathBuf>,
    /// A runner that does not appear on GitHub: its name or id
    #[arg(long, value_name = "NAME")]
    runner: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Something is in error; it is printed already.
#[derive(Debug)]
pub(super) struct Unwell(usize);

impl fmt::Display for Unwell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} check(s) found an error", self.0)
    }
}

impl std::error::Error for Unwell {}

pub(super) async fn examine(arguments: DoctorArgs) -> anyhow::Result<()> {
    let clock = Clock::system();
    let token = arguments.token_file.as_deref().map(text).transpose()?;
    let edge_key = match (arguments.edge_key_file.as_deref(), given("IDENTITY_SIGNING_KEY_FILE")) {
        (Some(path), _) => Some(text(path)?),
        (None, Some(path)) => Some(text(Path::new(&path))?),
        (None, None) => given("IDENTITY_SIGNING_KEY").map(SecretString::from),
    };
    let config = config::serve(&environment);
    let mut findings = doctor::check_configuration(&config);
    let audience = given("IDENTITY_AUDIENCE").unwrap_or_else(|| identity::DEFAULT_AUDIENCE.to_owned());
    if let Ok(config) = &config {
        findings.push(doctor::check_identity(config, &audience, edge_key.as_ref(), clock.unix_seconds()));
    }
    let services = services(config.ok(), arguments.runner.as_deref(), &clock);
    findings.extend(during("looking at the database and GitHub", services).await);
    let callers = Callers {
        issuer: given("OIDC_ISSUER"),
        audience: given("OIDC_AUDIENCE"),
        jwks_url: given("OIDC_JWKS_URL"),
        token: token.clone(),
    };
    let checked = doctor::check_callers(&callers, clock.unix_seconds());
    findings.extend(during("looking at the issuer of callers' tokens", checked).await);
    let assertion = edge_key.and_then(|key| doctor::assertion(&key, &audience, clock.unix_seconds()).ok());
    let checked = doctor::check_edge(arguments.edge.as_deref(), token.as_ref(), assertion.as_deref());
    findings.extend(during("looking through the edge", checked).await);
    print(&findings, arguments.output)?;
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    if errors == 0 { Ok(()) } else { Err(Unwell(errors).into()) }
}

/// What is configured of the database and GitHub, even if other things are not.
async fn services(config: Option<ServeConfig>, runner: Option<&str>, clock: &Clock) -> Vec<Finding> {
    let has_webhook = config.as_ref().is_some_and(|config| !config.webhook_secrets.is_empty());
    let (database, github) = match config {
        Some(config) => (Some(config.database), Some(config.github)),
        None => (config::database(&environment).ok(), config::github(&environment).ok()),
    };
    let mut findings = Vec::new();
    let pool = database.map(|database| store::pool(&database));
    if let Some(pool) = &pool {
        let stuck_after = config::drain_stuck(&environment).ok();
        findings.extend(doctor::check_database(pool, stuck_after, clock.now()).await);
    }
    if let Some(github) = &github {
        findings.extend(doctor::check_github(github, clock).await);
    }
    let client = github.as_ref().and_then(|github| Github::new(github, clock).ok());
    if let Some(client) = client.as_ref().filter(|_| has_webhook) {
        findings.push(doctor::check_hook(client).await);
    }
    if let (Some(name), Some(pool), Some(client)) = (runner, &pool, &client) {
        findings.push(doctor::check_runner(pool, client, name, clock.now()).await);
    }
    findings
}

fn given(variable: &str) -> Option<String> {
    config::value(&environment, variable)
}

/// A secret, so it is never part of an error.
fn text(path: &Path) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    if path == Path::new("-") {
        stdin().read_to_string(&mut text)?;
    } else {
        text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    }
    Ok(text.trim().into())
}

fn print(findings: &[Finding], output: Output) -> anyhow::Result<()> {
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if output == Output::Json {
        return screen::print_json(&json!({"worst": worst, "findings": findings}));
    }
    let rows: Vec<Vec<Cell>> = findings.iter().map(row).collect();
    screen::print(&render(&["LEVEL", "CHECK", "FINDING"], &rows))?;
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let [ok, skipped, warning, error] = [Level::Ok, Level::Skipped, Level::Warning, Level::Error].map(count);
    screen::note(&format!("{ok} ok, {skipped} skipped, {warning} warning(s), {error} error(s)"));
    Ok(())
}

fn row(finding: &Finding) -> Vec<Cell> {
    let tone = match finding.level {
        Level::Ok => Tone::Good,
        Level::Skipped => Tone::Faint,
        Level::Warning => Tone::Weak,
        Level::Error => Tone::Bad,
    };
    let fix = finding.fix.as_ref().map(|fix| format!("→ {fix}"));
    let lines = std::iter::once(finding.what.as_str()).chain(fix.as_deref());
    vec![Cell::toned(finding.level.as_str(), tone), Cell::new(finding.check), Cell::lines(lines)]
}
