//! Whether the service lives, and whether it can serve.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{ApiError, Web};
use crate::store::schema;

/// An answer that takes longer is no answer to whoever watches.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Says that the service runs, which version, and what time it has.
#[utoipa::path(get, path = "/health", tag = "health", security(()), responses(
    (status = 200, description = "It runs.", body = Object, example = json!({
        "status": "ok", "version": "0.1.0", "timestamp": "2026-11-23T12:00:00Z"
    }))
))]
pub(super) async fn health(State(web): State<Arc<Web>>) -> Json<Value> {
    let (now, policy) = (web.app.clock.now(), web.app.policy.status());
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "timestamp": now, "policy": policy}))
}

/// Says that the process answers: if not, restart it.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()), responses(
    (status = 200, description = "It answers.", body = Object, example = json!({"status": "ok"}))
))]
pub(super) async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Says whether it can serve: the database answers and has the migrations, and there are keys to verify callers with.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()), responses(
    (status = 200, description = "It can.", body = Object, example = json!({
        "status": "ready", "database": "ok", "identity_keys": 1
    }))
))]
pub(super) async fn ready(State(web): State<Arc<Web>>) -> Result<Json<Value>, ApiError> {
    let database = match timeout(CHECK_TIMEOUT, schema::check(&web.app.pool)).await {
        Ok(Ok(())) => "ok",
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            "failed"
        }
        Err(_) => "timed out",
    };
    let keys = web.assertions.keys();
    if database != "ok" || keys == 0 {
        return Err(ApiError::NotReady { database, keys });
    }
    Ok(Json(json!({"status": "ready", "database": database, "identity_keys": keys})))
}
