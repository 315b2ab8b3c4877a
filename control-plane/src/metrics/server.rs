//! The port that Prometheus asks.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus::TEXT_FORMAT;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::scrape::scrape;
use crate::operations::App;

/// Each answer reads from the database, which has more important work: one for each of two Prometheus servers.
const AT_A_TIME: usize = 2;

struct Port {
    app: Arc<App>,
    free: Semaphore,
}

/// Answers `GET /metrics`.
pub async fn serve(listener: TcpListener, app: Arc<App>) -> std::io::Result<()> {
    let port = Arc::new(Port { app, free: Semaphore::new(AT_A_TIME) });
    let router = Router::new().route("/metrics", get(metrics)).with_state(port);
    axum::serve(listener, router).await
}

async fn metrics(State(port): State<Arc<Port>>) -> Response {
    let Ok(_free) = port.free.try_acquire() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match scrape(&port.app).await {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
