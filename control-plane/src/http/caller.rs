//! Who calls: the assertion of the edge, and nothing else.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use identity::{Identity, headers};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use super::middleware::RequestId;
use super::{ApiError, Web};
use crate::audit::{Actor, Entry, Event, Origin, Outcome};
use crate::operations::{Caller, OperationError, revocation_of};
use crate::policy::Policy;

/// The audit log keeps so much of what a client calls itself.
const MAX_USER_AGENT: usize = 256;
/// And so much of a path; ours are shorter.
const MAX_PATH: usize = 256;
/// So many refused assertions a minute get an entry each, and so many calls of those who are revoked. Whoever reaches the
/// port can make any number of them, and must not be able to fill the database; the log counts the rest.
const DENIALS_A_MINUTE: u32 = 60;

/// A caller, with the connection that told that nobody revoked them: a read goes on with it.
pub(super) struct Admitted {
    pub(super) caller: Caller,
    pub(super) connection: PoolConnection<Postgres>,
}

impl FromRequestParts<Arc<Web>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, ApiError> {
        Admitted::from_request_parts(parts, web).await.map(|admitted| admitted.caller)
    }
}

impl FromRequestParts<Arc<Web>> for Admitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, ApiError> {
        match verify(&parts.headers, web) {
            Ok(identity) => {
                let policy = web.app.policy.current();
                let origin = origin(parts, Actor::Principal(identity.clone()), &policy);
                if let Err(wait) = web.limits.count(&identity.principal, web.app.clock.now()) {
                    record(parts, web, &web.refusals, &origin, "too many requests of this principal").await?;
                    return Err(ApiError::RateLimited(wait));
                }
                let mut connection = web.app.connection().await?;
                if let Some(revoked) = revocation_of(&mut connection, &identity).await? {
                    drop(connection);
                    let error = OperationError::Revoked(revoked.to_string());
                    record(parts, web, &web.refusals, &origin, &error.to_string()).await?;
                    return Err(error.into());
                }
                Ok(Self { caller: Caller { identity, origin, policy }, connection })
            }
            Err(reason) => {
                record_denial(parts, web, &reason).await?;
                Err(ApiError::Unauthenticated)
            }
        }
    }
}

fn verify(headers: &HeaderMap, web: &Web) -> Result<Identity, String> {
    let value = single(headers, headers::ASSERTION)?.ok_or("no assertion")?;
    let assertion = value.to_str().map_err(|_| "the assertion is not ASCII")?;
    let identity = web.assertions.verify(assertion, web.app.clock.unix_seconds()).map_err(|error| error.to_string())?;
    presentable(identity)
}

/// The only value of a header; more than one is an attempt to have two parties read different ones.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(format!("more than one header {name}")),
        (value, None) => Ok(value),
    }
}

/// A principal with control characters can't be compared or shown safely; a display name loses them.
fn presentable(mut identity: Identity) -> Result<Identity, String> {
    let principal = &identity.principal;
    if principal.issuer.chars().chain(principal.subject.chars()).any(char::is_control) {
        return Err("control characters in issuer or subject".to_owned());
    }
    identity.name.retain(|each| !each.is_control());
    Ok(identity)
}

pub(super) fn origin(parts: &Parts, actor: Actor, policy: &Policy) -> Origin {
    let text = |name: &str| single(&parts.headers, name).ok().flatten().and_then(|value| value.to_str().ok());
    Origin {
        actor,
        client_ip: text(headers::CLIENT_IP).and_then(|ip| ip.parse::<IpAddr>().ok()),
        user_agent: text(USER_AGENT.as_str()).map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()),
        policy_sha256: policy.sha256().map(str::to_owned),
    }
}

pub(super) async fn record_denial(parts: &Parts, web: &Web, reason: &str) -> Result<(), ApiError> {
    let origin = origin(parts, Actor::Anonymous, &web.app.policy.current());
    record(parts, web, &web.denials, &origin, reason).await
}

async fn record(
    parts: &Parts,
    web: &Web,
    budget: &DenialBudget,
    origin: &Origin,
    reason: &str,
) -> Result<(), ApiError> {
    tracing::info!(reason, "refused whoever called");
    if !budget.take(web.app.clock.now().timestamp().div_euclid(60)) {
        return Ok(());
    }
    let path: String = parts.uri.path().chars().take(MAX_PATH).collect();
    let details = serde_json::json!({"method": parts.method.as_str(), "path": path});
    Entry::new(origin, Event::AccessDenied, Outcome::Denied)
        .reasons([reason])
        .details(details)
        .record(&mut *web.app.connection().await?)
        .await?;
    Ok(())
}

/// How many entries the current minute still has for refused assertions.
#[derive(Default)]
pub(super) struct DenialBudget(Mutex<(i64, u32)>);

impl DenialBudget {
    fn take(&self, minute: i64) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != minute {
            *state = (minute, 0);
        }
        state.1 = state.1.saturating_add(1);
        state.1 <= DENIALS_A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_recorded_up_to_the_budget_of_each_minute() {
        let budget = DenialBudget::default();
        assert_eq!((0..100).filter(|_| budget.take(1)).count(), 60);
        assert!(budget.take(2));
    }
}
