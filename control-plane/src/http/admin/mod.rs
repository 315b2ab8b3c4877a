//! `/api/v1/admin`: what administrators may see and do. Policy says who they are; without a policy file nobody is.
//!
//! The right is checked around all routes at once, so that no call can be added without the check.

mod audit_log;
mod explain;
mod history;
mod principals;
mod runners;
mod status;
mod upkeep;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

pub(super) use audit_log::__path_audit_log;
pub(super) use explain::__path_explain;
pub(super) use history::__path_history;
pub(super) use principals::{__path_principals, __path_restore, __path_revoke};
pub(super) use runners::{__path_runners, __path_unmanaged};
pub(super) use status::__path_status;
pub(super) use upkeep::{__path_cleanup, __path_sync};

use super::{ApiError, Web};
use crate::audit::{Entry, Event, Outcome};
use crate::operations::{Caller, OperationError};

/// A caller who has admin rights; made by the check alone.
#[derive(Clone)]
pub(super) struct Admin(Caller);

/// Every admin call, below `/api/v1/admin`.
pub(super) fn routes(web: Arc<Web>) -> Router<Arc<Web>> {
    Router::new()
        .route("/runners", get(runners::runners))
        .route("/unmanaged-runners", get(runners::unmanaged))
        .route("/status", get(status::status))
        .route("/history", get(history::history))
        .route("/sync", post(upkeep::sync))
        .route("/cleanup", post(upkeep::cleanup))
        .route("/policy/explain", post(explain::explain))
        .route("/audit-log", get(audit_log::audit_log))
        .route("/principals", get(principals::principals))
        .route("/principals/revoke", post(principals::revoke))
        .route("/principals/restore", post(principals::restore))
        .route_layer(from_fn_with_state(web, check))
}

/// Lets administrators through, and records who else tried.
async fn check(State(web): State<Arc<Web>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &web).await?;
    if !caller.policy.is_admin(&caller.identity) {
        let reason = "no rule of the policy gives admin rights to this caller".to_owned();
        let entry = Entry::new(&caller.origin, Event::AdminDenied, Outcome::Denied).reasons([&reason]);
        let entry = entry.details(json!({"method": parts.method.as_str(), "path": parts.uri.path()}));
        entry.record(&mut *web.app.connection().await?).await?;
        let told = "This call is for administrators; no rule of the policy makes you one.".to_owned();
        return Err(OperationError::Denied { told: vec![told], recorded: vec![reason] }.into());
    }
    parts.extensions.insert(Admin(caller));
    Ok(next.run(Request::from_parts(parts, body)).await)
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    /// What the check has left; without it nobody gets in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::Unauthenticated)
    }
}

impl Admin {
    /// The administrator.
    pub(super) fn caller(&self) -> &Caller {
        &self.0
    }

    /// Records what the administrator has looked at.
    pub(super) async fn record_read(&self, web: &Web, what: &str, details: Value) -> Result<(), ApiError> {
        self.record(web, Event::AdminRead, json!({"what": what, "details": details})).await
    }

    /// Records what the administrator is about to do, as the command line does: what comes of it has entries of its own,
    /// or none if there is nothing to do.
    pub(super) async fn record_command(&self, web: &Web, command: &str, options: Value) -> Result<(), ApiError> {
        self.record(web, Event::AdminCommand, json!({"command": command, "options": options})).await
    }

    async fn record(&self, web: &Web, event: Event, details: Value) -> Result<(), ApiError> {
        let entry = Entry::new(&self.0.origin, event, Outcome::Success).details(details);
        entry.record(&mut *web.app.connection().await?).await?;
        Ok(())
    }
}
