//! Steps of a runner's life, each with its audit entry in the same transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::OperationError;
use crate::audit::{Entry, Event, Origin, Outcome};
use crate::github::RemoteRunner;
use crate::runner::{DeletedReason, Mode, State, transition};
use crate::store::runners::Runner;
use crate::store::{cache, runners};

/// What GitHub says of a runner, and what changed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Nothing worth an entry.
    Unchanged,
    /// It is another state now.
    Moved(State),
}

/// Records what GitHub says of a live runner that the caller has locked.
pub async fn observe(
    conn: &mut PgConnection,
    origin: &Origin,
    runner: &Runner,
    remote: &RemoteRunner,
    now: DateTime<Utc>,
) -> Result<Observation, OperationError> {
    let state = state_of(runner, remote);
    let adopted = runner.github_runner_id.is_none();
    if state == runner.state && !adopted && remote.busy == runner.busy && runner.missing_since.is_none() {
        return Ok(Observation::Unchanged);
    }
    if state != runner.state {
        transition(runner.state, state)?;
    }
    runners::set_seen(conn, runner.id, remote, state, now).await?;
    if adopted {
        let details = json!({
            "github_runner_id": remote.id, "labels": remote.labels, "runner_group_id": remote.runner_group_id,
            "ephemeral": remote.ephemeral,
        });
        Entry::new(origin, Event::RunnerAdopted, Outcome::Success).runner(runner).details(details).record(conn).await?;
    }
    if state == runner.state {
        return Ok(Observation::Unchanged);
    }
    let event = if state == State::Active { Event::RunnerActive } else { Event::RunnerOffline };
    let details = json!({"from": runner.state, "github_runner_id": remote.id});
    Entry::new(origin, event, Outcome::Success).runner(runner).details(details).record(conn).await?;
    Ok(Observation::Moved(state))
}

/// A just-in-time runner is on GitHub before any machine starts: as long as it was never on line, it is pending.
fn state_of(runner: &Runner, remote: &RemoteRunner) -> State {
    match (remote.is_online(), runner.mode, runner.state) {
        (true, ..) => State::Active,
        (false, Mode::Jit, State::Pending) => State::Pending,
        (false, ..) => State::Offline,
    }
}

/// Ends a live runner that the caller has locked.
pub async fn delete(
    conn: &mut PgConnection,
    origin: &Origin,
    runner: &Runner,
    reason: DeletedReason,
    now: DateTime<Utc>,
) -> Result<(), OperationError> {
    transition(runner.state, State::Deleted)?;
    runners::set_deleted(conn, runner.id, reason, now).await?;
    if let Some(id) = runner.github_runner_id {
        cache::forget(conn, &runner.target, id).await?;
    }
    let details = json!({"from": runner.state, "reason": reason, "github_runner_id": runner.github_runner_id});
    Entry::new(origin, Event::RunnerDeleted, Outcome::Success).runner(runner).details(details).record(conn).await?;
    Ok(())
}

/// Whether a runner that GitHub has under our runner's name came from our registration.
///
/// A name proves nothing: others may register the same one by other ways. So it must not have been there before ours
/// was asked for, must be as ephemeral as ours, and must have the labels that ours was asked for with. An id that was
/// recorded settles it.
pub async fn ours(conn: &mut PgConnection, runner: &Runner, remote: &RemoteRunner) -> Result<bool, OperationError> {
    if let Some(id) = runner.github_runner_id {
        return Ok(id == remote.id);
    }
    let alike = remote.name.eq_ignore_ascii_case(&runner.name)
        && remote.ephemeral.is_none_or(|ephemeral| ephemeral == runner.ephemeral)
        && runner.labels.iter().all(|label| remote.labels.contains(label));
    Ok(alike && !cache::was_there_before(conn, &runner.target()?, remote.id, runner.created_at).await?)
}
