//! Provisions of which nobody recorded the end: the answer of GitHub was lost, or the process died.
//!
//! What they asked for never reached a client, so whatever GitHub made of it is of no use to anybody and goes.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::audit::{Entry, Event, Origin, Outcome};
use crate::github::{Priority, RemoteRunner};
use crate::operations::{App, OperationError, delete, ours};
use crate::runner::{DeletedReason, Issuance, Mode, Target};
use crate::store::cache;
use crate::store::runners::{self, Runner};

use super::reconcile::same;
use super::{Turn, before};

/// After so long GitHub has taken away by itself whatever no machine came on line with.
const LATEST: TimeDelta = TimeDelta::days(1);

/// Finishes or undoes an interrupted provision. Only for attempts that are overdue.
pub(super) async fn resolve(app: &App, origin: &Origin, row: &Runner, turn: &Turn) -> Result<(), OperationError> {
    let keep = match row.mode {
        // A token makes no runner by itself; one of an earlier attempt may still be in somebody's hands.
        Mode::RegistrationToken => row.secret_expires_at.is_some_and(|end| end > app.clock.now()),
        Mode::Jit => keep_jit(app, origin, row, turn).await?,
    };
    let mut transaction = app.begin().await?;
    let Some(row) = same(&mut transaction, row).await? else { return Ok(()) };
    let now = app.clock.now();
    // The intent has its end on record, also where an earlier secret stays in force.
    let entry = Entry::new(origin, Event::ProvisionInterrupted, Outcome::Failure).runner(&row);
    entry.details(json!({"kept": keep})).record(&mut transaction).await?;
    if keep {
        runners::set_issuance(&mut transaction, row.id, Issuance::Issued, now).await?;
    } else {
        delete(&mut transaction, origin, &row, DeletedReason::ProvisionInterrupted, now).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether the runner of an earlier, finished attempt is still there. The one of the interrupted attempt is deleted.
async fn keep_jit(app: &App, origin: &Origin, row: &Runner, turn: &Turn) -> Result<bool, OperationError> {
    let remote = app.github.runner_named(&row.target()?, &row.name, Priority::Background).await?;
    let Some(remote) = remote else { return Ok(false) };
    if row.github_runner_id == Some(remote.id) {
        return Ok(true);
    }
    remove_orphan(app, origin, row, &remote, turn).await?;
    Ok(false)
}

/// Deletes what interrupted provisions left on GitHub and no look-up showed when their rows were closed, for listings lag
/// behind. GitHub itself takes such runners away after a day. Tells how many there were.
pub(super) async fn sweep(
    app: &App,
    origin: &Origin,
    target: &Target,
    listing: &[RemoteRunner],
    started: DateTime<Utc>,
    turn: &Turn,
) -> Result<u32, OperationError> {
    // What this very round has closed is still on its listing.
    let span = before(started, LATEST)..started;
    let closed = runners::interrupted(&mut *app.connection().await?, target, span).await?;
    let mut removed = 0_u32;
    for row in closed {
        let remote = listing.iter().find(|remote| remote.name.eq_ignore_ascii_case(&row.name));
        if let Some(remote) = remote
            && remove_orphan(app, origin, &row, remote, turn).await?
        {
            cache::forget(&mut *app.connection().await?, &row.target, remote.id).await?;
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}

/// Deletes a runner at GitHub if it is what an interrupted provision made. The log tells of it first.
async fn remove_orphan(
    app: &App,
    origin: &Origin,
    row: &Runner,
    remote: &RemoteRunner,
    turn: &Turn,
) -> Result<bool, OperationError> {
    if !is_orphan(app, row, remote).await? {
        return Ok(false);
    }
    tracing::info!(runner = %row.id, github_runner_id = remote.id, "deleting what an interrupted provision left");
    let entry = Entry::new(origin, Event::RunnerOrphaned, Outcome::Success).runner(row);
    let entry = entry.details(json!({"github_runner_id": remote.id}));
    entry.record(&mut *app.connection().await?).await?;
    turn.check()?;
    app.github.delete_runner(&row.target()?, remote.id, Priority::Background).await?;
    Ok(true)
}

/// A runner that was on line or has a job is somebody else's: nobody ever held the configuration of ours.
async fn is_orphan(app: &App, row: &Runner, remote: &RemoteRunner) -> Result<bool, OperationError> {
    if remote.is_online() || remote.busy {
        return Ok(false);
    }
    let anonymous = Runner { github_runner_id: None, ..row.clone() };
    ours(&mut *app.connection().await?, &anonymous, remote).await
}
