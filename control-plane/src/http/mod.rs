//! The HTTP side: routes, who calls, and what errors look like.

mod admin;
mod assertions;
mod body;
mod caller;
mod catalogue;
mod health;
mod limits;
mod me;
mod middleware;
mod openapi;
mod page;
mod problem;
mod problems;
mod runners;
mod ui;
mod validators;
mod views;
mod webhooks;

pub use catalogue::{PROBLEM_TYPES, ProblemType};
pub use limits::Bounds;
pub use openapi::description;
pub use problem::{ApiError, Problem};
pub use webhooks::Webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use identity::Verifier;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::config::UiConfig;
use crate::doctor;
use crate::operations::App;
use assertions::Assertions;
use caller::DenialBudget;
use limits::Limits;
use ui::Ui;

/// No request needs more: 100 labels of 100 characters and a name.
const MAX_BODY: usize = 32 * 1024;

/// What handlers work with.
pub struct Web {
    /// The operations' parts.
    pub app: Arc<App>,
    assertions: Assertions,
    denials: DenialBudget,
    refusals: DenialBudget,
    webhooks: Webhooks,
    ui: Option<Ui>,
    limits: Limits,
    /// A runner that has been draining for longer is stuck.
    stuck_after: TimeDelta,
}

impl Web {
    /// Handlers that believe assertions which this verifier accepts, and deliveries that these webhooks accept, within
    /// these bounds; with a page if people can sign in. A runner that has been draining for longer than `stuck_after` is
    /// shown as stuck.
    pub fn new(
        app: Arc<App>,
        verifier: Verifier,
        webhooks: Webhooks,
        ui: Option<UiConfig>,
        bounds: Bounds,
        stuck_after: Duration,
    ) -> Arc<Self> {
        let ui = ui.and_then(Ui::new);
        let (assertions, limits) = (Assertions::new(verifier), Limits::new(bounds));
        let (denials, refusals) = Default::default();
        let stuck_after = TimeDelta::from_std(stuck_after).unwrap_or(TimeDelta::MAX);
        Arc::new(Self { app, assertions, denials, refusals, webhooks, ui, limits, stuck_after })
    }

    /// Who has been draining since before this time is stuck.
    fn stuck_before(&self) -> DateTime<Utc> {
        doctor::stuck_before(self.stuck_after, self.app.clock.now())
    }
}

/// Every route of the service.
pub fn router(web: Arc<Web>) -> Router {
    let timeout = web.limits.timeout;
    let webhook = post(webhooks::receive).layer(DefaultBodyLimit::max(webhooks::MAX_BODY));
    let limited = Router::new()
        .nest("/api/v1/admin", admin::routes(Arc::clone(&web)))
        .route("/api/v1/me", get(me::me))
        .route("/api/v1/runners", get(runners::list))
        .route("/api/v1/runners/provision", post(runners::provision))
        .route("/api/v1/runners/{name}", get(runners::read).delete(runners::deprovision))
        .route("/api/v1/runners/{name}/refresh", post(runners::refresh))
        .route("/webhooks/github", webhook)
        .route_layer(axum::middleware::from_fn(validators::validated))
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&web), limits::at_a_time));
    Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/docs", get(page::docs))
        .merge(ui::routes())
        .merge(limited)
        .with_state(Arc::clone(&web))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn_with_state(web, middleware::frame))
}
