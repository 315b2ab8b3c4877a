//! `list-runners`, `cleanup-stale-runners`, `sync-github`, `unmanaged-runners`

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::confirm::{self, Consent, Unattended};
use super::table::{harmless, render};
use super::{Output, account, database, environment, open};
use crate::clock::Clock;
use crate::config;
use crate::jobs::{self, Action, Cleaned, Job};
use crate::operations::App;
use crate::policy::PolicyFile;
use crate::runner::State;
use crate::store::cache;
use crate::store::runners::{Runner, Search, search};

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only of this state: pending, active, offline or deleted; all but deleted ones unless given
    #[arg(long)]
    status: Option<State>,
    /// Only of this owner: the subject or display name of a caller
    #[arg(long)]
    user: Option<String>,
    /// Only with this label
    #[arg(long)]
    label: Option<String>,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn list(arguments: ListArgs) -> anyhow::Result<()> {
    let options = json!({
        "status": arguments.status.map(State::as_str), "user": arguments.user, "label": arguments.label,
    });
    let pool = database("list-runners", options).await?;
    let label = arguments.label.map(|label| label.to_ascii_lowercase());
    let wanted = Search { state: arguments.status, user: arguments.user, label, ..Search::default() };
    let runners = search(&mut *pool.acquire().await?, &wanted).await?;
    match arguments.output {
        Output::Json => println!("{:#}", runners.iter().map(record).collect::<Value>()),
        Output::Table => {
            let headings = ["NAME", "STATUS", "BUSY", "TARGET", "OWNER", "LABELS", "CREATED"];
            let rows: Vec<Vec<String>> = runners.iter().map(row).collect();
            print!("{}", render(&headings, &rows));
            eprintln!("{} runner(s)", runners.len());
        }
    }
    Ok(())
}

fn row(runner: &Runner) -> Vec<String> {
    vec![
        runner.name.clone(),
        match runner.drain_requested_at {
            Some(_) if runner.state != State::Deleted => {
                let waits = runner.drain_error.as_deref().unwrap_or("not tried yet");
                format!("{}, to be drained: {waits}", runner.state)
            }
            _ => runner.state.to_string(),
        },
        if runner.busy { "yes" } else { "no" }.to_owned(),
        runner.target.clone(),
        runner.owner_name.clone(),
        runner.labels.join(","),
        runner.created_at.format("%Y-%m-%d %H:%M:%S").to_string(),
    ]
}

fn record(runner: &Runner) -> Value {
    json!({
        "runner_id": runner.id, "runner_name": runner.name, "status": runner.state,
        "deleted_reason": runner.deleted_reason, "busy": runner.busy, "target": runner.target,
        "owner_issuer": runner.owner_issuer, "owner_subject": runner.owner_subject, "owner_name": runner.owner_name,
        "mode": runner.mode, "labels": runner.labels, "runner_group_id": runner.runner_group_id,
        "ephemeral": runner.ephemeral, "github_runner_id": runner.github_runner_id,
        "expires_at": runner.secret_expires_at, "offline_since": runner.offline_since,
        "created_at": runner.created_at, "updated_at": runner.updated_at, "deleted_at": runner.deleted_at,
        "drain_requested_at": runner.drain_requested_at, "drain_attempts": runner.drain_attempts,
        "drain_next_at": runner.drain_next_at, "drain_error": runner.drain_error,
        "drift": runner.drift,
    })
}

