//! A service with everything around it, and its callers.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::TimeDelta;
use control_plane::audit::{Actor, Origin};
use control_plane::clock::Clock;
use control_plane::config::{GithubConfig, UiConfig};
use control_plane::http::{Bounds, Web, Webhooks, router};
use control_plane::jobs::{self, Cleaned, Job, Summary};
use control_plane::operations::App;
use control_plane::policy::PolicyFile;
use http::HeaderMap;
use identity::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, KeyPair, Signer, Stated, Verifier, headers};
use octocrab::jsonwebtoken::EncodingKey;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::github::{self, Enterprise, FakeGithub, INSTALLATION_ID, ORGANIZATION, Organization};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use crate::described;

/// How long the service waits for GitHub: short, for stories in which it does not answer.
pub(crate) const GITHUB_TIMEOUT: Duration = Duration::from_secs(2);
/// The current secret of the webhook, and the one before.
pub(crate) const WEBHOOK_SECRETS: [&str; 2] = ["current secret", "previous secret"];
/// Who drains for longer is stuck.
pub(crate) const STUCK_AFTER: Duration = Duration::from_mins(10);
/// Requests a minute of one principal.
pub(crate) const RATE_LIMIT: u32 = 120;
/// A second organisation, and the App's installation there.
pub(crate) const LABS: &str = "acme-labs";
pub(crate) const LABS_ID: u64 = 880_002;
/// An enterprise, and the token of one of its owners.
pub(crate) const ENTERPRISE: &str = "acme-group";
pub(crate) const ENTERPRISE_TOKEN: &str = "ghp_0123456789abcdef0123456789abcdef0123";
pub(crate) const ISSUER: &str = "https://idp.example.com";

/// Making an RSA key takes long; one is enough for all stories of a process.
static APP_KEY: OnceCell<String> = OnceCell::const_new();

pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) github: FakeGithub,
    pub(crate) clock: Clock,
    pub(crate) pool: PgPool,
    pub(crate) base: String,
    /// The public half of the edge's key.
    pub(crate) public_pem: String,
    /// The private half.
    pub(crate) private_pem: String,
    signer: Signer,
    client: Client,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The last part of a problem's `type`; empty if it is no problem.
    pub(crate) fn problem(&self) -> &str {
        self.body
            .get("type")
            .and_then(Value::as_str)
            .and_then(|kind| kind.strip_prefix("/problems/"))
            .unwrap_or_default()
    }

    pub(crate) fn text(&self, member: &str) -> anyhow::Result<&str> {
        self.body.get(member).and_then(Value::as_str).with_context(|| format!("no text {member} in {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl World {
    pub(crate) async fn new(pool: PgPool) -> anyhow::Result<Self> {
        Self::with(pool, |_| ()).await
    }

    /// A world whose configuration of GitHub's client is changed first.
    pub(crate) async fn with(pool: PgPool, change: impl FnOnce(&mut GithubConfig)) -> anyhow::Result<Self> {
        let clock = Clock::manual(Clock::system().now());
        let policy = PolicyFile::none(clock.now());
        Self::serve(pool, start_github().await?, policy, clock, bounds(), change).await
    }

    /// A world whose service lets itself be asked only so much.
    pub(crate) async fn with_bounds(pool: PgPool, bounds: Bounds) -> anyhow::Result<Self> {
        let clock = Clock::manual(Clock::system().now());
        let policy = PolicyFile::none(clock.now());
        Self::serve(pool, start_github().await?, policy, clock, bounds, |_| ()).await
    }

    /// A world with this policy file.
    pub(crate) async fn with_policy(pool: PgPool, path: &Path) -> anyhow::Result<Self> {
        let clock = Clock::manual(Clock::system().now());
        let policy = PolicyFile::open(path.to_owned(), clock.now())?;
        Self::serve(pool, start_github().await?, policy, clock, bounds(), |_| ()).await
    }

    /// Another service beside this one, with connections of its own to the same database, and the same GitHub, policy and
    /// clock.
    pub(crate) async fn beside(&self, change: impl FnOnce(&mut GithubConfig)) -> anyhow::Result<Self> {
        let policy = Arc::clone(&self.app.policy);
        let options = self.pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(16).connect_with(options).await?;
        Self::serve(pool, self.github.clone(), policy, self.clock.clone(), bounds(), change).await
    }

    async fn serve(
        pool: PgPool,
        github: FakeGithub,
        policy: Arc<PolicyFile>,
        clock: Clock,
        bounds: Bounds,
        change: impl FnOnce(&mut GithubConfig),
    ) -> anyhow::Result<Self> {
        let mut config = config_of(&github)?;
        change(&mut config);
        let app = App::new(pool.clone(), config, policy, clock.clone())?;
        let pair = KeyPair::generate()?;
        let verifier = Verifier::new(&pair.public_pem, DEFAULT_AUDIENCE)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let webhooks = Webhooks::new(WEBHOOK_SECRETS.map(|secret| secret.to_owned().into()).to_vec());
        let web = Web::new(Arc::clone(&app), verifier, webhooks, ui(), bounds, STUCK_AFTER);
        tokio::spawn(axum::serve(listener, router(web)).into_future());
        let signer = Signer::new(&pair.private_pem, DEFAULT_GATEWAY, DEFAULT_AUDIENCE)?;
        Ok(Self {
            app,
            github,
            clock,
            pool,
            base,
            public_pem: pair.public_pem,
            private_pem: pair.private_pem,
            signer,
            client: Client::new(),
        })
    }

    /// Where a service answers that has the same records, but neither a page nor webhooks.
    pub(crate) async fn bare(&self) -> anyhow::Result<String> {
        let verifier = Verifier::new(&self.public_pem, DEFAULT_AUDIENCE)?;
        let web =
            Web::new(Arc::clone(&self.app), verifier, Webhooks::new(Vec::new()), None, Bounds::new(None), STUCK_AFTER);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        tokio::spawn(axum::serve(listener, router(web)).into_future());
        Ok(base)
    }

    /// The assertion that the edge would send for a caller of this name.
    pub(crate) fn assertion(&self, subject: &str) -> anyhow::Result<String> {
        self.assertion_of(ISSUER, subject, &json!({}))
    }

    /// The same with claims of another issuer.
    pub(crate) fn assertion_of(&self, issuer: &str, subject: &str, claims: &Value) -> anyhow::Result<String> {
        let stated = Stated {
            issuer,
            subject,
            name: &format!("{subject}@example.com"),
            claims: &claims.to_string(),
            token_sha256: &"ab".repeat(32),
        };
        Ok(self.signer.sign(&stated, self.clock.unix_seconds(), 60)?)
    }

    /// A request without any identity.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request as the edge would pass it on.
    pub(crate) fn request(&self, subject: &str, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        Ok(self.anonymous(method, path).header(headers::ASSERTION, self.assertion(subject)?))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let request = request.build()?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).context(text)? };
        let answer = Answer { status, headers, body };
        if !answer.problem().is_empty() {
            described::check(&method, &path, status, answer.problem());
        }
        Ok(answer)
    }

    pub(crate) async fn call(&self, subject: &str, method: Method, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(subject, method, path)?).await
    }

    pub(crate) async fn get(&self, subject: &str, path: &str) -> anyhow::Result<Answer> {
        self.call(subject, Method::GET, path).await
    }

    pub(crate) async fn provision(&self, subject: &str, body: Value) -> anyhow::Result<Answer> {
        let request = self.request(subject, Method::POST, "/api/v1/runners/provision")?;
        self.send(request.json(&body)).await
    }

    pub(crate) async fn provision_with_key(&self, subject: &str, key: &str, body: Value) -> anyhow::Result<Answer> {
        let request = self.request(subject, Method::POST, "/api/v1/runners/provision")?;
        self.send(request.header("idempotency-key", key).json(&body)).await
    }

    /// A runner of this name by registration token, with a machine that is on line.
    pub(crate) async fn running(&self, subject: &str, name: &str) -> anyhow::Result<github::RunnerMachine> {
        let body = json!({"runner_name": name, "ephemeral": false});
        let answer = self.provision(subject, body).await?;
        ensure!(answer.status == 201, "{answer:?}");
        let mut machine = self.github.machine().run_command(answer.text("configuration_command")?).await?;
        machine.go_online().await?;
        Ok(machine)
    }

    /// How this world's GitHub is reached, for another process.
    pub(crate) fn github_config(&self) -> anyhow::Result<GithubConfig> {
        config_of(&self.github)
    }

    /// The webhook of the App, with the current secret.
    pub(crate) fn webhook(&self) -> github::Webhook {
        let [secret, _] = WEBHOOK_SECRETS.map(str::to_owned);
        github::Webhook { url: format!("{}/webhooks/github", self.base), secret }
    }

    /// Waits until a runner is recorded as being in a state; how long it took.
    pub(crate) async fn until_state(&self, name: &str, state: &str) -> anyhow::Result<Duration> {
        let started = tokio::time::Instant::now();
        while self.state(name).await?.0 != state {
            ensure!(started.elapsed() < Duration::from_secs(5), "{name} is {:?}", self.state(name).await?);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(started.elapsed())
    }

    /// Waits until everything that answers have left behind is done.
    pub(crate) async fn quiet(&self) {
        while !self.app.tasks.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A round of the comparison with GitHub.
    pub(crate) async fn reconcile(&self) -> anyhow::Result<Summary> {
        let turn = jobs::wait_for_turn(&self.app, Job::Upkeep).await?;
        let summary = jobs::reconcile(&self.app, &self.app.system("reconcile"), &turn).await;
        turn.release_now().await?;
        Ok(summary?)
    }

    pub(crate) async fn cleanup(&self, hours: Option<u32>, dry_run: bool) -> anyhow::Result<Vec<Cleaned>> {
        let turn = jobs::wait_for_turn(&self.app, Job::Upkeep).await?;
        let origin = Origin::local(Actor::Admin("root".to_owned()));
        let cleaned = jobs::cleanup(&self.app, &origin, hours, dry_run, &turn).await;
        turn.release_now().await?;
        Ok(cleaned?)
    }

    /// A round of the drain queue.
    pub(crate) async fn drain_round(&self) -> anyhow::Result<usize> {
        let turn = jobs::wait_for_turn(&self.app, Job::Drains).await?;
        let gone = jobs::drains(&self.app, &self.app.system("drain"), &turn).await;
        turn.release_now().await?;
        Ok(gone?)
    }

    /// Lets time pass here and at GitHub.
    pub(crate) fn advance(&self, by: Duration) -> anyhow::Result<()> {
        self.github.advance(by);
        self.advance_here(by)
    }

    /// Lets time pass here, though not at GitHub.
    pub(crate) fn advance_here(&self, by: Duration) -> anyhow::Result<()> {
        self.clock.advance(TimeDelta::from_std(by)?);
        Ok(())
    }

    /// State and reason of the newest runner of this name, as recorded.
    pub(crate) async fn state(&self, name: &str) -> anyhow::Result<(String, Option<String>)> {
        let query = "select state, deleted_reason from runners where name = $1 order by id desc limit 1";
        Ok(sqlx::query_as(query).bind(name).fetch_one(&self.pool).await?)
    }

    /// Events and outcomes in the order in which they were recorded.
    pub(crate) async fn events(&self) -> anyhow::Result<Vec<String>> {
        let query = "select event || ' ' || outcome from audit_log order by id";
        Ok(sqlx::query_scalar(query).fetch_all(&self.pool).await?)
    }
}

/// As a service has them, but for the principals' limit.
fn bounds() -> Bounds {
    Bounds::new(NonZeroU32::new(RATE_LIMIT))
}

/// A page on which people sign in with [`ISSUER`].
fn ui() -> Option<UiConfig> {
    let (client_id, scope) = ("page".to_owned(), "openid".to_owned());
    Some(UiConfig { issuer: ISSUER.parse().ok()?, client_id, scope, resource: None })
}

fn config_of(github: &FakeGithub) -> anyhow::Result<GithubConfig> {
    Ok(GithubConfig {
        app_id: github.app_id(),
        installations: [(ORGANIZATION.to_owned(), INSTALLATION_ID), (LABS.to_owned(), LABS_ID)].into(),
        enterprise_token: None,
        private_key: EncodingKey::from_rsa_pem(github.app_private_key_pem().as_bytes())?,
        default_target: format!("org:{ORGANIZATION}").parse()?,
        default_group_id: 1,
        api_url: github.base_url().to_owned(),
        web_url: github.base_url().to_owned(),
        timeout: GITHUB_TIMEOUT,
    })
}

async fn start_github() -> anyhow::Result<FakeGithub> {
    let config = || github::GithubConfig {
        organizations: vec![Organization::new(ORGANIZATION, INSTALLATION_ID), Organization::new(LABS, LABS_ID)],
        enterprises: vec![Enterprise::new(ENTERPRISE, ENTERPRISE_TOKEN)],
        limits: github::Limits::NONE,
        ..github::GithubConfig::default()
    };
    let key = APP_KEY
        .get_or_try_init(|| async {
            let first = FakeGithub::start(config()).await?;
            anyhow::Ok(first.app_private_key_pem().to_owned())
        })
        .await?;
    FakeGithub::start(github::GithubConfig { app_private_key_pem: Some(key.clone()), ..config() }).await
}
