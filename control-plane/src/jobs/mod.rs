//! What the service does on its own: keep its records and GitHub in step.
//!
//! Any number of replicas may run; [`Turn`] lets one of them do a job at a time. When that one dies, freezes or is cut
//! off, another takes over within seconds.

mod audit;
mod cleanup;
mod drains;
mod interrupted;
mod reconcile;
mod turn;

pub use audit::{checkpoint, push, seal};
pub use cleanup::{Action, Cleaned, cleanup, cleanup_among};
pub use drains::drains;
pub use reconcile::{Summary, reconcile};
pub use turn::{Lost, Turn, try_turn, wait_for_turn};

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::causes::causes;
use crate::config::{AuditConfig, JobsConfig};
use crate::operations::{App, OperationError};
use crate::store::job_runs::{self, JobRun, Report};
use crate::store::{deliveries, history, idempotency};
use crate::trace::{self, Span};

/// How often a replica looks whether a job is due: so quickly it takes over from one that died.
const LOOK: Duration = Duration::from_millis(500);
/// How often the drain queue is looked at; each runner in it has its own, longer pauses.
const DRAIN_INTERVAL: Duration = Duration::from_secs(5);

/// What is done on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Compare the records with GitHub, clean up, forget what is old.
    Upkeep,
    /// Take away runners that were waited for.
    Drains,
    /// Seal the audit log, and send it on.
    Audit,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Upkeep, Self::Drains, Self::Audit];

    /// As locks, records and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upkeep => "upkeep",
            Self::Drains => "drains",
            Self::Audit => "audit",
        }
    }

    /// The name of the lock that stands for the turn.
    fn lock(self) -> String {
        format!("runner-tokens {}", self.name())
    }
}

/// Each job with its newest run, if one ever came to its end, and whether somebody is at it now, here or elsewhere.
pub async fn states(conn: &mut PgConnection) -> sqlx::Result<Vec<(Job, Option<JobRun>, bool)>> {
    let (runs, taken) = (job_runs::all(conn).await?, turn::taken(conn).await?);
    let state = |job: Job| (job, runs.iter().find(|run| run.job == job.name()).cloned(), taken.contains(&job));
    Ok(Job::ALL.into_iter().map(state).collect())
}

/// A job with what it needs to know.
#[derive(Clone, Copy)]
enum Work<'a> {
    Upkeep(JobsConfig),
    Drains(JobsConfig),
    Audit(&'a AuditConfig),
}

impl Work<'_> {
    fn job(self) -> Job {
        match self {
            Self::Upkeep(_) => Job::Upkeep,
            Self::Drains(_) => Job::Drains,
            Self::Audit(_) => Job::Audit,
        }
    }

    fn interval(self) -> Duration {
        match self {
            Self::Upkeep(config) => config.interval,
            Self::Drains(config) => DRAIN_INTERVAL.min(config.interval),
            Self::Audit(config) => config.seal_interval,
        }
    }

    fn span(self) -> TimeDelta {
        TimeDelta::from_std(self.interval()).unwrap_or(TimeDelta::MAX)
    }

    async fn once(self, app: &App, turn: &Turn) -> Result<(), OperationError> {
        match self {
            Self::Upkeep(config) => upkeep(app, config, turn).await,
            Self::Drains(_) => drains(app, &app.system("drain"), turn).await.map(drop),
            Self::Audit(config) => audit::round(app, config, turn).await,
        }
    }
}

/// Does the jobs at every interval until told to end. A failure is logged, and the next turn tries again.
pub async fn run(app: Arc<App>, config: JobsConfig, end: CancellationToken) {
    tokio::join!(repeat(&app, Work::Upkeep(config), &end), repeat(&app, Work::Drains(config), &end));
}

/// The same for the audit log.
pub async fn run_audit(app: Arc<App>, config: AuditConfig, end: CancellationToken) {
    repeat(&app, Work::Audit(&config), &end).await;
}

async fn repeat(app: &App, work: Work<'_>, end: &CancellationToken) {
    let mut ticks = interval(LOOK.min(work.interval()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // What is half done when the end comes is put right by the next turn, here or elsewhere.
        tokio::select! {
            () = end.cancelled() => return,
            () = traced_round(app, work) => {}
        }
    }
}

/// A round as a trace of its own. A failure is for the log: the next turn tries again.
async fn traced_round(app: &App, work: Work<'_>) {
    let (job, span) = (work.job().name(), Span::first());
    let logged = tracing::error_span!("job", name = job, trace_id = span.trace_id(), span_id = span.span_id());
    let round = async {
        // In a box, or the loops around it grow large.
        if let Err(error) = Box::pin(round(app, work)).await {
            tracing::warn!(job, error = %causes(&error), "a job failed; its next turn tries again");
        }
    };
    span.scope(round).instrument(logged).await;
}

async fn round(app: &App, work: Work<'_>) -> Result<(), OperationError> {
    if !is_due(app, work).await? {
        return Ok(());
    }
    let Some(turn) = try_turn(app, work.job()).await? else { return Ok(()) };
    let outcome = turn.hold(in_turn(app, work, &turn)).await;
    if outcome.is_err() {
        app.metrics.jobs.lost(work.job());
    }
    turn.release_now().await?;
    outcome?
}

async fn in_turn(app: &App, work: Work<'_>, turn: &Turn) -> Result<(), OperationError> {
    // Another replica may have done it between the look and the turn.
    if !is_due(app, work).await? {
        return Ok(());
    }
    let (started, begun) = (app.clock.now(), Instant::now());
    let mut traced = trace::current().map(|span| trace::Work::job(span, work.job().name()));
    let outcome = work.once(app, turn).await;
    if let Some(traced) = traced.as_mut().filter(|_| outcome.is_err()) {
        traced.failed();
    }
    drop(traced);
    app.metrics.jobs.ended(work.job(), started, begun.elapsed(), outcome.is_ok());
    let told = Report {
        problem: outcome.as_ref().err().map(OperationError::brief),
        replica: app.replica.clone(),
        next_at: started.checked_add_signed(work.span()).unwrap_or(started),
    };
    // A failed run counts too, or GitHub would be asked all the time while it is down.
    job_runs::set_done(&mut *app.connection().await?, work.job().name(), started, &told).await?;
    outcome
}

async fn is_due(app: &App, work: Work<'_>) -> Result<bool, OperationError> {
    let done = job_runs::done_at(&mut *app.connection().await?, work.job().name()).await?;
    Ok(done.is_none_or(|done| done <= before(app.clock.now(), work.span())))
}

async fn upkeep(app: &App, config: JobsConfig, turn: &Turn) -> Result<(), OperationError> {
    let reconciled = reconcile(app, &app.system("reconcile"), turn).await;
    cleanup(app, &app.system("cleanup"), config.stale_after_hours, false, turn).await?;
    idempotency::prune(&mut *app.connection().await?, app.clock.now()).await?;
    deliveries::prune(&mut *app.connection().await?, app.clock.now()).await?;
    history::sample(&mut *app.connection().await?, app.clock.now()).await?;
    let summary = reconciled?;
    tracing::debug!(?summary, "a round of upkeep is done");
    Ok(())
}

/// So long ago, but not before 1970: nothing here is that old, and Postgres knows no time that is much older.
fn before(now: DateTime<Utc>, span: TimeDelta) -> DateTime<Utc> {
    now.checked_sub_signed(span).unwrap_or_default().max(DateTime::UNIX_EPOCH)
}
