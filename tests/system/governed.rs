//! A system with a policy file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::github::{GithubConfig, Limits};
use testkit::issuer::Mint;
use testkit::system::{AUDIENCE, ControlPlane, System, SystemOptions};

use crate::support::{Answer, answer, request, until};

/// Far more than a change of the file takes to be in force.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Three control planes behind Envoy, and their policy file, which is written once the issuer is known.
pub(crate) struct Governed {
    pub(crate) system: System,
    pub(crate) file: PathBuf,
}

impl Governed {
    /// With a file that grants nothing; `name` tells it from those of other tests.
    pub(crate) async fn start(name: &str) -> anyhow::Result<Self> {
        let file = std::env::temp_dir().join(format!("policy-{name}-{}.yaml", std::process::id()));
        std::fs::write(&file, "version: 1\nrules: []\n")?;
        let variables = [
            ("RECONCILE_INTERVAL_SECONDS", "1"),
            ("RATE_LIMIT_PER_MINUTE", "0"),
            ("POLICY_FILE", file.to_str().context("no text")?),
        ];
        let options = SystemOptions {
            replicas: 3,
            control_plane: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            github: GithubConfig { limits: Limits::NONE, ..SystemOptions::default().github },
            ..SystemOptions::default()
        };
        Ok(Self { system: System::start(options).await?, file })
    }

    pub(crate) fn issuer(&self) -> String {
        self.system.believed().issuer.clone()
    }

    /// The rule of those who may do everything.
    pub(crate) fn operators(&self) -> String {
        let issuer = self.issuer();
        format!(
            "  - name: operators\n    match: {{iss: {issuer:?}, claims: {{groups: runner-admins}}}}\n    \
             grant: {{admin: true}}\n"
        )
    }

    /// Writes the file, and waits until every replica has it; they look by themselves.
    pub(crate) async fn put_in_force(&mut self, text: &str) -> anyhow::Result<()> {
        let urls = self.urls();
        let hashes = async || try_join_all(urls.iter().map(|url| policy(url, "sha256"))).await;
        let before = hashes().await?;
        std::fs::write(&self.file, text)?;
        let changed = |now: &[String]| now.iter().zip(&before).all(|(now, before)| now != before);
        let took = until("the policy is in force", PATIENCE, async || Ok(changed(&hashes().await?))).await?;
        println!("in force on {} replicas after {took:?}", urls.len());
        Ok(())
    }

    /// Of each replica, behind the edge.
    pub(crate) fn urls(&mut self) -> Vec<String> {
        self.system.control_planes().iter().map(ControlPlane::url).collect()
    }

    /// A token with one claim more than all have.
    pub(crate) fn token(&self, subject: &str, name: &str, value: impl Into<Value>) -> anyhow::Result<String> {
        self.system.issuer().mint(&Mint::new(subject, AUDIENCE).claim(name, value))
    }

    /// A call of an administrator, through the edge.
    pub(crate) async fn admin(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        let token = self.token("root", "groups", json!(["runner-admins"]))?;
        let url = format!("/api/v1/admin/{path}");
        answer(request(Method::POST, self.system.edge_url(), &url).bearer_auth(token).json(&body)).await
    }
}

impl Drop for Governed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// What a replica's health report says of its policy: `sha256` or `status`.
pub(crate) async fn policy(url: &str, member: &str) -> anyhow::Result<String> {
    let health = answer(request(Method::GET, url, "/health")).await?;
    let value = health.body.get("policy").and_then(|policy| policy.get(member)).and_then(Value::as_str);
    Ok(value.context("the health report does not say it")?.to_owned())
}
