//! Taking a runner away, at GitHub first.

use std::sync::Arc;

use serde_json::json;

use super::read::{find, not_found};
use super::{App, Caller, OperationError, attempt, delete, ours};
use crate::audit::{Entry, Event, Origin, Outcome};
use crate::github::{Kind, Priority};
use crate::runner::{DeletedReason, State};
use crate::store::runners::{self, Runner};

/// Takes the caller's runner away. A busy one stays. Safe to repeat. Finishes although the caller goes away.
pub async fn deprovision(app: Arc<App>, caller: Caller, name_or_id: String) -> Result<Runner, OperationError> {
    app.finish(run(Arc::clone(&app), caller, name_or_id)).await
}

async fn run(app: Arc<App>, caller: Caller, name_or_id: String) -> Result<Runner, OperationError> {
    let runner = begin(&app, &caller, &name_or_id, false).await?;
    if runner.state == State::Deleted {
        return Ok(runner);
    }
    if let Err(error) = remove_from_github(&app, &runner, Priority::Request).await {
        let (event, outcome) = match &error {
            OperationError::Busy => (Event::DeprovisionDenied, Outcome::Denied),
            _ => (Event::DeprovisionFailed, Outcome::Failure),
        };
        let entry = Entry::new(&caller.origin, event, outcome).runner(&runner).reasons([error.to_string()]);
        entry.record(&mut *app.connection().await?).await?;
        return Err(error);
    }
    finish(&app, &caller.origin, runner).await
}

/// Finds the runner and commits the intent; one that is to be drained goes into the queue with it.
pub(super) async fn begin(app: &App, caller: &Caller, name_or_id: &str, drain: bool) -> Result<Runner, OperationError> {
    let now = app.clock.now();
    let mut transaction = app.begin().await?;
    let found = find(&mut transaction, caller, name_or_id).await.and_then(|runner| {
        if app.is_under_way(&runner, now) && runner.state == State::Pending {
            return Err(OperationError::UnderWay);
        }
        Ok(runner)
    });
    let entry = match &found {
        Ok(runner) => Entry::new(&caller.origin, Event::DeprovisionRequested, Outcome::Success)
            .runner(runner)
            .details(json!({"drain": drain})),
        Err(error) => not_found(caller, Event::DeprovisionDenied, name_or_id, error),
    };
    entry.record(&mut transaction).await?;
    if let Ok(runner) = &found
        && drain
        && runner.state != State::Deleted
    {
        runners::set_draining(&mut transaction, runner.id, now).await?;
    }
    transaction.commit().await?;
    found
}

pub(super) async fn finish(app: &App, origin: &Origin, runner: Runner) -> Result<Runner, OperationError> {
    let mut transaction = app.begin().await?;
    let row = runners::lock(&mut transaction, runner.id).await?.ok_or(OperationError::RunnerNotFound)?;
    if row.state != State::Deleted {
        delete(&mut transaction, origin, &row, DeletedReason::Deprovisioned, app.clock.now()).await?;
    }
    let row = runners::lock(&mut transaction, runner.id).await?.ok_or(OperationError::RunnerNotFound)?;
    transaction.commit().await?;
    Ok(row)
}

/// Deletes a runner at GitHub, if it is there and ours.
pub async fn remove_from_github(app: &App, runner: &Runner, priority: Priority) -> Result<(), OperationError> {
    let target = runner.target()?;
    let id = match runner.github_runner_id {
        Some(id) => id,
        None => match attempt::find_on_github(app, runner, &target, priority).await? {
            Some(remote) if ours(&mut *app.connection().await?, runner, &remote).await? => remote.id,
            _ => return Ok(()),
        },
    };
    match app.github.delete_runner(&target, id, priority).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == Kind::Busy => Err(OperationError::Busy),
        Err(error) => Err(error.into()),
    }
}
