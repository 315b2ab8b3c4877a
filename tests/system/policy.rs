//! A policy file in the whole system: three control planes behind Envoy, callers with signed tokens.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::github::{GithubConfig, Limits, ORGANIZATION};
use testkit::issuer::Mint;
use testkit::system::{AUDIENCE, ControlPlane, System, SystemOptions};

use crate::support::{Answer, answer, provision, request, until};

/// More than the limit, and more than the connections of all replicas.
const CROWD: usize = 40;
const LIMIT: usize = 5;
/// Far more than a change of the file takes to be in force.
const PATIENCE: Duration = Duration::from_secs(20);

/// A system with three control planes, and a policy file that is written once the issuer is known.
struct Governed {
    system: System,
    file: PathBuf,
}

impl Governed {
    async fn start() -> anyhow::Result<Self> {
        let file = std::env::temp_dir().join(format!("policy-system-{}.yaml", std::process::id()));
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
        let mut governed = Self { system: System::start(options).await?, file };
        let issuer = &governed.system.believed().issuer;
        let text = format!(
            "version: 1\nrules:\n  - name: team\n    match: {{iss: {issuer:?}, claims: {{project: 7, \
             aud: {AUDIENCE}}}}}\n    owner: team\n    grant: {{targets: [org:{ORGANIZATION}], \
             labels: [self-hosted, gpu], limits: {{active: {LIMIT}}}}}\n  - name: operators\n    \
             match: {{iss: {issuer:?}, claims: {{groups: runner-admins}}}}\n    grant: {{admin: true}}\n"
        );
        governed.put_in_force(&text).await?;
        Ok(governed)
    }

    /// Writes the file, and waits until every replica has it; they look by themselves.
    async fn put_in_force(&mut self, text: &str) -> anyhow::Result<()> {
        let urls: Vec<String> = self.system.control_planes().iter().map(ControlPlane::url).collect();
        let hashes = async || try_join_all(urls.iter().map(|url| policy_hash(url))).await;
        let before = hashes().await?;
        std::fs::write(&self.file, text)?;
        let changed = |now: &[String]| now.iter().zip(&before).all(|(now, before)| now != before);
        let took = until("the policy is in force", PATIENCE, async || Ok(changed(&hashes().await?))).await?;
        println!("in force on {} replicas after {took:?}", urls.len());
        Ok(())
    }

    fn token(&self, subject: &str, name: &str, value: impl Into<Value>) -> anyhow::Result<String> {
        self.system.issuer().mint(&Mint::new(subject, AUDIENCE).claim(name, value))
    }

    async fn admin(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        let token = self.token("root", "groups", json!(["runner-admins"]))?;
        let url = format!("/api/v1/admin/{path}");
        answer(request(Method::POST, self.system.edge_url(), &url).bearer_auth(token).json(&body)).await
    }

    fn jit(name: &str) -> Value {
        json!({"runner_name": name, "mode": "jit", "labels": ["self-hosted", "gpu"]})
    }
}

impl Drop for Governed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// SHA-256 of the policy that a replica has in force.
async fn policy_hash(url: &str) -> anyhow::Result<String> {
    let health = answer(request(Method::GET, url, "/health")).await?;
    let hash = health.body.pointer("/policy/sha256").and_then(Value::as_str);
    Ok(hash.context("no hash")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_holds_in_the_whole_system() -> anyhow::Result<()> {
    let mut governed = Governed::start().await?;
    let stranger = governed.token("stranger", "project", 8)?;
    let denied = provision(&governed.system, &stranger, &Governed::jit("s-1")).await?;
    assert_eq!((denied.status, denied.problem()), (StatusCode::FORBIDDEN, "denied-by-policy"));
    let denied =
        answer(request(Method::GET, governed.system.edge_url(), "/api/v1/admin/runners").bearer_auth(&stranger));
    assert_eq!(denied.await?.problem(), "denied-by-policy");

    exactly_as_many_as_the_limit_says(&governed).await?;
    revoked_at_once(&mut governed).await?;
    // A policy without rules is one, too.
    governed.put_in_force("version: 1\nrules: [] # nobody\n").await?;
    let token = governed.token("member-2", "project", 7)?;
    assert_eq!(provision(&governed.system, &token, &Governed::jit("late")).await?.problem(), "denied-by-policy");
    Ok(())
}

/// Each member of the team asks with a token of its own; the edge spreads them over three replicas.
async fn exactly_as_many_as_the_limit_says(governed: &Governed) -> anyhow::Result<()> {
    let asked = (0..CROWD).map(|number| async move {
        let token = governed.token(&format!("member-{}", number % 2), "project", 7)?;
        provision(&governed.system, &token, &Governed::jit(&format!("t-{number}"))).await
    });
    let answers = try_join_all(asked).await?;
    let granted = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(granted, LIMIT, "{answers:?}");
    let refused = answers.iter().filter(|answer| answer.problem() == "limit-reached").count();
    assert_eq!(refused, CROWD - LIMIT, "{answers:?}");
    assert_eq!(governed.system.github().runners().len(), LIMIT);
    for (name, log) in governed.system.logs()?.iter().filter(|(name, _)| name.starts_with("control-plane-")) {
        assert!(log.contains("\"status\":201") || log.contains("\"status\":429"), "{name} had nothing to do");
    }
    Ok(())
}

/// One of the team is revoked through the edge: refused at once, and its runners go; the other's stay.
async fn revoked_at_once(governed: &mut Governed) -> anyhow::Result<()> {
    let issuer = governed.system.believed().issuer.clone();
    let whom = json!({"issuer": issuer, "subject": "member-1", "reason": "left the team"});
    let revoked = governed.admin("principals/revoke", whom).await?;
    assert_eq!(revoked.status, StatusCode::ACCEPTED, "{revoked:?}");
    let theirs = usize::try_from(revoked.body.get("runners").and_then(Value::as_u64).context("no number")?)?;
    let token = governed.token("member-1", "project", 7)?;
    for _ in 0..6 {
        let answer = provision(&governed.system, &token, &Governed::jit("again")).await?;
        assert_eq!((answer.status, answer.problem()), (StatusCode::FORBIDDEN, "principal-revoked"));
    }
    let left = || governed.system.github().runners().len();
    until("their runners are gone", PATIENCE, async || Ok(left() == LIMIT - theirs)).await?;
    let other = governed.token("member-0", "project", 7)?;
    let listed = answer(request(Method::GET, governed.system.edge_url(), "/api/v1/runners").bearer_auth(other)).await?;
    assert_eq!(listed.body.get("total"), Some(&json!(LIMIT - theirs)), "{listed:?}");
    Ok(())
}
