//! The service in Python: `bench/python/service.py` under uvicorn, with as many processes as there are processors.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use testkit::github::ORGANIZATION;
use testkit::system::{System, free_port};

use crate::Arguments;

/// As many as the control plane has threads on two processors.
const WORKERS: &str = "2";
const START: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(100);

/// Ends what it started when its own input closes, which it does with this process, however that ends.
const UNTIL_CLOSED: &str = r#""$@" </dev/null & read -r _; kill $!; wait"#;

/// The running service; it ends when this is dropped.
pub(crate) struct Peer {
    process: Child,
    pub(crate) url: String,
    log: PathBuf,
}

impl Peer {
    pub(crate) async fn start(system: &System, arguments: &Arguments) -> anyhow::Result<Self> {
        let port = free_port()?;
        let database = system.database_url().replacen("postgres://", "postgresql+psycopg://", 1);
        let path = system.scope().directory().join("python.log");
        let log = File::create(&path)?;
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            UNTIL_CLOSED,
            "sh",
            "python3",
            "-m",
            "uvicorn",
            "service:app",
            "--host",
            "127.0.0.1",
            "--no-access-log",
            "--workers",
            WORKERS,
        ]);
        command.args(["--port", &port.to_string()]).current_dir(&arguments.python_service);
        command.env("PYTHONPATH", arguments.python_packages.canonicalize()?).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("DATABASE_URL", database).env("GITHUB_ORG", ORGANIZATION);
        command
            .env("GITHUB_API_URL", system.github().base_url())
            .env("GITHUB_TOKEN", installation_token(system).await?);
        let process = command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let peer = Self { process, url: format!("http://127.0.0.1:{port}"), log: path };
        peer.until_ready().await?;
        Ok(peer)
    }

    /// The first process; its workers are below it.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while reqwest::get(format!("{}/openapi.json", self.url)).await.is_err() {
            ensure!(started.elapsed() < START, "it does not answer: {}", std::fs::read_to_string(&self.log)?);
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A token for GitHub, which the control plane gets by itself.
async fn installation_token(system: &System) -> anyhow::Result<String> {
    let github = system.github();
    let now = testkit::clock::now().timestamp();
    let claims = json!({"iss": github.app_id().to_string(), "iat": now.saturating_sub(30), "exp": now + 300});
    let key = EncodingKey::from_rsa_pem(github.app_private_key_pem().as_bytes())?;
    let app = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)?;
    let url = format!("{}/app/installations/{}/access_tokens", github.base_url(), github.installation_id());
    let asked = reqwest::Client::new().post(url).header("user-agent", "bench").bearer_auth(app);
    let answer = asked.send().await?.error_for_status()?;
    let body: Value = answer.json().await?;
    body.get("token").and_then(Value::as_str).map(str::to_owned).context("no token")
}
