//! Takes abandoned runners away: those that no machine came on line with, and those off line for too long.
//!
//! Each is looked at on GitHub just before, so that a restart or a short listing costs nobody a runner.

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::reconcile::same;
use super::{Turn, before};
use crate::audit::{Entry, Event, Origin, Outcome};
use crate::github::{Priority, RemoteRunner};
use crate::operations::{App, OperationError, delete, find_on_github, observe, ours, remove_from_github};
use crate::runner::{DeletedReason, Mode, State};
use crate::store::runners::{self, Runner};

/// A machine that began to register in the last moment of its secret may take so long to appear.
const EXPIRY_RESERVE: TimeDelta = TimeDelta::minutes(5);

/// What was done with a runner that looked abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Deleted, or would be in a dry run.
    Deleted,
    /// It runs a job.
    KeptBusy,
    /// It is on line, or registered just now.
    KeptAlive,
    /// GitHub or the database failed; the next run tries again.
    Failed,
}

/// A runner that looked abandoned.
#[derive(Clone, Debug)]
pub struct Cleaned {
    /// As recorded before.
    pub runner: Runner,
    /// What was done.
    pub action: Action,
}

/// Looks at every runner that seems abandoned; `hours` is the limit for those off line, which stay if there is none.
pub async fn cleanup(
    app: &App,
    origin: &Origin,
    hours: Option<u32>,
    dry_run: bool,
    turn: &Turn,
) -> Result<Vec<Cleaned>, OperationError> {
    sweep(app, origin, hours, stale(app, hours).await?, dry_run, turn).await
}

/// Like [`cleanup`], of these runners alone: those that somebody has agreed to.
pub async fn cleanup_among(
    app: &App,
    origin: &Origin,
    hours: u32,
    agreed: &[Uuid],
    turn: &Turn,
) -> Result<Vec<Cleaned>, OperationError> {
    let mut stale = stale(app, Some(hours)).await?;
    stale.retain(|runner| agreed.contains(&runner.id));
    sweep(app, origin, Some(hours), stale, false, turn).await
}

async fn stale(app: &App, hours: Option<u32>) -> Result<Vec<Runner>, OperationError> {
    let now = app.clock.now();
    let offline = hours.map(|hours| before(now, TimeDelta::hours(i64::from(hours))));
    runners::stale(&mut *app.connection().await?, before(now, EXPIRY_RESERVE), offline).await.map_err(Into::into)
}

async fn sweep(
    app: &App,
    origin: &Origin,
    hours: Option<u32>,
    stale: Vec<Runner>,
    dry_run: bool,
    turn: &Turn,
) -> Result<Vec<Cleaned>, OperationError> {
    let mut cleaned = Vec::with_capacity(stale.len());
    for runner in stale {
        let action = match one(app, origin, &runner, dry_run, turn).await {
            Ok(action) => action,
            Err(OperationError::Busy) => Action::KeptBusy,
            Err(error) => {
                tracing::warn!(runner = %runner.id, name = runner.name, %error, "a stale runner could not be cleaned up");
                Action::Failed
            }
        };
        cleaned.push(Cleaned { runner, action });
    }
    if !dry_run && !cleaned.is_empty() {
        let count = |wanted| cleaned.iter().filter(|each| each.action == wanted).count();
        let details = json!({
            "hours": hours, "deleted": count(Action::Deleted), "busy": count(Action::KeptBusy),
            "alive": count(Action::KeptAlive), "failed": count(Action::Failed),
        });
        let entry = Entry::new(origin, Event::CleanupCompleted, Outcome::Success).details(details);
        entry.record(&mut *app.connection().await?).await?;
    }
    Ok(cleaned)
}

async fn one(
    app: &App,
    origin: &Origin,
    runner: &Runner,
    dry_run: bool,
    turn: &Turn,
) -> Result<Action, OperationError> {
    let remote = find_on_github(app, runner, &runner.target()?, Priority::Background).await?;
    let mine = match remote {
        Some(remote) if ours(&mut *app.connection().await?, runner, &remote).await? => Some(remote),
        // A foreign runner of the same name: ours was never registered.
        _ => None,
    };
    match mine {
        Some(remote) if remote.busy => Ok(Action::KeptBusy),
        Some(remote) if is_alive(runner, &remote) => {
            if !dry_run {
                see(app, origin, runner, &remote).await?;
            }
            Ok(Action::KeptAlive)
        }
        _ if dry_run => Ok(Action::Deleted),
        mine => remove(app, origin, runner, mine.is_some(), turn).await,
    }
}

/// On line, or a machine has registered with its token at last: then its time off line starts now.
fn is_alive(runner: &Runner, remote: &RemoteRunner) -> bool {
    remote.is_online() || (runner.state == State::Pending && runner.mode == Mode::RegistrationToken)
}

async fn see(app: &App, origin: &Origin, runner: &Runner, remote: &RemoteRunner) -> Result<(), OperationError> {
    let mut transaction = app.begin().await?;
    if let Some(row) = same(&mut transaction, runner).await? {
        observe(&mut transaction, origin, &row, remote, app.clock.now()).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The intent is recorded before GitHub is asked to delete anything.
async fn remove(
    app: &App,
    origin: &Origin,
    runner: &Runner,
    on_github: bool,
    turn: &Turn,
) -> Result<Action, OperationError> {
    let reason = match (runner.state, on_github) {
        (State::Pending, _) => DeletedReason::NeverRegistered,
        (_, true) => DeletedReason::Stale,
        (_, false) => DeletedReason::GoneFromGithub,
    };
    if on_github {
        let entry = Entry::new(origin, Event::DeprovisionRequested, Outcome::Success).runner(runner);
        let entry = entry.details(json!({"reason": reason}));
        entry.record(&mut *app.connection().await?).await?;
        turn.check()?;
        remove_from_github(app, runner, Priority::Background).await?;
    }
    let mut transaction = app.begin().await?;
    let Some(row) = same(&mut transaction, runner).await? else { return Ok(Action::KeptAlive) };
    delete(&mut transaction, origin, &row, reason, app.clock.now()).await?;
    transaction.commit().await?;
    Ok(Action::Deleted)
}