#[derive(Args)]
pub(super) struct CleanupArgs {
    /// Runners off line for longer than this are stale
    #[arg(long)]
    hours: u32,
    #[command(flatten)]
    consent: Consent,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn cleanup(arguments: CleanupArgs) -> anyhow::Result<()> {
    let (hours, dry_run) = (arguments.hours, arguments.consent.dry_run);
    let must_ask = arguments.consent.must_ask(Unattended::GoesOn)?;
    let app = app("cleanup-stale-runners", json!({"hours": hours, "dry_run": dry_run})).await?;
    let cleaned = if must_ask { agreed_cleanup(&app, hours).await? } else { cleanup_now(&app, hours, dry_run).await? };
    match arguments.output {
        Output::Json => {
            let runners = cleaned.iter().map(|Cleaned { runner, action }| {
                json!({
                    "runner_id": runner.id, "runner_name": runner.name, "target": runner.target,
                    "status": runner.state, "action": action,
                })
            });
            println!("{:#}", json!({"dry_run": dry_run, "runners": runners.collect::<Value>()}));
        }
        Output::Table => {
            let rows: Vec<Vec<String>> = cleaned
                .iter()
                .map(|Cleaned { runner, action }| {
                    let done = describe(*action, dry_run).to_owned();
                    vec![runner.name.clone(), runner.target.clone(), runner.state.to_string(), done]
                })
                .collect();
            print!("{}", render(&["NAME", "TARGET", "STATUS", "ACTION"], &rows));
        }
    }
    let failed = cleaned.iter().filter(|each| each.action == Action::Failed).count();
    ensure!(failed == 0, "{failed} runner(s) could not be cleaned up; the log says why");
    Ok(())
}

async fn cleanup_now(app: &App, hours: u32, dry_run: bool) -> anyhow::Result<Vec<Cleaned>> {
    let turn = turn(app).await?;
    eprintln!("looking at stale runners on GitHub …");
    Ok(jobs::cleanup(app, &account::origin(), Some(hours), dry_run, &turn).await?)
}

/// Looks first, asks, and then cleans up what was agreed to; each runner is looked at again. The service's own turn is
/// not held up while somebody thinks.
async fn agreed_cleanup(app: &App, hours: u32) -> anyhow::Result<Vec<Cleaned>> {
    let seen = cleanup_now(app, hours, true).await?;
    let going: Vec<&Runner> =
        seen.iter().filter(|each| each.action == Action::Deleted).map(|each| &each.runner).collect();
    if going.is_empty() {
        return Ok(seen);
    }
    let names: Vec<&str> = going.iter().map(|runner| runner.name.as_str()).collect();
    confirm::ask(&format!(
        "{} runner(s) will be deleted here and on GitHub: {}. {} will be kept.",
        names.len(),
        harmless(&names.join(", ")),
        seen.len().saturating_sub(names.len())
    ))?;
    let ids: Vec<_> = going.iter().map(|runner| runner.id).collect();
    let turn = turn(app).await?;
    let mut cleaned = jobs::cleanup_among(app, &account::origin(), hours, &ids, &turn).await?;
    cleaned.extend(seen.into_iter().filter(|each| each.action != Action::Deleted));
    Ok(cleaned)
}

fn describe(action: Action, dry_run: bool) -> &'static str {
    match action {
        Action::Deleted if dry_run => "would be deleted",
        Action::Deleted => "deleted",
        Action::KeptBusy => "kept: runs a job",
        Action::KeptAlive => "kept: alive",
        Action::Failed => "failed",
    }
}

#[derive(Args)]
pub(super) struct SyncArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn sync(arguments: SyncArgs) -> anyhow::Result<()> {
    let app = app("sync-github", json!({})).await?;
    let turn = turn(&app).await?;
    eprintln!("comparing with GitHub …");
    let summary = jobs::reconcile(&app, &account::origin(), &turn).await.context("not everything was compared")?;
    match arguments.output {
        Output::Json => println!("{:#}", json!(summary)),
        Output::Table => println!(
            "{} on GitHub, {} of ours compared: {} came on line, {} went off line, {} gone, {} interrupted provision(s) \
             settled, {} failed",
            summary.listed,
            summary.compared,
            summary.active,
            summary.offline,
            summary.gone,
            summary.resolved,
            summary.failed
        ),
    }
    ensure!(summary.failed == 0, "{} runner(s) could not be compared; the log says why", summary.failed);
    Ok(())
}

#[derive(Args)]
pub(super) struct UnmanagedArgs {
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn unmanaged(arguments: UnmanagedArgs) -> anyhow::Result<()> {
    let pool = database("unmanaged-runners", json!({})).await?;
    let found = cache::unmanaged(&mut *pool.acquire().await?).await?;
    match arguments.output {
        Output::Json => println!("{:#}", json!(found)),
        Output::Table => {
            let rows: Vec<Vec<String>> = found
                .iter()
                .map(|runner| {
                    let id = runner.github_runner_id.to_string();
                    let labels = runner.labels.join(",");
                    vec![runner.name.clone(), runner.target.clone(), id, runner.status.clone(), labels]
                })
                .collect();
            print!("{}", render(&["NAME", "TARGET", "GITHUB ID", "STATUS", "LABELS"], &rows));
        }
    }
    Ok(())
}

/// Database and GitHub, for a command that changes something.
pub(super) async fn app(command: &str, options: Value) -> anyhow::Result<Arc<App>> {
    let (database, github) = config::database_and_github(&environment)?;
    let pool = open(&database, command, options).await?;
    let clock = Clock::system();
    // Nobody is granted anything here: whoever types has the service's own credentials.
    App::new(pool, github, PolicyFile::none(clock.now()), clock).context("the client for GitHub could not be made")
}

/// Waits while a service does the same.
async fn turn(app: &App) -> anyhow::Result<jobs::Turn> {
    if let Some(turn) = jobs::try_turn(app, Job::Upkeep).await? {
        return Ok(turn);
    }
    eprintln!("waiting for a service that is at it …");
    Ok(jobs::wait_for_turn(app, Job::Upkeep).await?)
}
