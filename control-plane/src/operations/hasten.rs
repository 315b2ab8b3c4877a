//! What a webhook says has happened, looked up at GitHub at once instead of at the next comparison.
//!
//! A delivery is a hint and no more: it may be lost, doubled, late or out of order. So what is recorded is what GitHub
//! answers now, and a runner is never deleted at GitHub for it.

use std::time::Duration;

use super::{App, OperationError, delete, observe, ours, try_drain};
use crate::audit::Origin;
use crate::github::{Priority, RemoteRunner};
use crate::runner::{DeletedReason, State};
use crate::store::cache;
use crate::store::runners::{self, Runner};

/// GitHub takes an ephemeral runner away shortly after its job, so it is asked again after these pauses.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(2)];

/// A job that a runner has begun or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobNews {
    /// Whether it has ended; else it runs.
    pub completed: bool,
    /// GitHub's id of the runner.
    pub github_runner_id: i64,
    /// The runner's name.
    pub runner_name: String,
    /// The organisation and the repository of the job; the runner belongs to one of them.
    pub targets: Vec<String>,
}

/// Looks at the runner of a job, if it is one of ours.
pub async fn hasten(app: &App, origin: &Origin, news: &JobNews) -> Result<(), OperationError> {
    for pause in PAUSES {
        tokio::time::sleep(pause).await;
        let mut connection = app.connection().await?;
        let row = runners::of_job(&mut connection, &news.targets, news.github_runner_id, &news.runner_name).await?;
        // No connection is held while GitHub is asked.
        drop(connection);
        let Some(row) = row else { return Ok(()) };
        let remote = app.github.runner(&row.target()?, news.github_runner_id, Priority::Background).await?;
        let waits = remote.is_some() && news.completed && row.ephemeral;
        record(app, origin, news, &row, remote).await?;
        if news.completed && row.drain_requested_at.is_some() && !row.ephemeral {
            return try_drain(app, origin, row, Priority::Background).await.map(drop);
        }
        if !waits {
            return Ok(());
        }
    }
    Ok(())
}

async fn record(
    app: &App,
    origin: &Origin,
    news: &JobNews,
    seen: &Runner,
    remote: Option<RemoteRunner>,
) -> Result<(), OperationError> {
    let now = app.clock.now();
    let mut transaction = app.begin().await?;
    let row = runners::lock(&mut transaction, seen.id).await?;
    // Something else happened to it meanwhile; whoever did that knows better.
    let unchanged = |row: &Runner| row.state != State::Deleted && row.updated_at == seen.updated_at;
    let Some(row) = row.filter(unchanged) else { return Ok(()) };
    match remote {
        Some(remote) if ours(&mut transaction, &row, &remote).await? => {
            observe(&mut transaction, origin, &row, &remote, now).await?;
        }
        // It did its one job. One that was on GitHub before ours was asked for is somebody else's of the same name.
        None if news.completed
            && row.ephemeral
            && !cache::was_there_before(&mut transaction, &row.target()?, news.github_runner_id, row.created_at)
                .await? =>
        {
            let known = Runner { github_runner_id: Some(news.github_runner_id), ..row };
            delete(&mut transaction, origin, &known, DeletedReason::GoneFromGithub, now).await?;
        }
        _ => {}
    }
    transaction.commit().await?;
    Ok(())
}
