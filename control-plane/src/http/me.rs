//! `/api/v1/me`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Web;
use super::openapi::ProblemBody;
use super::views::Owner;
use crate::operations::Caller;

/// Who calls, as the service knows them.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Me)]
pub(super) struct MeView {
    /// Of the token.
    issuer: String,
    /// Of the token.
    subject: String,
    /// For people; not unique.
    name: String,
    /// Whether a rule of the policy gives admin rights.
    admin: bool,
    /// Whose runners you see and manage: your own, and those of owners that the policy makes you one of.
    owners: Vec<Owner>,
    /// Where your runners go unless you say otherwise.
    default_target: String,
    /// And into which runner group.
    default_runner_group_id: i64,
}

/// Tells who you are to this service.
///
/// It says nothing that your token and the policy do not, and leaves no entry in the audit log.
#[utoipa::path(get, path = "/api/v1/me", tag = "about",
    responses(
        (status = 200, description = "You.", body = MeView, example = json!({
            "issuer": "https://idp.example.com", "subject": "ci-7", "name": "ci@acme.example", "admin": false,
            "owners": [{"issuer": "https://idp.example.com", "subject": "ci-7"}],
            "default_target": "org:acme-partners", "default_runner_group_id": 1
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn me(State(web): State<Arc<Web>>, caller: Caller) -> Json<MeView> {
    let (owners, admin) = (caller.owners(), caller.policy.is_admin(&caller.identity));
    let defaults = &web.app.defaults;
    let principal = caller.identity.principal;
    Json(MeView {
        issuer: principal.issuer,
        subject: principal.subject,
        name: caller.identity.name,
        admin,
        owners: owners.into_iter().map(Owner::from).collect(),
        default_target: defaults.target.to_string(),
        default_runner_group_id: defaults.runner_group_id,
    })
}
