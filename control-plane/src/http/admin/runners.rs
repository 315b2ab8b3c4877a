//! Everybody's runners, and nobody's.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::Admin;
use crate::http::body::invalid;
use crate::http::openapi::ProblemBody;
use crate::http::runners::page_size;
use crate::http::views::{Owner, RunnerView, view};
use crate::http::{ApiError, Web};
use crate::operations::{App, OperationError};
use crate::runner::State as RunnerState;
use crate::store::cache::{self, Unmanaged};
use crate::store::runners::{Runner, Search, search};

#[derive(Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AllQuery {
    /// Only of this state; all but deleted ones unless given.
    status: Option<RunnerState>,
    /// Only with this label.
    label: Option<String>,
    /// Only of this owner or caller: the name of an owner, a subject or a display name.
    user: Option<String>,
    /// With `true` only those that have been draining for longer than `DRAIN_STUCK_SECONDS`.
    stuck: Option<bool>,
    /// How many a page, 1 to 100; 50 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// A page of everybody's runners.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct AllRunners {
    /// The oldest first.
    runners: Vec<OwnedRunner>,
    /// Where the next page starts, if there is one.
    next_cursor: Option<Uuid>,
}

/// A runner and whose it is.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct OwnedRunner {
    #[serde(flatten)]
    runner: RunnerView,
    owner: Owner,
}

pub(super) fn owned(app: &App, runner: Runner) -> Result<OwnedRunner, OperationError> {
    Ok(OwnedRunner { owner: runner.owner().into(), runner: view(app, runner)? })
}

/// Lists everybody's runners, the oldest first.
#[utoipa::path(get, path = "/api/v1/admin/runners", tag = "admin",
    params(AllQuery),
    responses(
        (status = 200, description = "A page of them.", body = AllRunners, example = json!({
            "runners": [], "next_cursor": null
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn runners(
    State(web): State<Arc<Web>>,
    admin: Admin,
    query: Result<Query<AllQuery>, QueryRejection>,
) -> Result<Json<AllRunners>, ApiError> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let limit = page_size(query.limit)?;
    if [&query.label, &query.user].into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(invalid("label, user: no such characters occur"));
    }
    admin.record_read(&web, "runners", json!(query)).await?;
    let wanted = Search {
        state: query.status,
        user: query.user,
        label: query.label.map(|label| label.to_ascii_lowercase()),
        draining_since_before: query.stuck.filter(|only| *only).map(|_| web.stuck_before()),
        after: query.cursor,
        // One more than asked for tells whether there is a next page.
        limit: Some(limit.saturating_add(1)),
    };
    let mut found = search(&mut *web.app.connection().await?, &wanted).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found > limit);
    found.truncate(usize::try_from(limit).unwrap_or_default());
    let next_cursor = found.last().filter(|_| more).map(|runner| runner.id);
    let runners = found.into_iter().map(|runner| owned(&web.app, runner)).collect::<Result<_, _>>()?;
    Ok(Json(AllRunners { runners, next_cursor }))
}

/// Runners on GitHub that this service did not register.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct UnmanagedRunners {
    /// As of the newest comparison with GitHub.
    runners: Vec<Unmanaged>,
    /// How many there are.
    total: usize,
}

/// Lists runners on GitHub that this service did not register, as of the newest comparison.
#[utoipa::path(get, path = "/api/v1/admin/unmanaged-runners", tag = "admin",
    responses(
        (status = 200, description = "All of them.", body = UnmanagedRunners, example = json!({
            "runners": [{
                "target": "org:acme-partners", "github_runner_id": 7, "name": "old-box", "status": "online",
                "busy": false, "labels": ["self-hosted"], "first_seen_at": "2026-11-23T12:00:00Z",
                "seen_at": "2026-11-23T12:01:00Z"
            }],
            "total": 1
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn unmanaged(
    State(web): State<Arc<Web>>,
    admin: Admin,
) -> Result<Json<UnmanagedRunners>, ApiError> {
    admin.record_read(&web, "unmanaged-runners", json!({})).await?;
    let runners = cache::unmanaged(&mut *web.app.connection().await?).await?;
    Ok(Json(UnmanagedRunners { total: runners.len(), runners }))
}
