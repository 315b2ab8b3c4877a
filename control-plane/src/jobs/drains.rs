//! The drain queue: runners that are to go as soon as they are idle.

use super::Turn;
use crate::audit::Origin;
use crate::github::Priority;
use crate::operations::{App, OperationError, try_drain};
use crate::runner::State;
use crate::store::runners;

/// So many in a round; the rest wait for the next.
const MAX_A_ROUND: i64 = 100;

/// Tries every runner of the queue that is due; tells how many have gone.
pub async fn drains(app: &App, origin: &Origin, turn: &Turn) -> Result<usize, OperationError> {
    let due = runners::drains_due(&mut *app.connection().await?, app.clock.now(), MAX_A_ROUND).await?;
    let mut gone = 0_usize;
    for runner in due {
        if app.is_under_way(&runner, app.clock.now()) {
            continue;
        }
        turn.check()?;
        if try_drain(app, origin, runner, Priority::Background).await?.state == State::Deleted {
            gone = gone.saturating_add(1);
        }
    }
    Ok(gone)
}
