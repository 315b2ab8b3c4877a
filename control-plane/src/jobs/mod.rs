//! What the service does on its own: keep its records and GitHub in step.
//!
//! Any number of replicas may run; an advisory lock of PostgreSQL lets one of them work at a time. The lock ends with
//! its connection, so when a replica dies another takes over at its next turn.

mod cleanup;
mod interrupted;
mod reconcile;

pub use cleanup::{Action, Cleaned, cleanup};
pub use reconcile::{Summary, reconcile};

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgAdvisoryLock, PgAdvisoryLockGuard};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::audit::{Actor, Origin};
use crate::config::JobsConfig;
use crate::operations::{App, OperationError};
use crate::store::{deliveries, idempotency};

/// Proof that this process alone does the jobs.
pub type Turn = PgAdvisoryLockGuard<PoolConnection<Postgres>>;

fn lock() -> PgAdvisoryLock {
    PgAdvisoryLock::new("runner-tokens jobs")
}

/// The turn, if nobody has it.
pub async fn try_turn(app: &App) -> sqlx::Result<Option<Turn>> {
    Ok(lock().try_acquire(app.connection().await?).await?.left())
}

/// The turn, as soon as nobody else has it.
pub async fn wait_for_turn(app: &App) -> sqlx::Result<Turn> {
    lock().acquire(app.connection().await?).await
}

/// Does the jobs at every interval until told to end. A failure is logged, and the next turn tries again.
pub async fn run(app: Arc<App>, config: JobsConfig, end: CancellationToken) {
    let mut ticks = interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // What is half done when the end comes is put right by the next turn, here or elsewhere.
        tokio::select! {
            () = end.cancelled() => return,
            result = round(&app, config) => {
                if let Err(error) = result {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "a round of jobs failed; the next one tries again");
                }
            }
        }
    }
}

async fn round(app: &App, config: JobsConfig) -> Result<(), OperationError> {
    let Some(turn) = try_turn(app).await? else {
        tracing::debug!("another replica does the jobs");
        return Ok(());
    };
    let outcome = do_all(app, config, &turn).await;
    turn.release_now().await?;
    outcome
}

async fn do_all(app: &App, config: JobsConfig, turn: &Turn) -> Result<(), OperationError> {
    let reconciled = reconcile(app, &Origin::local(Actor::System("reconcile")), turn).await;
    cleanup(app, &Origin::local(Actor::System("cleanup")), config.stale_after_hours, false, turn).await?;
    idempotency::prune(&mut *app.connection().await?, app.clock.now()).await?;
    deliveries::prune(&mut *app.connection().await?, app.clock.now()).await?;
    let summary = reconciled?;
    tracing::debug!(?summary, "a round of jobs is done");
    Ok(())
}

/// So long ago.
fn before(now: DateTime<Utc>, span: TimeDelta) -> DateTime<Utc> {
    now.checked_sub_signed(span).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
