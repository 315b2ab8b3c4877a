//! `/api/v1/runners`

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::{invalid, parse};
use super::{ApiError, Web};
use crate::operations::{self, App, Caller, ListCall, OperationError, ProvisionCall, Provisioned};
use crate::policy::ProvisionRequest;
use crate::runner::{DeletedReason, Mode, State as RunnerState};
use crate::store::runners::Runner;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_IDEMPOTENCY_KEY: usize = 255;
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 100;

/// `POST /api/v1/runners/provision`
pub(super) async fn provision(
    State(web): State<Arc<Web>>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
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
    Ok((StatusCode::CREATED, Json(answer(&provisioned))))
}

/// The one place where a secret leaves the service.
fn answer(provisioned: &Provisioned) -> Value {
    let Provisioned { runner, secret, github_url } = provisioned;
    let mut answer = json!({
        "runner_id": runner.id,
        "runner_name": runner.name,
        "github_url": github_url,
        "expires_at": secret.expires_at,
        "runner_group_id": runner.runner_group_id,
        "labels": runner.labels,
        "ephemeral": runner.ephemeral,
        "configuration_command": secret.command.expose_secret(),
    });
    if let Some(members) = answer.as_object_mut() {
        let member = if runner.mode == Mode::Jit { "encoded_jit_config" } else { "registration_token" };
        members.insert(member.to_owned(), json!(secret.value.expose_secret()));
        if let Some(id) = secret.github_runner_id {
            members.insert("github_runner_id".to_owned(), json!(id));
        }
    }
    answer
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    status: Option<RunnerState>,
    label: Option<String>,
    limit: Option<i64>,
    cursor: Option<Uuid>,
}

/// `GET /api/v1/runners`
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid(format!("limit: must be from 1 to {MAX_LIMIT}")));
    }
    if query.label.as_ref().is_some_and(|label| label.contains('\0')) {
        return Err(invalid("label: no label has such characters"));
    }
    let label = query.label.map(|label| label.to_ascii_lowercase());
    let call = ListCall { state: query.status, label, before: query.cursor, limit };
    let listing = operations::list(&web.app, &caller, &call).await?;
    let runners = listing.runners.iter().map(|runner| view(&web.app, runner)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(json!({"runners": runners, "total": listing.total, "next_cursor": listing.next})))
}

/// `GET /api/v1/runners/{name}`
pub(super) async fn read(
    State(web): State<Arc<Web>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RunnerView>, ApiError> {
    let runner = operations::read(&web.app, &caller, &name).await?;
    Ok(Json(view(&web.app, &runner)?))
}

/// `POST /api/v1/runners/{name}/refresh`
pub(super) async fn refresh(
    State(web): State<Arc<Web>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RunnerView>, ApiError> {
    let runner = operations::refresh(&web.app, &caller, &name).await?;
    Ok(Json(view(&web.app, &runner)?))
}

/// Options of a deletion; an unknown one must not be taken for done.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    /// Take a busy runner away when its job has ended.
    #[serde(default)]
    drain: bool,
}

/// `DELETE /api/v1/runners/{name}`
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
    Ok((status, Json(view(&web.app, &runner)?)))
}

/// A runner as its owner sees it.
#[derive(Serialize)]
pub(super) struct RunnerView {
    runner_id: Uuid,
    runner_name: String,
    status: RunnerState,
    deleted_reason: Option<DeletedReason>,
    busy: bool,
    target: String,
    github_url: String,
    github_runner_id: Option<i64>,
    runner_group_id: i64,
    labels: Vec<String>,
    ephemeral: bool,
    mode: Mode,
    expires_at: Option<DateTime<Utc>>,
    provisioned_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    drain: Option<DrainView>,
}

/// How far a runner has come that is to go when it is idle.
#[derive(Serialize)]
pub(super) struct DrainView {
    requested_at: DateTime<Utc>,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    waits_because: Option<String>,
}

fn view(app: &App, runner: &Runner) -> Result<RunnerView, OperationError> {
    let runner = runner.clone();
    Ok(RunnerView {
        runner_id: runner.id,
        github_url: runner.target()?.web_url(&app.web_url),
        runner_name: runner.name,
        status: runner.state,
        deleted_reason: runner.deleted_reason,
        busy: runner.busy,
        target: runner.target,
        github_runner_id: runner.github_runner_id,
        runner_group_id: runner.runner_group_id,
        labels: runner.labels,
        ephemeral: runner.ephemeral,
        mode: runner.mode,
        expires_at: runner.secret_expires_at,
        provisioned_by: runner.owner_name,
        created_at: runner.created_at,
        updated_at: runner.updated_at,
        deleted_at: runner.deleted_at,
        drain: runner.drain_requested_at.map(|requested_at| DrainView {
            requested_at,
            attempts: runner.drain_attempts,
            next_attempt_at: runner.drain_next_at.filter(|_| runner.state != RunnerState::Deleted),
            waits_because: runner.drain_error,
        }),
    })
}
