//! `POST /webhooks/github`: GitHub says that a job has begun or ended.
//!
//! Off unless a secret is configured. What a delivery says only hastens what the comparison with GitHub would find
//! anyway, so losing one costs nothing but time.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::FromRequest as _;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::body::invalid;
use super::caller::{origin, record_denial, single};
use super::{ApiError, Web};
use crate::audit::Actor;
use crate::operations::{self, JobNews};
use crate::store::deliveries;
use crate::trace::carried;

/// A job with hundreds of steps; GitHub's own limit is 25 MiB, which no event of this kind comes near.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// So many look-ups run at a time. What comes on top is left to the next comparison, so that a flood of jobs does not
/// use up what provisioning needs.
const MAX_LOOKUPS: usize = 16;

/// What deliveries are checked with.
pub struct Webhooks {
    /// The current secret, and the one before while it is being changed. None at all: the endpoint is off.
    secrets: Vec<SecretString>,
    lookups: Arc<Semaphore>,
}

impl Webhooks {
    /// Takes deliveries that are signed with any of these secrets.
    pub fn new(secrets: Vec<SecretString>) -> Self {
        Self { secrets, lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }

    /// `sha256=` and the HMAC of the raw body in hex; compared in constant time.
    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
        let value = single(headers, "x-hub-signature-256").map_err(|_| "more than one signature")?;
        let value = value.and_then(|value| value.to_str().ok()).ok_or("no signature")?;
        let signature = value.strip_prefix("sha256=").and_then(|hex| hex::decode(hex).ok());
        let signature = signature.ok_or("the signature is not of the form sha256=HEX")?;
        let holds = |secret: &SecretString| {
            Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
        };
        if self.secrets.iter().any(holds) { Ok(()) } else { Err("the signature does not fit any secret") }
    }
}

/// Takes a delivery of GitHub's.
///
/// Off unless a secret is configured. Of a `workflow_job`, the runner is looked up at GitHub; anything else is ignored.
#[utoipa::path(post, path = "/webhooks/github", tag = "webhooks", security(()),
    request_body(content = Object, description = "A payload of GitHub's."),
    params(
        ("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the HMAC of the raw body in hex"),
        ("X-GitHub-Delivery" = String, Header, description = "The same on every redelivery, which is ignored"),
        ("X-GitHub-Event" = String, Header, description = "Only `workflow_job` is looked at"),
    ),
    responses((status = 202, description = "Taken: `accepted`, `ignored` or `duplicate`.", body = Object,
        example = json!({"status": "accepted"})))
)]
pub(super) async fn receive(
    State(web): State<Arc<Web>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if web.webhooks.secrets.is_empty() {
        return Err(ApiError::NotFound);
    }
    let (parts, body) = request.into_parts();
    let body: Result<Bytes, BytesRejection> = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await;
    let body = body.map_err(|_| ApiError::BodyTooLarge)?;
    if let Err(reason) = web.webhooks.is_signed(&parts.headers, &body) {
        record_denial(&parts, &web, reason).await?;
        return Err(ApiError::WebhookSignature);
    }
    let text = |name: &str| single(&parts.headers, name).ok().flatten().and_then(|value| value.to_str().ok());
    let id = text("x-github-delivery").filter(|id| (1..=100).contains(&id.len()));
    let id = id.ok_or_else(|| invalid("X-GitHub-Delivery: missing, or longer than 100 characters"))?;
    let event = text("x-github-event").ok_or_else(|| invalid("X-GitHub-Event: missing"))?;
    if event != "workflow_job" {
        return Ok(answer("ignored"));
    }
    let payload: Payload = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    if !deliveries::take(&mut *web.app.connection().await?, id, event, web.app.clock.now()).await? {
        return Ok(answer("duplicate"));
    }
    let Some(news) = payload.news() else { return Ok(answer("ignored")) };
    let Ok(permit) = Arc::clone(&web.webhooks.lookups).try_acquire_owned() else {
        tracing::debug!("too many webhooks at a time; the comparison will find it");
        return Ok(answer("accepted"));
    };
    let (app, origin) = (Arc::clone(&web.app), origin(&parts, Actor::System("webhook"), &web.app.policy.current()));
    let work = async move {
        if let Err(error) = operations::hasten(&app, &origin, &news).await {
            tracing::warn!(%error, runner = news.runner_name, "a webhook could not be followed up; the comparison will");
        }
        drop(permit);
    };
    web.app.tasks.spawn(carried(work));
    Ok(answer("accepted"))
}

fn answer(status: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::ACCEPTED, Json(json!({"status": status})))
}

/// As much of the event as matters. Members that are null or missing happen and mean that no runner is known.
#[derive(Deserialize)]
struct Payload {
    action: String,
    workflow_job: Job,
    repository: Option<Repository>,
    organization: Option<Organization>,
}

#[derive(Deserialize)]
struct Job {
    runner_id: Option<i64>,
    runner_name: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

impl Payload {
    fn news(self) -> Option<JobNews> {
        let completed = match self.action.as_str() {
            "completed" => true,
            "in_progress" => false,
            _ => return None,
        };
        let organization = self.organization.map(|organization| format!("org:{}", organization.login));
        let repository = self.repository.map(|repository| format!("repo:{}", repository.full_name));
        Some(JobNews {
            completed,
            // 0 and an empty name stand for none in some deliveries.
            github_runner_id: self.workflow_job.runner_id.filter(|&id| id > 0)?,
            runner_name: self.workflow_job.runner_name.filter(|name| !name.is_empty() && !name.contains('\0'))?,
            targets: organization.into_iter().chain(repository).map(|target| target.to_ascii_lowercase()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(action: &str, runner_id: Value) -> Option<JobNews> {
        let payload = json!({
            "action": action, "workflow_job": {"runner_id": runner_id, "runner_name": "a", "steps": []},
            "repository": {"full_name": "Acme/App"}, "organization": {"login": "Acme"},
        });
        serde_json::from_value::<Payload>(payload).unwrap().news()
    }

    #[test]
    fn only_jobs_with_a_runner_are_news() {
        let completed = news("completed", json!(7)).unwrap();
        assert_eq!(completed.targets, ["org:acme", "repo:acme/app"]);
        assert!(completed.completed && !news("in_progress", json!(7)).unwrap().completed);
        for (action, id) in [("queued", json!(7)), ("completed", Value::Null), ("completed", json!(0))] {
            assert_eq!(news(action, id), None, "{action}");
        }
    }

    #[test]
    fn githubs_own_example_of_a_signature_holds() {
        let webhooks = Webhooks::new(vec!["It's a Secret to Everybody".to_owned().into()]);
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers =
            |value: &str| [("x-hub-signature-256".parse().unwrap(), value.parse().unwrap())].into_iter().collect();
        assert_eq!(webhooks.is_signed(&headers(&format!("sha256={hex}")), b"Hello, World!"), Ok(()));
        assert!(webhooks.is_signed(&headers(&format!("sha256={hex}")), b"Hello, World?").is_err());
        assert!(webhooks.is_signed(&headers(&format!("sha1={hex}")), b"Hello, World!").is_err());
        assert!(webhooks.is_signed(&headers("sha256=7571"), b"Hello, World!").is_err());
        assert!(webhooks.is_signed(&HeaderMap::new(), b"Hello, World!").is_err());
    }
}
