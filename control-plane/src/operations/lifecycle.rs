//! Steps of a runner's life, each with its audit entry in the same transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::OperationError;
use crate::audit::{Entry, Event, Origin, Outcome};
use crate::github::{RemoteLabel, RemoteRunner};
use crate::runner::{DeletedReason, Drift, Mode, State, transition};
use crate::store::runners::Runner;
use crate::store::{cache, runners};

/// What `config.sh` gives every runner: that it is one, its operating system and its processor.
const GITHUBS_LABELS: [&str; 7] = ["self-hosted", "linux", "macos", "windows", "x64", "arm", "arm64"];

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
    if !is_news(runner, remote) {
        return Ok(Observation::Unchanged);
    }
    let (state, drift) = (state_of(runner, remote), drift_of(runner, remote));
    if state != runner.state {
        transition(runner.state, state)?;
    }
    runners::set_seen(conn, runner.id, remote, state, drift.as_ref(), now).await?;
    if runner.github_runner_id.is_none() {
        let details = json!({
            "github_runner_id": remote.id, "labels": remote.label_names(), "runner_group_id": remote.runner_group_id,
            "ephemeral": remote.ephemeral,
        });
        Entry::new(origin, Event::RunnerAdopted, Outcome::Success).runner(runner).details(details).record(conn).await?;
    }
    if drift.as_ref() != noted(runner) {
        let event = if drift.is_some() { Event::RunnerDrifted } else { Event::RunnerRestored };
        let details = json!({"drift": drift, "github_runner_id": remote.id});
        Entry::new(origin, event, Outcome::Success).runner(runner).details(details).record(conn).await?;
    }
    if state == runner.state {
        return Ok(Observation::Unchanged);
    }
    let event = if state == State::Active { Event::RunnerActive } else { Event::RunnerOffline };
    let details = json!({"from": runner.state, "github_runner_id": remote.id});
    Entry::new(origin, event, Outcome::Success).runner(runner).details(details).record(conn).await?;
    Ok(Observation::Moved(state))
}

/// Whether GitHub says anything of a live runner that is not on record.
pub fn is_news(runner: &Runner, remote: &RemoteRunner) -> bool {
    runner.github_runner_id.is_none()
        || state_of(runner, remote) != runner.state
        || remote.busy != runner.busy
        || runner.missing_since.is_some()
        || drift_of(runner, remote).as_ref() != noted(runner)
}

/// The drift that was noted last.
fn noted(runner: &Runner) -> Option<&Drift> {
    runner.drift.as_ref().map(AsRef::as_ref)
}

fn drift_of(runner: &Runner, remote: &RemoteRunner) -> Option<Drift> {
    let missing = runner.labels.iter().filter(|label| !remote.has_label(label)).cloned().collect();
    let added = remote.labels.iter().filter(|label| !runner.labels.contains(&label.name) && !is_githubs(runner, label));
    let added = added.map(|label| label.name.clone()).collect();
    // A repository has no groups, whatever it says.
    let grouped = runner.target().is_ok_and(|target| target.has_groups());
    let group = remote.runner_group_id.filter(|&group| grouped && group != runner.runner_group_id);
    Drift::of(missing, added, group)
}

/// Whether GitHub gave a label by itself, as it does where `config.sh` registers a machine. Where it does not say, it goes
/// by the name.
fn is_githubs(runner: &Runner, label: &RemoteLabel) -> bool {
    match label.kind.as_deref() {
        Some(kind) => kind == "read-only",
        None => runner.mode == Mode::RegistrationToken && GITHUBS_LABELS.contains(&label.name.as_str()),
    }
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
        && runner.labels.iter().all(|label| remote.has_label(label));
    Ok(alike && !cache::was_there_before(conn, &runner.target()?, remote.id, runner.created_at).await?)
}
