//! `/api/v1/runners`

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use uuid::Uuid;

use super::body::{invalid, parse};
use super::caller::Admitted;
use super::openapi::ProblemBody;
use super::views::{ListView, ProvisionView, RunnerView, answer, view};
use super::{ApiError, Web};
use crate::operations::{self, Caller, ListCall, ProvisionCall};
use crate::policy::ProvisionRequest;
use crate::runner::State as RunnerState;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_IDEMPOTENCY_KEY: usize = 255;
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 100;

/// Has a runner registered.
///
/// The answer holds the secret that its machine registers with; it is given once and stored nowhere.
#[utoipa::path(post, path = "/api/v1/runners/provision", tag = "runners",
    request_body(content = ProvisionRequest, example = json!({"runner_name": "build-7", "labels": ["gpu"]})),
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body is about the same runner, with a fresh secret")),
    responses(
        (status = 201, description = "Registered.", body = ProvisionView, example = json!({
            "runner_id": "0193b1c2-7d5e-7000-8000-5a1f0c9e2b44", "runner_name": "build-7",
            "github_url": "https://github.com/acme-partners", "expires_at": "2026-11-23T13:00:00Z",
            "runner_group_id": 1, "labels": ["gpu"], "ephemeral": true,
            "configuration_command": "./config.sh --url … --token … --name build-7 --labels gpu --ephemeral --unattended",
            "registration_token": "…"
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn provision(
    State(web): State<Arc<Web>>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<ProvisionView>), ApiError> {
    let parsed = idempotency_key(&headers).and_then(|key| Ok((key, parse::<ProvisionRequest>(&headers, body)?)));
    let (idempotency_key, request) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            operations::deny_provision(&web.app, &caller, None, vec![error.to_string()]).await?;
            return Err(error);
        }
    };
    let call = ProvisionCall { caller, request, idempotency_key };
    let provisioned = operations::provision(Arc::clone(&web.app), call).await?;
    Ok((StatusCode::CREATED, Json(answer(provisioned))))
}

/// The `Idempotency-Key` of a request: printable ASCII without spaces, once.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(IDEMPOTENCY_KEY) {
            Err(invalid("Idempotency-Key: sent more than once"))
        } else {
            Ok(None)
        };
    };
    let key = value.to_str().unwrap_or_default();
    if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) && key.chars().all(|each| each.is_ascii_graphic()) {
        return Ok(Some(key.to_owned()));
    }
    Err(invalid(format!("Idempotency-Key: must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters, no spaces")))
}

/// How many a page has.
pub(super) fn page_size(limit: Option<i64>) -> Result<i64, ApiError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(invalid(format!("limit: must be from 1 to {MAX_LIMIT}")))
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only of this state; all but deleted ones unless given.
    status: Option<RunnerState>,
    /// Only with this label.
    label: Option<String>,
    /// How many a page, 1 to 100; 50 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// Lists your runners, the newest first.
#[utoipa::path(get, path = "/api/v1/runners", tag = "runners",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = ListView, example = json!({
            "runners": [], "total": 0, "next_cursor": null
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    mut admitted: Admitted,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListView>, ApiError> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let limit = page_size(query.limit)?;
    if query.label.as_ref().is_some_and(|label| label.contains('\0')) {
        return Err(invalid("label: no label has such characters"));
    }
    let label = query.label.map(|label| label.to_ascii_lowercase());
    let call = ListCall { state: query.status, label, before: query.cursor, limit };
    let listing = operations::list(&mut admitted.connection, &admitted.caller, &call).await?;
    let runners = listing.runners.into_iter().map(|runner| view(&web.app, runner)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(ListView { runners, total: listing.total, next_cursor: listing.next }))
}

