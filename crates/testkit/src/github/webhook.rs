//! Webhooks: what GitHub sends when a job begins or ends, signed as GitHub signs it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::schema;
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
        let (api, web) = ("https://api.github.com", "https://github.com");
        let (job, run) = (289_782_451_u64, 2_202_229_078_u64);
        let repository = format!("{organization}/app");
        let now = crate::clock::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let completed = action == "completed";
        let body = json!({
            "action": action,
            "workflow_job": {
                "id": job,
                "run_id": run,
                "run_attempt": 1,
                "run_url": format!("{api}/repos/{repository}/actions/runs/{run}"),
                "url": format!("{api}/repos/{repository}/actions/jobs/{job}"),
                "html_url": format!("{web}/{repository}/actions/runs/{run}/job/{job}"),
                "check_run_url": format!("{api}/repos/{repository}/check-runs/{job}"),
                "node_id": "CR_1",
                "head_sha": "0".repeat(40),
                "head_branch": "main",
                "workflow_name": "CI",
                "name": "build",
                "status": action,
                "conclusion": completed.then_some("success"),
                "created_at": now,
                "started_at": now,
                "completed_at": completed.then_some(&now),
                "labels": ["self-hosted"],
                "steps": [],
                "runner_id": runner.map(|(id, _)| id),
                "runner_name": runner.map(|(_, name)| name),
                "runner_group_id": runner.map(|_| 1),
                "runner_group_name": runner.map(|_| "Default"),
            },
            "repository": {
                "id": 1, "node_id": "R_1", "name": "app", "full_name": repository, "private": true,
                "html_url": format!("{web}/{repository}"), "url": format!("{api}/repos/{repository}"),
            },
            "organization": {
                "login": organization, "id": 2, "node_id": "O_2", "url": format!("{api}/orgs/{organization}"),
            },
            "installation": {"id": 3, "node_id": "I_3"},
            "sender": {"login": "octocat", "id": 4, "node_id": "U_4", "type": "User", "site_admin": false},
        });
        Self { id: new_id(), event: "workflow_job".to_owned(), body: body.to_string() }
    }

    /// What is wrong with it, by GitHub's description of its events.
    pub(crate) fn check(&self) -> Result<(), String> {
        let payload = serde_json::from_str(&self.body).map_err(|error| error.to_string())?;
        schema::delivery(&self.event, &payload)
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
