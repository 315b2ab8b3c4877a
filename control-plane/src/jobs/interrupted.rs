//! Provisions of which nobody recorded the end: the answer of GitHub was lost, or the process died.
//!
//! What they asked for never reached a client, so whatever GitHub made of it is of no use to anybody and goes.

use serde_json::json;

use crate::audit::{Entry, Event, Origin, Outcome};
use crate::github::{Priority, RemoteRunner};
use crate::operations::{App, OperationError, delete, ours};
use crate::runner::{DeletedReason, Issuance, Mode};
use crate::store::runners::{self, Runner};

use super::Turn;
use super::reconcile::same;

/// Finishes or undoes an interrupted provision. Only for attempts that are overdue.
pub(super) async fn resolve(app: &App, origin: &Origin, row: &Runner, turn: &Turn) -> Result<(), OperationError> {
    let keep = match row.mode {
        // A token makes no runner by itself; one of an earlier attempt may still be in somebody's hands.
        Mode::RegistrationToken => row.secret_expires_at.is_some_and(|end| end > app.clock.now()),
        Mode::Jit => keep_jit(app, row, turn).await?,
    };
    let mut transaction = app.pool.begin().await?;
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
async fn keep_jit(app: &App, row: &Runner, turn: &Turn) -> Result<bool, OperationError> {
    let target = row.target()?;
    let Some(remote) = app.github.runner_named(&target, &row.name, Priority::Background).await? else {
        return Ok(false);
    };
    if row.github_runner_id == Some(remote.id) {
        return Ok(true);
    }
    if is_orphan(app, row, &remote).await? {
        tracing::info!(runner = %row.id, github_runner_id = remote.id, "deleting what an interrupted provision left");
        turn.check()?;
        app.github.delete_runner(&target, remote.id, Priority::Background).await?;
    }
    Ok(false)
}

/// A runner that was on line or has a job is somebody else's: nobody ever held the configuration of ours.
async fn is_orphan(app: &App, row: &Runner, remote: &RemoteRunner) -> Result<bool, OperationError> {
    if remote.is_online() || remote.busy {
        return Ok(false);
    }
    let anonymous = Runner { github_runner_id: None, ..row.clone() };
    ours(&mut *app.connection().await?, &anonymous, remote).await
}
