//! `list-runners`, `cleanup-stale-runners`, `sync-github`, `unmanaged-runners`

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::confirm::{self, Consent, Unattended};
use super::progress::during;
use super::table::{Cell, Tone, harmless, render};
use super::{Output, OutputArgs, account, database, environment, open, screen};
use crate::clock::Clock;
use crate::config;
use crate::jobs::{self, Action, Cleaned, Job};
use crate::operations::App;
use crate::policy::PolicyFile;
use crate::runner::State;
use crate::store::cache::{self, Unmanaged};
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
    let runners = during("reading runners", search(&mut *pool.acquire().await?, &wanted)).await?;
    if arguments.output == Output::Json {
        return screen::print_json(&runners.iter().map(record).collect());
    }
    let headings = ["NAME", "STATUS", "TARGET", "OWNER", "LABELS", "AGE"];
    let now = Clock::system().now();
    let rows: Vec<Vec<Cell>> = runners.iter().map(|runner| row(runner, now)).collect();
    screen::print(&render(&headings, &rows))?;
    screen::note(&format!("{} runner(s)", runners.len()));
    Ok(())
}

fn row(runner: &Runner, now: DateTime<Utc>) -> Vec<Cell> {
    vec![
        Cell::new(&runner.name),
        status(runner),
        Cell::new(&runner.target),
        Cell::new(&runner.owner_name),
        Cell::new(&runner.labels.join(", ")),
        Cell::new(&age(now.signed_duration_since(runner.created_at))),
    ]
}

/// In the largest unit that there is one of.
fn age(time: TimeDelta) -> String {
    let units = [(time.num_days(), "d"), (time.num_hours(), "h"), (time.num_minutes(), "min")];
    let (count, unit) = units.into_iter().find(|(count, _)| *count > 0).unwrap_or((time.num_seconds().max(0), "s"));
    format!("{count}{unit}")
}

/// The state, and what else there is to know at a glance.
pub(super) fn status(runner: &Runner) -> Cell {
    let mut text = runner.state.to_string();
    if runner.busy {
        text.push_str(", busy");
    }
    if runner.drain_requested_at.is_some() && runner.state != State::Deleted {
        text.push_str(", to be drained: ");
        text.push_str(runner.drain_error.as_deref().unwrap_or("not tried yet"));
    }
    let tone = match runner.state {
        State::Active => Tone::Good,
        State::Pending => Tone::Plain,
        State::Offline => Tone::Weak,
        State::Deleted => Tone::Faint,
    };
    Cell::toned(&text, tone)
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
        Output::Json => print_cleaned_json(&cleaned, dry_run)?,
        Output::Table => print_cleaned(&cleaned, dry_run)?,
    }
    let failed = cleaned.iter().filter(|each| each.action == Action::Failed).count();
    ensure!(failed == 0, "{failed} runner(s) could not be cleaned up; the log says why");
    Ok(())
}

fn print_cleaned_json(cleaned: &[Cleaned], dry_run: bool) -> anyhow::Result<()> {
    let runners = cleaned.iter().map(|Cleaned { runner, action }| {
        json!({
            "runner_id": runner.id, "runner_name": runner.name, "target": runner.target, "status": runner.state,
            "action": action,
        })
    });
    screen::print_json(&json!({"dry_run": dry_run, "runners": runners.collect::<Value>()}))
}

fn print_cleaned(cleaned: &[Cleaned], dry_run: bool) -> anyhow::Result<()> {
    let row = |Cleaned { runner, action }: &Cleaned| {
        vec![Cell::new(&runner.name), Cell::new(&runner.target), status(runner), describe(*action, dry_run)]
    };
    let rows: Vec<Vec<Cell>> = cleaned.iter().map(row).collect();
    screen::print(&render(&["NAME", "TARGET", "STATUS", "ACTION"], &rows))?;
    let deleted = cleaned.iter().filter(|each| each.action == Action::Deleted).count();
    let went = if dry_run { "would be deleted" } else { "deleted" };
    screen::note(&format!("{deleted} of {} stale runner(s) {went}", cleaned.len()));
    Ok(())
}

async fn cleanup_now(app: &App, hours: u32, dry_run: bool) -> anyhow::Result<Vec<Cleaned>> {
    let turn = turn(app).await?;
    let origin = account::origin();
    let looking = jobs::cleanup(app, &origin, Some(hours), dry_run, &turn);
    Ok(during("looking at stale runners on GitHub", looking).await?)
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
    let origin = account::origin();
    let deleting = jobs::cleanup_among(app, &origin, hours, &ids, &turn);
    let mut cleaned = during("deleting stale runners", deleting).await?;
    cleaned.extend(seen.into_iter().filter(|each| each.action != Action::Deleted));
    Ok(cleaned)
}

fn describe(action: Action, dry_run: bool) -> Cell {
    match action {
        Action::Deleted if dry_run => Cell::new("would be deleted"),
        Action::Deleted => Cell::toned("deleted", Tone::Faint),
        Action::KeptBusy => Cell::new("kept: runs a job"),
        Action::KeptAlive => Cell::new("kept: alive"),
        Action::Failed => Cell::toned("failed", Tone::Bad),
    }
}

pub(super) async fn sync(arguments: &OutputArgs) -> anyhow::Result<()> {
    let app = app("sync-github", json!({})).await?;
    let turn = turn(&app).await?;
    let origin = account::origin();
    let summary = during("comparing with GitHub", jobs::reconcile(&app, &origin, &turn)).await;
    let summary = summary.context("not everything was compared")?;
    match arguments.output {
        Output::Json => screen::print_json(&json!(summary))?,
        Output::Table => screen::print_sentences(&format!(
            "{} on GitHub, {} of ours compared: {} came on line, {} went off line, {} gone, {} interrupted provision(s) \
             settled, {} failed",
            summary.listed,
            summary.compared,
            summary.active,
            summary.offline,
            summary.gone,
            summary.resolved,
            summary.failed
        ))?,
    }
    ensure!(summary.failed == 0, "{} runner(s) could not be compared; the log says why", summary.failed);
    Ok(())
}

pub(super) async fn unmanaged(arguments: &OutputArgs) -> anyhow::Result<()> {
    let pool = database("unmanaged-runners", json!({})).await?;
    let found = cache::unmanaged(&mut *pool.acquire().await?).await?;
    if arguments.output == Output::Json {
        return screen::print_json(&json!(found));
    }
    let row = |runner: &Unmanaged| {
        vec![
            Cell::new(&runner.name),
            Cell::new(&runner.target),
            Cell::number(Some(runner.github_runner_id)),
            Cell::toned(&runner.status, if runner.status == "online" { Tone::Good } else { Tone::Weak }),
            Cell::new(&runner.labels.join(", ")),
        ]
    };
    let rows: Vec<Vec<Cell>> = found.iter().map(row).collect();
    screen::print(&render(&["NAME", "TARGET", "GITHUB ID", "STATUS", "LABELS"], &rows))?;
    screen::note(&format!("{} runner(s) that this service did not register", found.len()));
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
    Ok(during("waiting for a service that is at it", jobs::wait_for_turn(app, Job::Upkeep)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let ages = [-1, 59, 60, 3_599, 3_600, 86_399, 172_800].map(|seconds| age(TimeDelta::seconds(seconds)));
        assert_eq!(ages, ["0s", "59s", "1min", "59min", "1h", "23h", "2d"]);
    }
}
