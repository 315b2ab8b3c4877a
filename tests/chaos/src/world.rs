//! The system that everything is done to, and what clients need of it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use identity::KeyPair;
use testkit::collector::Collector;
use testkit::github::{FakeGithub, GithubConfig, Limits, ORGANIZATION, Webhook};
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig, Mint};
use testkit::system::{AUDIENCE, System, SystemOptions};
use tokio::sync::RwLock;

use crate::book::Book;

/// Control planes, and workers of Envoy.
pub(crate) const REPLICAS: usize = 3;
const WORKERS: u32 = 2;
/// Of its name alone: where its keys are is another matter.
const ISSUER: &str = "http://idp.chaos.example";
pub(crate) const WEBHOOK_SECRET: &str = "webhook-secret-of-the-chaos-4711";
/// Live runners of a client, and those of them that no machine has come on line with.
pub(crate) const ACTIVE: i64 = 6;
pub(crate) const PENDING: i64 = 4;
/// New runners of `hourly` within an hour.
pub(crate) const PER_HOUR: i64 = 25;

/// What clients share.
pub(crate) struct Outside {
    pub(crate) edge: String,
    pub(crate) issuer: DevIssuer,
    pub(crate) github: FakeGithub,
    pub(crate) book: Book,
    /// Held for reading by each request; for writing, nobody has one under way.
    pub(crate) gate: RwLock<()>,
}

impl Outside {
    /// A good token.
    pub(crate) fn token(&self, subject: &str) -> anyhow::Result<String> {
        self.issuer.mint(&Mint::new(subject, AUDIENCE).algorithm(Algorithm::Es256))
    }

    /// The URL of a call.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.edge)
    }
}

/// The running system, and its files.
pub(crate) struct World {
    pub(crate) system: System,
    /// The public key of the audit log's checkpoints.
    pub(crate) audit_key: PathBuf,
    pub(crate) audit_private_pem: String,
    pub(crate) collector: Collector,
    _policy: Policy,
}

/// A policy file, gone with its handle.
struct Policy(PathBuf);

impl Drop for Policy {
    fn drop(&mut self) {
        // One more file in the folder for temporary ones is no reason to fail.
        let _ = fs::remove_file(&self.0);
    }
}

impl World {
    /// Starts everything, with what is needed to make each part fail. `filter` is the module that traps when told.
    pub(crate) async fn start(filter: PathBuf) -> anyhow::Result<Self> {
        let policy = Policy(std::env::temp_dir().join(format!("chaos-policy-{}.yaml", std::process::id())));
        fs::write(&policy.0, rules())?;
        let (audit, collector) = (KeyPair::generate()?, Collector::start(StatusCode::OK).await?);
        let mut system = System::start(SystemOptions {
            issuer: IssuerConfig { public_url: Some(ISSUER.to_owned()), ..IssuerConfig::default() },
            github: GithubConfig { limits: Limits::NONE, ..SystemOptions::default().github },
            replicas: REPLICAS,
            own_postgres: true,
            control_plane: variables(&policy, &audit, &collector)?,
            envoy_concurrency: WORKERS,
            wires: true,
            filter: Some(filter),
            ..SystemOptions::default()
        })
        .await?;
        let webhook = Webhook { url: format!("{}/webhooks/github", system.edge_url()), secret: WEBHOOK_SECRET.into() };
        system.github().set_webhook(Some(webhook));
        // A fault of one client's should not pass for one of all: nobody waits for a queue.
        system.issuer().set_cache_control(Some("max-age=60"));
        let audit_key = system.scope().directory().join("audit-public.pem");
        fs::write(&audit_key, &audit.public_pem)?;
        anyhow::ensure!(system.control_planes().len() == REPLICAS, "not every control plane is there");
        Ok(Self { system, audit_key, audit_private_pem: audit.private_pem, collector, _policy: policy })
    }

    /// What clients need.
    pub(crate) fn outside(&self) -> Outside {
        Outside {
            edge: self.system.edge_url().to_owned(),
            issuer: self.system.issuer().clone(),
            github: self.system.github().clone(),
            book: Book::default(),
            gate: RwLock::new(()),
        }
    }

    /// Everything that must run does: nobody may have ended by itself.
    pub(crate) fn ended(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        for (number, control_plane) in self.system.control_planes().iter_mut().enumerate() {
            ended.extend(control_plane.process().ended().map(|how| format!("control plane {number} ended: {how}")));
        }
        ended.extend(self.system.envoy().process().ended().map(|how| format!("Envoy ended: {how}")));
        let postgres = self.system.postgres().and_then(|postgres| postgres.process().ended());
        ended.extend(postgres.map(|how| format!("Postgres ended: {how}")));
        ended
    }

    /// The database, by no wire: for looking, not for the system.
    pub(crate) async fn database(&self, connections: u32) -> anyhow::Result<sqlx::PgPool> {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(connections);
        let options = options.acquire_timeout(Duration::from_secs(5));
        options.connect(self.system.database_url()).await.context("the system's database")
    }
}

fn variables(policy: &Policy, audit: &KeyPair, collector: &Collector) -> anyhow::Result<Vec<(String, String)>> {
    let variables = [
        ("POLICY_FILE", policy.0.to_str().context("the policy's path is no text")?),
        ("RECONCILE_INTERVAL_SECONDS", "1"),
        // An attempt counts as interrupted after five times this and ten seconds.
        ("GITHUB_TIMEOUT_SECONDS", "1"),
        ("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("RATE_LIMIT_PER_MINUTE", "0"),
        ("AUDIT_SIGNING_KEY", &audit.private_pem),
        ("AUDIT_SEAL_SECONDS", "1"),
        ("AUDIT_CHECKPOINT_SECONDS", "2"),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()),
    ];
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

fn rules() -> String {
    let grant = format!("targets: [\"org:{ORGANIZATION}\"], runner_groups: [1], labels: [gpu]");
    let rule = |name: &str, subject: &str, limits: &str| {
        format!(
            "  - name: {name}\n    match: {{iss: {ISSUER:?}, claims: {{sub: {subject}}}}}\n    grant: {{{grant}{limits}}}\n"
        )
    };
    let clients = format!(", limits: {{active: {ACTIVE}, pending: {PENDING}}}");
    [
        "version: 1\nrules:\n".to_owned(),
        rule("clients", "{glob: \"client-*\"}", &clients),
        rule("hourly", "hourly", &format!(", limits: {{per_hour: {PER_HOUR}}}")),
        rule("others", "{in: [keeper, prober]}", ""),
    ]
    .concat()
}
