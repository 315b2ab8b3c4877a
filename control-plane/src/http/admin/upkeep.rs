//! What the jobs do on their own, now.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::Admin;
use crate::http::body::parse;
use crate::http::openapi::ProblemBody;
use crate::http::{ApiError, Web};
use crate::jobs::{self, Action, Cleaned, Job, Summary, Turn};
use crate::operations::{App, OperationError};
use crate::runner::State as RunnerState;

/// Compares the records with GitHub now.
#[utoipa::path(post, path = "/api/v1/admin/sync", tag = "admin",
    responses(
        (status = 200, description = "Compared.", body = Summary, example = json!({
            "listed": 12, "compared": 10, "active": 1, "offline": 0, "gone": 2, "resolved": 0, "failed": 0
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn sync(State(web): State<Arc<Web>>, admin: Admin) -> Result<Json<Summary>, ApiError> {
    admin.record_command(&web, "sync", json!({})).await?;
    let (app, origin, turn) = (Arc::clone(&web.app), admin.caller().origin.clone(), turn(&web.app).await?);
    let work = async move {
        let outcome = turn.hold(jobs::reconcile(&app, &origin, &turn)).await;
        turn.release_now().await?;
        outcome?
    };
    Ok(Json(web.app.finish(work).await?))
}

/// Which runners are stale.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CleanupRequest {
    /// Those off line for longer than this.
    hours: u32,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// What was done with runners that looked abandoned.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct CleanupReport {
    dry_run: bool,
    runners: Vec<CleanedRunner>,
}

/// A runner that looked abandoned.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct CleanedRunner {
    runner_id: Uuid,
    runner_name: String,
    target: String,
    /// Before.
    status: RunnerState,
    action: Action,
}

impl From<Cleaned> for CleanedRunner {
    fn from(Cleaned { runner, action }: Cleaned) -> Self {
        Self { runner_id: runner.id, runner_name: runner.name, target: runner.target, status: runner.state, action }
    }
}

/// Deletes runners that are off line for too long, or that no machine ever came on line with.
///
/// Busy runners are kept, and runners that this service did not register never touched.
#[utoipa::path(post, path = "/api/v1/admin/cleanup", tag = "admin",
    request_body(content = CleanupRequest, example = json!({"hours": 48, "dry_run": true})),
    responses(
        (status = 200, description = "Looked at each.", body = CleanupReport, example = json!({
            "dry_run": true, "runners": [{
                "runner_id": "0193b1c2-7d5e-7000-8000-5a1f0c9e2b44", "runner_name": "build-7",
                "target": "org:acme-partners", "status": "offline", "action": "deleted"
            }]
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn cleanup(
    State(web): State<Arc<Web>>,
    admin: Admin,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<CleanupReport>, ApiError> {
    let CleanupRequest { hours, dry_run } = parse(&headers, body)?;
    admin.record_command(&web, "cleanup", json!({"hours": hours, "dry_run": dry_run})).await?;
    let (app, origin, turn) = (Arc::clone(&web.app), admin.caller().origin.clone(), turn(&web.app).await?);
    let work = async move {
        let outcome = turn.hold(jobs::cleanup(&app, &origin, Some(hours), dry_run, &turn)).await;
        turn.release_now().await?;
        outcome?
    };
    let cleaned = web.app.finish(work).await?;
    Ok(Json(CleanupReport { dry_run, runners: cleaned.into_iter().map(CleanedRunner::from).collect() }))
}

/// The turn of the jobs, unless somebody has it.
async fn turn(app: &App) -> Result<Turn, OperationError> {
    jobs::try_turn(app, Job::Upkeep).await?.ok_or(OperationError::TurnTaken)
}
