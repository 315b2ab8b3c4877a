//! How the service does: what GitHub leaves it, its jobs, what is stuck, and the seal of the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::Admin;
use super::runners::{OwnedRunner, owned};
use crate::audit::Checkpoint;
use crate::doctor::{self, Finding};
use crate::github::BudgetState;
use crate::http::openapi::ProblemBody;
use crate::http::{ApiError, Web};
use crate::jobs::{self, Job};
use crate::store::job_runs::{JobRun, Report};
use crate::store::readings::Backlog;
use crate::store::{audit_seals, readings, runners};

/// So many checkpoints are told.
const CHECKPOINTS: i64 = 5;

/// How the service does.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct Status {
    /// The process that answers, as `jobs` name it: the name of its machine, and its id there.
    replica: String,
    version: &'static str,
    /// As `runner-tokens doctor` has them.
    findings: Vec<Finding>,
    /// What each installation may still ask, as GitHub told the process that answers.
    github: Vec<GithubBudget>,
    jobs: Vec<JobStatus>,
    drains: DrainQueue,
    audit: SealStatus,
}

/// What an installation may still ask of GitHub.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct GithubBudget {
    /// The account that it is of; `enterprise` for the enterprise token.
    account: String,
    /// Calls an hour; none before GitHub has told.
    limit: Option<u64>,
    /// Calls that are left; none when the hour that GitHub told of is over.
    remaining: Option<u64>,
    /// When all of them are there again.
    resets_at: Option<DateTime<Utc>>,
    /// Until when GitHub asked not to be called at all.
    paused_until: Option<DateTime<Utc>>,
}

impl GithubBudget {
    fn of(budget: BudgetState, now: DateTime<Utc>) -> Self {
        let current = budget.hour_at(now);
        Self {
            limit: budget.hour.map(|hour| hour.limit),
            remaining: current.map(|hour| hour.remaining),
            resets_at: current.map(|hour| hour.resets_at),
            paused_until: budget.pause_at(now),
            account: budget.account,
        }
    }
}

/// A job: one process at a time does it, whichever looks first when it is due.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct JobStatus {
    /// `upkeep`, `drains` or `audit`.
    job: &'static str,
    /// Whether a process is at it now.
    running: bool,
    /// Start of the newest run that came to its end, of all replicas.
    last_run_at: Option<DateTime<Utc>>,
    /// Whether that went well; none if an older version of the service did it.
    succeeded: Option<bool>,
    /// Why it did not.
    problem: Option<String>,
    /// The process that did it.
    replica: Option<String>,
    /// When the next one is due.
    next_run_at: Option<DateTime<Utc>>,
}

impl JobStatus {
    fn of(job: Job, run: Option<&JobRun>, running: bool) -> Self {
        let report = run.and_then(|run| run.report.as_ref());
        Self {
            job: job.name(),
            running,
            last_run_at: run.map(|run| run.done_at),
            succeeded: report.map(|report| report.problem.is_none()),
            problem: report.and_then(|Report { problem, .. }| problem.clone()),
            replica: report.map(|report| report.replica.clone()),
            next_run_at: report.map(|report| report.next_at),
        }
    }
}

/// Runners that are to go as soon as they are idle.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct DrainQueue {
    waiting: i64,
    /// For how long the oldest of them waits.
    oldest_seconds: i64,
    /// Who waits for longer than this is stuck (`DRAIN_STUCK_SECONDS`).
    stuck_after_seconds: i64,
    /// The 100 that have waited longest of those that are stuck, each with the reason.
    stuck: Vec<OwnedRunner>,
}

/// How far the audit log is sealed.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct SealStatus {
    /// The position of the newest sealed entry; none before the first.
    sealed_position: Option<i64>,
    /// When that entry was made.
    sealed_until: Option<DateTime<Utc>>,
    /// Entries without a seal, at most 100,000.
    unsealed: i64,
    /// For how long the oldest of them waits.
    lag_seconds: i64,
    /// How old the oldest transaction is that sealing waits for.
    waits_for_seconds: Option<f64>,
    /// The newest ones, the newest first.
    checkpoints: Vec<CheckpointStatus>,
}

/// A checkpoint of the audit log's chain.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct CheckpointStatus {
    position: i64,
    /// The seal there, in hex.
    seal: String,
    made_at: DateTime<Utc>,
    /// SHA-256 of the key that signed it, in hex; none if it is not signed.
    key_id: Option<String>,
    /// Whether it, or a newer one, has left the database.
    published: bool,
}

