//! Asking GitHub about one runner, now.

use super::read::{find, not_found};
use super::{App, Caller, OperationError, attempt, delete, observe, ours};
use crate::audit::{Entry, Event, Outcome};
use crate::github::{Priority, RemoteRunner};
use crate::runner::{DeletedReason, State};
use crate::store::runners::{self, Runner};

/// The caller's runner as GitHub has it now.
pub async fn refresh(app: &App, caller: &Caller, name_or_id: &str) -> Result<Runner, OperationError> {
    let mut connection = app.connection().await?;
    let found = find(&mut connection, caller, name_or_id).await;
    let entry = match &found {
        Ok(runner) => Entry::new(&caller.origin, Event::RunnerRefreshed, Outcome::Success).runner(runner),
        Err(error) => not_found(caller, Event::RunnerRefreshed, name_or_id, error),
    };
    entry.record(&mut connection).await?;
    // No connection is held while GitHub is asked.
    drop(connection);
    let runner = found?;
    if runner.state == State::Deleted || app.is_under_way(&runner, app.clock.now()) {
        return Ok(runner);
    }
    let remote = attempt::find_on_github(app, &runner, &runner.target()?, Priority::Request).await?;
    record(app, caller, &runner, remote).await
}

async fn record(
    app: &App,
    caller: &Caller,
    runner: &Runner,
    remote: Option<RemoteRunner>,
) -> Result<Runner, OperationError> {
    let now = app.clock.now();
    let mut transaction = app.begin().await?;
    let row = runners::lock(&mut transaction, runner.id).await?.ok_or(OperationError::RunnerNotFound)?;
    // Something else happened to it meanwhile; the next look at it will tell.
    let unchanged = row.state != State::Deleted && row.github_runner_id == runner.github_runner_id;
    match remote {
        Some(remote) if unchanged && ours(&mut transaction, &row, &remote).await? => {
            observe(&mut transaction, &caller.origin, &row, &remote, now).await?;
        }
        // An id that GitHub knew and does not know any more is gone; only a brand-new one may not be visible yet.
        None if unchanged && row.github_runner_id.is_some() && app.is_overdue(&row, now) => {
            delete(&mut transaction, &caller.origin, &row, DeletedReason::GoneFromGithub, now).await?;
        }
        _ => {}
    }
    let row = runners::lock(&mut transaction, runner.id).await?.ok_or(OperationError::RunnerNotFound)?;
    transaction.commit().await?;
    Ok(row)
}
