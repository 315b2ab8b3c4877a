//! Taking a runner away as soon as it is idle. The wish is recorded first, so it survives whatever happens next.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::deprovision::{begin, finish};
use super::{App, Caller, OperationError, remove_from_github};
use crate::audit::Origin;
use crate::causes::causes;
use crate::github::Priority;
use crate::runner::State;
use crate::store::runners::{self, Runner};

/// The pause after the first attempt; it doubles with every further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(10);
/// A job may run for hours; GitHub is not asked more often than this, unless a webhook says that it has ended.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(5);

/// Takes the caller's runner away now if it is idle, else when it is: then it is returned alive. Safe to repeat.
pub async fn drain(app: Arc<App>, caller: Caller, name_or_id: String) -> Result<Runner, OperationError> {
    app.finish(run(Arc::clone(&app), caller, name_or_id)).await
}

async fn run(app: Arc<App>, caller: Caller, name_or_id: String) -> Result<Runner, OperationError> {
    let runner = begin(&app, &caller, &name_or_id, true).await?;
    if runner.state == State::Deleted {
        return Ok(runner);
    }
    try_drain(&app, &caller.origin, runner, Priority::Request).await
}

/// One attempt at a runner that is in the queue.
pub async fn try_drain(
    app: &App,
    origin: &Origin,
    runner: Runner,
    priority: Priority,
) -> Result<Runner, OperationError> {
    let Err(error) = remove_from_github(app, &runner, priority).await else {
        return finish(app, origin, runner).await;
    };
    tracing::info!(runner = %runner.id, name = runner.name, error = %causes(&error), "a runner is not drained yet");
    let mut connection = app.connection().await?;
    let next = next_attempt(runner.drain_attempts, app.clock.now());
    runners::set_drain_waits(&mut connection, runner.id, next, &error.brief()).await?;
    runners::find(&mut connection, runner.id).await?.ok_or(OperationError::RunnerNotFound)
}

fn next_attempt(attempts: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    // More doublings than this are beyond the longest pause.
    let doublings = u32::try_from(attempts.clamp(0, 10)).unwrap_or_default();
    let pause = FIRST_PAUSE.checked_mul(2_i32.saturating_pow(doublings)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    now.checked_add_signed(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pause = |attempts| next_attempt(attempts, DateTime::UNIX_EPOCH).timestamp();
        assert_eq!([0, 1, 2, 4, 5, 1000, i32::MAX, -1].map(pause), [10, 20, 40, 160, 300, 300, 300, 10]);
    }
}
