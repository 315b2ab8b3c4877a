//! Who has runners, and the kill switch.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Admin;
use crate::http::body::{invalid, parse};
use crate::http::openapi::ProblemBody;
use crate::http::runners::page_size;
use crate::http::{ApiError, Web};
use crate::operations::{self, Prospect};
use crate::policy::{ClaimValue, Revoked, Who};
use crate::runner::State as RunnerState;
use crate::store::revocations::{self, ActivePrincipal, Revocation};

/// The longest reason of a revocation.
const MAX_REASON: usize = 500;

#[derive(Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PrincipalsQuery {
    /// How many principals a page, 1 to 100; 50 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// So many are left out; 0 unless given.
    #[param(minimum = 0)]
    offset: Option<i64>,
}

/// Who has runners, and who is revoked.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct Principals {
    /// Whoever asked for a runner that is still there, the newest first.
    principals: Vec<ActivePrincipal>,
    /// All revocations, the oldest first.
    revocations: Vec<RevocationView>,
}

/// Who is revoked, and why.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Revocation)]
pub(in crate::http) struct RevocationView {
    issuer: String,
    /// One principal of the issuer.
    subject: Option<String>,
    /// Or everybody with this claim.
    claim: Option<ClaimValue>,
    /// Or everybody.
    whole_issuer: bool,
    reason: String,
    revoked_by: String,
    revoked_at: DateTime<Utc>,
}

impl From<Revocation> for RevocationView {
    fn from(Revocation { revoked, reason, revoked_by, revoked_at }: Revocation) -> Self {
        let (subject, claim, whole_issuer) = match revoked.who {
            Who::Subject(subject) => (Some(subject), None, false),
            Who::Claim(claim) => (None, Some(claim), false),
            Who::Everybody => (None, None, true),
        };
        Self { issuer: revoked.issuer, subject, claim, whole_issuer, reason, revoked_by, revoked_at }
    }
}

/// Lists who has runners, how many and in which state, and who is revoked.
#[utoipa::path(get, path = "/api/v1/admin/principals", tag = "admin",
    params(PrincipalsQuery),
    responses(
        (status = 200, description = "A page of them.", body = Principals, example = json!({
            "principals": [{
                "issuer": "https://idp.example.com", "subject": "ci-7", "name": "ci@acme.example", "pending": 1,
                "active": 3, "offline": 0, "draining": 0, "last_provisioned_at": "2026-11-23T12:00:00Z"
            }],
            "revocations": []
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn principals(
    State(web): State<Arc<Web>>,
    admin: Admin,
    query: Result<Query<PrincipalsQuery>, QueryRejection>,
) -> Result<Json<Principals>, ApiError> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let (limit, offset) = (page_size(query.limit)?, query.offset.unwrap_or_default());
    if offset < 0 {
        return Err(invalid("offset: must not be negative"));
    }
    admin.record_read(&web, "principals", json!(query)).await?;
    let mut connection = web.app.connection().await?;
    let principals = revocations::active_principals(&mut connection, limit, offset).await?;
    let revocations = revocations::list(&mut connection, None).await?;
    Ok(Json(Principals { principals, revocations: revocations.into_iter().map(RevocationView::from).collect() }))
}

/// Whom to revoke: a subject, a claim or the whole issuer.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RevokeRequest {
    issuer: String,
    /// One principal of the issuer.
    subject: Option<String>,
    /// Or everybody with this claim.
    claim: Option<ClaimValue>,
    /// Or everybody.
    #[serde(default)]
    whole_issuer: bool,
    /// For people to read.
    #[serde(default)]
    reason: String,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// Whom to restore, exactly as they were revoked.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RestoreRequest {
    issuer: String,
    /// One principal of the issuer.
    subject: Option<String>,
    /// Or everybody with this claim.
    claim: Option<ClaimValue>,
    /// Or everybody.
    #[serde(default)]
    whole_issuer: bool,
    /// Ignored, so that what was sent to revoke them can be sent again.
    #[serde(default)]
    #[expect(dead_code, reason = "taken and not used")]
    reason: String,
}

fn check_reason(reason: &str) -> Result<(), ApiError> {
    if reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(invalid(format!("reason: at most {MAX_REASON} characters, none of them a control character")));
    }
    Ok(())
}

/// What a revocation would do.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct Foretold {
    dry_run: bool,
    /// They are revoked already.
    already_revoked: bool,
    /// The rules of the policy about their issuer.
    policy_rules: Vec<String>,
    /// Runners that would go.
    runners: usize,
    /// Of these, no machine has come on line with so many.
    pending: usize,
    /// On line.
    active: usize,
    /// Off line.
    offline: usize,
    /// Of all of these, so many are to go already.
    draining: usize,
    /// So many run a job, which may end first.
    busy: usize,
    /// For so many GitHub is being asked for a secret, which would go to nobody.
    under_way: usize,
}

