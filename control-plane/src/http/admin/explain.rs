//! What the policy would say, and why.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Admin;
use crate::audit::{Entry, Event, Outcome};
use crate::http::body::{invalid, parse};
use crate::http::openapi::ProblemBody;
use crate::http::{ApiError, Web};
use crate::operations::OperationError;
use crate::policy::{Explanation, ProvisionRequest, identity_of};

/// Whom and what to ask the policy about.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ExplainRequest {
    /// The claims of a token; `iss` and `sub` are needed.
    #[schema(value_type = Object)]
    claims: Map<String, Value>,
    /// The body of a provision.
    request: ProvisionRequest,
}

/// Explains what the policy in force says to a caller's wish. Nothing is registered.
#[utoipa::path(post, path = "/api/v1/admin/policy/explain", tag = "admin",
    request_body(content = ExplainRequest, example = json!({
        "claims": {
            "iss": "https://token.actions.githubusercontent.com", "sub": "repo:acme/app:ref:refs/heads/main",
            "repository_owner_id": "1234"
        },
        "request": {"runner_name": "acme-1", "labels": ["gpu"]}
    })),
    responses(
        (status = 200, description = "What it says.", body = Explanation, example = json!({
            "allowed": false, "admin": false, "owner": null, "limits": null,
            "reasons": ["rule \"acme\" does not grant it: label gpu is not granted"],
            "rules": [{
                "rule": "acme", "matches": true, "grants": false, "enforced": true,
                "reasons": ["label gpu is not granted"]
            }],
            "policy_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn explain(
    State(web): State<Arc<Web>>,
    admin: Admin,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Explanation>, ApiError> {
    let ExplainRequest { claims, request } = parse(&headers, body)?;
    let subject = identity_of(claims).map_err(|error| invalid(format!("claims: {error}")))?;
    let mut wish = request.complete(&web.app.defaults).map_err(OperationError::from)?;
    let policy = &admin.caller().policy;
    if policy.needs_group_name(&subject, &wish) {
        let name = web.app.github.group_name(&wish.target, wish.runner_group_id).await;
        wish.group_name = Some(name.map_err(OperationError::from)?);
    }
    let explanation = policy.explain(&subject, &wish, &web.app.defaults);
    let details = json!({"issuer": subject.principal.issuer, "subject": subject.principal.subject});
    Entry::new(&admin.caller().origin, Event::PolicyExplained, Outcome::Success)
        .details(details)
        .record(&mut *web.app.connection().await?)
        .await?;
    Ok(Json(explanation))
}
