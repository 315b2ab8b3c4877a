//! The HTTP side: routes, who calls, and what errors look like.

mod admin;
mod body;
mod caller;
mod catalogue;
mod health;
mod limits;
mod middleware;
mod openapi;
mod problem;
mod runners;
mod views;
mod webhooks;

pub use catalogue::{PROBLEM_TYPES, ProblemType};
pub use openapi::description;
pub use problem::{ApiError, Problem};
pub use webhooks::Webhooks;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use identity::Verifier;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::operations::App;
use caller::DenialBudget;
use limits::Limits;

/// No request needs more: 100 labels of 100 characters and a name.
const MAX_BODY: usize = 32 * 1024;
/// Below the 60 s of the edge, so that the answer is a problem of ours and not a cut connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(50);

/// What handlers work with.
pub struct Web {
    /// The operations' parts.
    pub app: Arc<App>,
    verifier: Verifier,
    denials: DenialBudget,
    refusals: DenialBudget,
    webhooks: Webhooks,
    limits: Limits,
}

impl Web {
    /// Handlers that believe assertions which this verifier accepts, and deliveries that these webhooks accept; each
    /// principal may ask so often a minute.
    pub fn new(app: Arc<App>, verifier: Verifier, webhooks: Webhooks, per_minute: Option<NonZeroU32>) -> Arc<Self> {
        let limits = Limits::new(per_minute);
        let (denials, refusals) = Default::default();
        Arc::new(Self { app, verifier, denials, refusals, webhooks, limits })
    }
}

/// Every route of the service.
pub fn router(web: Arc<Web>) -> Router {
    let webhook = post(webhooks::receive).layer(DefaultBodyLimit::max(webhooks::MAX_BODY));
    let limited = Router::new()
        .nest("/api/v1/admin", admin::routes(Arc::clone(&web)))
        .route("/api/v1/runners", get(runners::list))
        .route("/api/v1/runners/provision", post(runners::provision))
        .route("/api/v1/runners/{name}", get(runners::read).delete(runners::deprovision))
        .route("/api/v1/runners/{name}/refresh", post(runners::refresh))
        .route("/webhooks/github", webhook)
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&web), limits::at_a_time));
    Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .merge(openapi::routes())
        .merge(limited)
        .with_state(web)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn(middleware::frame))
}