/// Shows one of your runners.
#[utoipa::path(get, path = "/api/v1/runners/{name}", tag = "runners",
    params(("name" = String, Path, description = "The runner's name or its id")),
    responses(
        (status = 200, description = "As recorded.", body = RunnerView, example = json!({
    "runner_id": "0193b1c2-7d5e-7000-8000-5a1f0c9e2b44", "runner_name": "build-7", "status": "active",
    "deleted_reason": null, "busy": true, "target": "org:acme-partners",
    "github_url": "https://github.com/acme-partners", "github_runner_id": 42, "runner_group_id": 1,
    "labels": ["gpu"], "ephemeral": true, "mode": "registration-token", "expires_at": "2026-11-23T13:00:00Z",
    "provisioned_by": "ci@acme.example", "created_at": "2026-11-23T12:00:00Z", "updated_at": "2026-11-23T12:01:00Z",
    "deleted_at": null, "offline_since": null, "drain": null, "drift": null
})),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn read(
    State(web): State<Arc<Web>>,
    mut admitted: Admitted,
    Path(name): Path<String>,
) -> Result<Json<RunnerView>, ApiError> {
    let runner = operations::read(&mut admitted.connection, &admitted.caller, &name).await?;
    Ok(Json(view(&web.app, runner)?))
}

/// Asks GitHub about one of your runners now.
#[utoipa::path(post, path = "/api/v1/runners/{name}/refresh", tag = "runners",
    params(("name" = String, Path, description = "The runner's name or its id")),
    responses(
        (status = 200, description = "As GitHub has it.", body = RunnerView, example = json!({
    "runner_id": "0193b1c2-7d5e-7000-8000-5a1f0c9e2b44", "runner_name": "build-7", "status": "active",
    "deleted_reason": null, "busy": true, "target": "org:acme-partners",
    "github_url": "https://github.com/acme-partners", "github_runner_id": 42, "runner_group_id": 1,
    "labels": ["gpu"], "ephemeral": true, "mode": "registration-token", "expires_at": "2026-11-23T13:00:00Z",
    "provisioned_by": "ci@acme.example", "created_at": "2026-11-23T12:00:00Z", "updated_at": "2026-11-23T12:01:00Z",
    "deleted_at": null, "offline_since": null, "drain": null, "drift": null
})),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn refresh(
    State(web): State<Arc<Web>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RunnerView>, ApiError> {
    let runner = operations::refresh(&web.app, &caller, &name).await?;
    Ok(Json(view(&web.app, runner)?))
}

/// Options of a deletion; an unknown one must not be taken for done.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Take a busy runner away when its job has ended.
    #[serde(default)]
    #[param(required = false)]
    drain: bool,
}

/// Deletes one of your runners, at GitHub first.
#[utoipa::path(delete, path = "/api/v1/runners/{name}", tag = "runners",
    params(("name" = String, Path, description = "The runner's name or its id"),
        DeleteQuery),
    responses(
        (status = 200, description = "Deleted.", body = RunnerView, example = json!({
    "runner_id": "0193b1c2-7d5e-7000-8000-5a1f0c9e2b44", "runner_name": "build-7", "status": "deleted",
    "deleted_reason": "deprovisioned", "busy": false, "target": "org:acme-partners",
    "github_url": "https://github.com/acme-partners", "github_runner_id": 42, "runner_group_id": 1,
    "labels": ["gpu"], "ephemeral": true, "mode": "registration-token", "expires_at": "2026-11-23T13:00:00Z",
    "provisioned_by": "ci@acme.example", "created_at": "2026-11-23T12:00:00Z", "updated_at": "2026-11-23T12:01:00Z",
    "deleted_at": "2026-11-23T12:01:00Z", "offline_since": null, "drain": null,
    "drift": null
})),
        (status = 202, description = "Busy; it goes when its job has ended.", body = RunnerView),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn deprovision(
    State(web): State<Arc<Web>>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
) -> Result<(StatusCode, Json<RunnerView>), ApiError> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let app = Arc::clone(&web.app);
    let runner = if query.drain {
        operations::drain(app, caller, name).await?
    } else {
        operations::deprovision(app, caller, name).await?
    };
    let status = if runner.state == RunnerState::Deleted { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(view(&web.app, runner)?)))
}
