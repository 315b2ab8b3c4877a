//! The program under test and what it needs.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use control_plane::clock::Clock;
use control_plane::config::GithubConfig;
use control_plane::operations::App;
use control_plane::policy::PolicyFile;
use identity::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, KeyPair, Signer, Stated, headers};
use octocrab::jsonwebtoken::EncodingKey;
use reqwest::{Client, Method, RequestBuilder};
use sqlx::PgPool;
use testkit::github::{self, FakeGithub, Limits, ORGANIZATION, Webhook};
use testkit::relay::Relay;

/// What deliveries of GitHub are signed with.
const WEBHOOK_SECRET: &str = "webhook secret";

/// GitHub, the way to the database, and the edge's key.
pub(crate) struct Surroundings {
    pub(crate) github: FakeGithub,
    pub(crate) relay: Relay,
    signer: Signer,
    variables: Vec<(&'static str, String)>,
    key_file: PathBuf,
}

/// The running program; it is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
}

impl Program {
    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.kill();
    }
}

impl Surroundings {
    pub(crate) async fn new(pool: &PgPool) -> anyhow::Result<Self> {
        let config = github::GithubConfig { limits: Limits::NONE, ..github::GithubConfig::default() };
        let github = FakeGithub::start(config).await?;
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(pool).await?;
        let key_file = std::env::temp_dir().join(format!("{name}.pem"));
        testkit::secret_file::write(&key_file, github.app_private_key_pem())?;
        let pair = KeyPair::generate()?;
        let signer = Signer::new(&pair.private_pem, DEFAULT_GATEWAY, DEFAULT_AUDIENCE)?;
        let options = pool.connect_options();
        let server = tokio::net::lookup_host((options.get_host(), options.get_port())).await?.next();
        let relay = Relay::start(server.context("the database has no address")?).await?;
        let variables = vec![
            ("DATABASE_URL", url_through(relay.address(), &name)?),
            ("DATABASE_MAX_CONNECTIONS", "5".to_owned()),
            ("GITHUB_APP_ID", github.app_id().to_string()),
            ("GITHUB_APP_INSTALLATION_ID", github.installation_id().to_string()),
            ("GITHUB_APP_PRIVATE_KEY_PATH", key_file.display().to_string()),
            ("GITHUB_API_URL", github.base_url().to_owned()),
            ("GITHUB_ORG", ORGANIZATION.to_owned()),
            ("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
            ("IDENTITY_PUBLIC_KEYS", pair.public_pem),
            ("SERVICE_PORT", "0".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
        ];
        Ok(Self { github, relay, signer, variables, key_file })
    }

    /// Starts the program with these variables besides, and waits until it listens.
    pub(crate) async fn start(&self, more: &[(&str, &str)]) -> anyhow::Result<Program> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner-tokens"));
        command.arg("serve").env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(more.iter().copied());
        // It speaks to the relay and to GitHub in this process meanwhile, so nothing here may block.
        tokio::task::spawn_blocking(move || until_it_listens(command)).await?
    }

    /// A request of a caller whom the edge let through.
    pub(crate) fn request(&self, program: &Program, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let stated = Stated {
            issuer: "https://idp.example.com",
            subject: "ci",
            name: "ci",
            claims: "{}",
            token_sha256: &"ab".repeat(32),
        };
        let assertion = self.signer.sign(&stated, Clock::system().unix_seconds(), 60)?;
        let request = Client::new().request(method, format!("{}{path}", program.address));
        Ok(request.header(headers::ASSERTION, assertion))
    }

    /// Where GitHub delivers to.
    pub(crate) fn webhook(program: &Program) -> Webhook {
        Webhook { url: format!("{}/webhooks/github", program.address), secret: WEBHOOK_SECRET.to_owned() }
    }

    /// The same service in this process, so much later.
    pub(crate) fn later(&self, pool: &PgPool, by: TimeDelta) -> anyhow::Result<Arc<App>> {
        let later = Clock::manual(Clock::system().now());
        later.advance(by);
        let config = GithubConfig {
            app_id: self.github.app_id(),
            installations: [(ORGANIZATION.to_owned(), self.github.installation_id())].into(),
            enterprise_token: None,
            private_key: EncodingKey::from_rsa_pem(self.github.app_private_key_pem().as_bytes())?,
            default_target: format!("org:{ORGANIZATION}").parse()?,
            default_group_id: 1,
            api_url: self.github.base_url().to_owned(),
            web_url: self.github.base_url().to_owned(),
            timeout: Duration::from_secs(10),
        };
        Ok(App::new(pool.clone(), config, PolicyFile::none(later.now()), later)?)
    }
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        // One more file in the folder for temporary ones is no reason to fail.
        let _ = std::fs::remove_file(&self.key_file);
    }
}

fn until_it_listens(mut command: Command) -> anyhow::Result<Program> {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut log = BufReader::new(child.stderr.take().context("no standard error")?).lines();
    let mut program = Program { child, address: String::new() };
    let mut before = Vec::new();
    for line in log.by_ref() {
        let line = line?;
        if let Some((_, rest)) = line.split_once("listening on ") {
            rest.split('"').next().unwrap_or_default().clone_into(&mut program.address);
            // Whoever writes to a full pipe stands still.
            std::thread::spawn(move || log.for_each(drop));
            return Ok(program);
        }
        before.push(line);
    }
    anyhow::bail!("it did not start: {before:#?}")
}

/// The URL of this database, by way of the relay.
fn url_through(relay: SocketAddr, database: &str) -> anyhow::Result<String> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let (scheme, rest) = url.split_once("://").context("DATABASE_URL is no URL")?;
    let user = rest.rsplit_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
    Ok(format!("{scheme}://{user}{relay}/{database}"))
}