/// Tells how the service does: what GitHub leaves it, its jobs, which runners are stuck, how far the audit log is sealed.
///
/// GitHub is not asked: what it told with its newest answers counts.
#[utoipa::path(get, path = "/api/v1/admin/status", tag = "admin",
    responses(
        (status = 200, description = "How it does.", body = Status, example = json!({
            "replica": "runner-tokens-7d4b9:1", "version": "0.1.0",
            "findings": [{"check": "drains", "level": "ok", "what": "no runner is stuck", "fix": null}],
            "github": [{
                "account": "acme-partners", "limit": 5000, "remaining": 4712, "resets_at": "2026-11-23T12:41:07Z",
                "paused_until": null
            }],
            "jobs": [{
                "job": "upkeep", "running": false, "last_run_at": "2026-11-23T12:00:00Z", "succeeded": true,
                "problem": null, "replica": "runner-tokens-7d4b9:1", "next_run_at": "2026-11-23T12:01:00Z"
            }],
            "drains": {"waiting": 0, "oldest_seconds": 0, "stuck_after_seconds": 21600, "stuck": []},
            "audit": {
                "sealed_position": 4711, "sealed_until": "2026-11-23T11:59:57Z", "unsealed": 2, "lag_seconds": 3,
                "waits_for_seconds": null, "checkpoints": []
            }
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn status(State(web): State<Arc<Web>>, admin: Admin) -> Result<Json<Status>, ApiError> {
    admin.record_read(&web, "status", json!({})).await?;
    let mut conn = web.app.connection().await?;
    let now = web.app.clock.now();
    let budgets = web.app.github.budgets();
    let mut findings: Vec<Finding> = budgets.iter().filter_map(|each| doctor::budget(each, now)).collect();
    let jobs = jobs(&mut conn, now, &mut findings).await?;
    let drains = drains(&web, &mut conn, now, &mut findings).await?;
    let audit = seals(&mut conn, &mut findings).await?;
    Ok(Json(Status {
        replica: web.app.replica.clone(),
        version: env!("CARGO_PKG_VERSION"),
        findings,
        github: budgets.into_iter().map(|budget| GithubBudget::of(budget, now)).collect(),
        jobs,
        drains,
        audit,
    }))
}

async fn jobs(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    findings: &mut Vec<Finding>,
) -> sqlx::Result<Vec<JobStatus>> {
    let status = jobs::states(conn).await?.into_iter().map(|(job, run, is_running)| {
        findings.push(doctor::job(job, run.as_ref(), is_running, now));
        JobStatus::of(job, run.as_ref(), is_running)
    });
    Ok(status.collect())
}

async fn drains(
    web: &Web,
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    findings: &mut Vec<Finding>,
) -> Result<DrainQueue, ApiError> {
    let Backlog { length, oldest_seconds } = readings::drain_queue(conn, now).await?;
    let stuck = runners::draining_since_before(conn, web.stuck_before(), doctor::MAX_STUCK).await?;
    findings.push(doctor::drains(stuck.len(), web.stuck_after));
    Ok(DrainQueue {
        waiting: length,
        oldest_seconds,
        stuck_after_seconds: web.stuck_after.num_seconds(),
        stuck: stuck.into_iter().map(|runner| owned(&web.app, runner)).collect::<Result<_, _>>()?,
    })
}

async fn seals(conn: &mut PgConnection, findings: &mut Vec<Finding>) -> sqlx::Result<SealStatus> {
    let (head, unsealed) = (audit_seals::head(conn).await?, readings::unsealed(conn).await?);
    let waits = audit_seals::waits_for(conn).await?;
    findings.push(doctor::sealing(&unsealed, waits));
    let published = audit_seals::sent(conn).await?.published;
    let checkpoints = audit_seals::last_checkpoints(conn, CHECKPOINTS).await?;
    let told = |Checkpoint { position, seal, made_at, key_id, .. }| CheckpointStatus {
        published: position <= published,
        position,
        seal,
        made_at,
        key_id,
    };
    Ok(SealStatus {
        sealed_position: head.as_ref().map(|head| head.position),
        sealed_until: head.map(|head| head.occurred_at),
        unsealed: unsealed.length,
        lag_seconds: unsealed.oldest_seconds,
        waits_for_seconds: waits,
        checkpoints: checkpoints.into_iter().map(told).collect(),
    })
}
