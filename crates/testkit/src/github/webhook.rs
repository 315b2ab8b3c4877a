//! Webhooks: what GitHub sends when a job begins or ends, signed as GitHub signs it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::random::{self, Random};

/// Where deliveries go, and the secret that they are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The URL that is configured in the App.
    pub url: String,
    /// The secret that is configured in the App.
    pub secret: String,
}

/// One delivery. Sending it twice is what a redelivery is: the same id and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `X-GitHub-Delivery`.
    pub id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload.
    pub body: String,
}

fn new_id() -> String {
    Random::new(random::seed()).hex(32)
}

impl Delivery {
    /// A `workflow_job` of an organisation; `runner` is null while the job is queued.
    pub fn job(action: &str, organization: &str, runner: Option<(u64, &str)>) -> Self {
        let body = json!({
            "action": action,
            "workflow_job": {
                "id": 289_782_451,
                "run_id": 2_202_229_078_u64,
                "status": action,
                "conclusion": (action == "completed").then_some("success"),
                "name": "build",
                "labels": ["self-hosted"],
                "steps": [],
                "runner_id": runner.map(|(id, _)| id),
                "runner_name": runner.map(|(_, name)| name),
                "runner_group_id": runner.map(|_| 1),
                "runner_group_name": runner.map(|_| "Default"),
            },
            "repository": {"id": 1, "name": "app", "full_name": format!("{organization}/app")},
            "organization": {"login": organization, "id": 2},
            "installation": {"id": 3},
            "sender": {"login": "octocat", "type": "User"},
        });
        Self { id: new_id(), event: "workflow_job".to_owned(), body: body.to_string() }
    }

    /// A delivery of any event.
    pub fn new(event: &str, payload: &Value) -> Self {
        Self { id: new_id(), event: event.to_owned(), body: payload.to_string() }
    }

    /// `X-Hub-Signature-256` with a secret: HMAC-SHA256 over the raw body.
    pub fn signature(&self, secret: &str) -> anyhow::Result<String> {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?.chain_update(self.body.as_bytes());
        Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
    }

    /// Delivers it; gives the status of the answer.
    pub async fn send(&self, webhook: &Webhook) -> anyhow::Result<u16> {
        let request = reqwest::Client::new()
            .post(&webhook.url)
            .header("user-agent", "GitHub-Hookshot/fake")
            .header("content-type", "application/json")
            .header("x-github-event", &self.event)
            .header("x-github-delivery", &self.id)
            .header("x-hub-signature-256", self.signature(&webhook.secret)?)
            .body(self.body.clone());
        Ok(request.send().await?.status().as_u16())
    }
}
