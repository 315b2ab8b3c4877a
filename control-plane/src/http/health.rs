//! Whether the service lives, and whether it can serve.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Web;
use crate::store::schema;

/// An answer that takes longer is no answer to whoever watches.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// `GET /health`
pub(super) async fn health(State(web): State<Arc<Web>>) -> Json<Value> {
    let (now, policy) = (web.app.clock.now(), web.app.policy.status());
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "timestamp": now, "policy": policy}))
}

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /health/ready`: the database answers and has the migrations, and there are keys to verify callers with.
pub(super) async fn ready(State(web): State<Arc<Web>>) -> (StatusCode, Json<Value>) {
    let database = match timeout(CHECK_TIMEOUT, schema::check(&web.app.pool)).await {
        Ok(Ok(())) => "ok",
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            "failed"
        }
        Err(_) => "timed out",
    };
    let keys = web.verifier.key_ids().count();
    let ready = database == "ok" && keys > 0;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ready" } else { "not ready" };
    (status, Json(json!({"status": word, "database": database, "identity_keys": keys})))
}