impl Foretold {
    fn new(prospect: &Prospect, rules: &[&str]) -> Self {
        Self {
            dry_run: true,
            already_revoked: prospect.is_revoked,
            policy_rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            runners: prospect.runners.len(),
            pending: prospect.count(RunnerState::Pending),
            active: prospect.count(RunnerState::Active),
            offline: prospect.count(RunnerState::Offline),
            draining: prospect.draining(),
            busy: prospect.busy(),
            under_way: prospect.under_way,
        }
    }
}

/// What a revocation has begun.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct RevokedAnswer {
    /// Runners that go now, or as soon as their job has ended.
    runners: usize,
}

/// Revokes a principal, everybody with a claim, or a whole issuer.
///
/// They are refused at once on all replicas. Provisions that are under way come to nothing. All runners that they asked
/// for are deleted, busy ones when their job has ended; `GET /api/v1/admin/principals` shows how many are left. Safe to
/// repeat. With `dry_run` it says what it would do, and does nothing.
#[utoipa::path(post, path = "/api/v1/admin/principals/revoke", tag = "admin",
    request_body(content = RevokeRequest, example = json!({
        "issuer": "https://idp.example.com", "subject": "ci-7", "reason": "token leaked"
    })),
    responses(
        (status = 200, description = "What it would do: a dry run.", body = Foretold, example = json!({
            "dry_run": true, "already_revoked": false, "policy_rules": ["staff"], "runners": 4, "pending": 1,
            "active": 2, "offline": 1, "draining": 0, "busy": 1, "under_way": 0
        })),
        (status = 202, description = "Revoked; its runners are going.", body = RevokedAnswer,
            example = json!({"runners": 4})),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn revoke(
    State(web): State<Arc<Web>>,
    admin: Admin,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let RevokeRequest { issuer, subject, claim, whole_issuer, reason, dry_run } = parse(&headers, body)?;
    check_reason(&reason)?;
    let revoked = Revoked::new(issuer, subject, claim, whole_issuer).map_err(invalid)?;
    if dry_run {
        return Ok(Json(foretell(&web, &admin, &revoked).await?).into_response());
    }
    let runners = operations::revoke(&web.app, &admin.caller().origin, revoked, &reason).await?.len();
    Ok((StatusCode::ACCEPTED, Json(RevokedAnswer { runners })).into_response())
}

async fn foretell(web: &Web, admin: &Admin, revoked: &Revoked) -> Result<Foretold, ApiError> {
    admin.record_command(web, "revoke", json!({"whom": revoked.to_string(), "dry_run": true})).await?;
    let prospect = operations::prospect(&web.app, revoked).await?;
    Ok(Foretold::new(&prospect, &admin.caller().policy.rules_of(&revoked.issuer)))
}

/// Takes a revocation back. Runners that are going for it still go.
#[utoipa::path(post, path = "/api/v1/admin/principals/restore", tag = "admin",
    request_body(content = RestoreRequest, example = json!({"issuer": "https://idp.example.com", "subject": "ci-7"})),
    responses(
        (status = 200, description = "Restored.", body = Restored, example = json!({"restored": true})),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn restore(
    State(web): State<Arc<Web>>,
    admin: Admin,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Restored>, ApiError> {
    let RestoreRequest { issuer, subject, claim, whole_issuer, .. } = parse(&headers, body)?;
    let revoked = Revoked::new(issuer, subject, claim, whole_issuer).map_err(invalid)?;
    operations::restore(&web.app, &admin.caller().origin, &revoked).await?;
    Ok(Json(Restored { restored: true }))
}

/// That a revocation is gone.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct Restored {
    restored: bool,
}
