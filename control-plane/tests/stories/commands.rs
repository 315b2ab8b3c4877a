//! The binary itself.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use identity::headers;
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgConnectOptions};
use testkit::github::ORGANIZATION;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::MIGRATIONS;
use crate::world::World;

pub(crate) struct Cli {
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) directory: std::path::PathBuf,
}

impl Cli {
    pub(crate) fn new(world: &World, pool: &PgPool, story: &str) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("runner-tokens-{story}-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let key = directory.join("app.pem");
        std::fs::write(&key, world.github.app_private_key_pem())?;
        let environment = vec![
            ("DATABASE_URL", url(&pool.connect_options())?),
            ("GITHUB_APP_ID", world.github.app_id().to_string()),
            ("GITHUB_APP_INSTALLATION_ID", world.github.installation_id().to_string()),
            ("GITHUB_APP_PRIVATE_KEY_PATH", key.to_string_lossy().into_owned()),
            ("GITHUB_ORG", ORGANIZATION.to_owned()),
            ("GITHUB_API_URL", world.github.base_url().to_owned()),
            ("IDENTITY_PUBLIC_KEYS", world.public_pem.clone()),
            ("SERVICE_PORT", "0".to_owned()),
        ];
        Ok(Self { environment, directory })
    }

    /// From now on its connections are what this role is.
    pub(crate) fn as_role(&mut self, role: &str) {
        for (_, url) in self.environment.iter_mut().filter(|(name, _)| *name == "DATABASE_URL") {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str("options=-c%20role%3D");
            url.push_str(role);
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner-tokens"));
        command.args(arguments).env_clear().envs(self.environment.clone()).current_dir(&self.directory);
        command.kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        Ok(self.command(arguments).output().await?)
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.run(arguments).await?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The story's own database, reached as the test's own connections reach it.
fn url(options: &PgConnectOptions) -> anyhow::Result<String> {
    let server: PgConnectOptions = std::env::var("DATABASE_URL")?.parse()?;
    let mut url = sqlx::ConnectOptions::to_url_lossy(&server);
    url.set_path(options.get_database().context("no database")?);
    Ok(url.to_string())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_an_administrator_types_works_and_is_recorded(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "admin")?;
    world.running("alice", "a").await?;
    world.github.add_runner("acme-partners", "theirs", &["linux"]);

    assert_eq!(cli.json(&["sync-github", "--output", "json"]).await?["active"], json!(1));
    let listed = cli.json(&["list-runners", "--status", "active", "--user", "alice", "--output", "json"]).await?;
    assert_eq!((&listed[0]["runner_name"], listed.as_array().map(Vec::len)), (&json!("a"), Some(1)));
    assert_eq!(cli.json(&["list-runners", "--user", "bob", "--output", "json"]).await?, json!([]));
    let table = String::from_utf8(cli.run(&["list-runners"]).await?.stdout)?;
    assert!(table.starts_with("NAME") && table.contains("alice@example.com"), "{table}");
    let unmanaged = cli.json(&["unmanaged-runners", "--output", "json"]).await?;
    assert_eq!((&unmanaged[0]["name"], unmanaged.as_array().map(Vec::len)), (&json!("theirs"), Some(1)));
    let cleaned = cli.json(&["cleanup-stale-runners", "--hours", "1", "--dry-run", "--output", "json"]).await?;
    assert_eq!(cleaned["runners"], json!([]));
    let admins: i64 =
        sqlx::query_scalar("select count(*) from audit_log where actor = 'admin'").fetch_one(&pool).await?;
    assert!(admins >= 2, "adoption and sync");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_log_is_exported_in_every_form(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "export")?;
    world.provision("alice", json!({"runner_name": "a"})).await?;
    world.get("bob", "/api/v1/runners").await?;
    let export = ["export-audit-log", "--since", "2020-01-01", "--output", "-", "--format"];

    let all = cli.json(&[&export[..], &["json"]].concat()).await?;
    // Three of the callers, and the command itself.
    assert_eq!(all.as_array().map(Vec::len), Some(4));
    let lines = cli.run(&[&export[..], &["jsonl", "--event-type", "provision"]].concat()).await?;
    assert_eq!(String::from_utf8(lines.stdout)?.lines().count(), 2);
    let csv = cli.run(&[&export[..], &["csv", "--user", "bob"]].concat()).await?;
    let csv = String::from_utf8(csv.stdout)?;
    assert!(csv.starts_with("id,occurred_at,event") && csv.contains("runner.listed"), "{csv}");
    assert_eq!(csv.lines().count(), 2);
    assert_eq!(cli.json(&["export-audit-log", "--since", "2999-01-01", "--output", "-"]).await?, json!([]));

    let file = cli.run(&["export-audit-log", "--since", "2020-01-01", "--output", "log.json"]).await?;
    assert!(file.status.success());
    let written: Value = serde_json::from_slice(&std::fs::read(cli.directory.join("log.json"))?)?;
    let begin = |all: &Value| all.as_array().map(|all| all[..4].to_vec());
    assert_eq!(begin(&written), begin(&all));
    Ok(())
}

#[sqlx::test]
async fn an_empty_database_is_told_apart_and_mended(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "init")?;
    let refused = cli.run(&["serve"]).await?;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text.contains("run `runner-tokens init-db`"), "{text}");
    for applied in [true, false] {
        let told = cli.json(&["init-db", "--output", "json"]).await?;
        assert_eq!(told["migrations_applied"].as_u64().map(|count| count > 0), Some(applied), "{told}");
        assert!(told["roles_left_to_do"].is_array(), "{told}");
    }
    assert_eq!(cli.json(&["list-runners", "--output", "json"]).await?, json!([]));
    assert_eq!(cli.run(&["list-runners", "--colour", "red"]).await?.status.code(), Some(2));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn serve_says_where_it_listens_works_by_itself_and_stops_when_told(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "serve")?;
    cli.environment.push(("RECONCILE_INTERVAL_SECONDS", "1".to_owned()));
    world.running("alice", "a").await?;
    let mut service = cli.command(&["serve"]).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(service.stderr.take().context("no log")?).lines();
    let mut log = String::new();
    let address = loop {
        let line = lines.next_line().await?.context("it ended")?;
        log.push_str(&line);
        let entry: Value = serde_json::from_str(&line)?;
        if let Some(address) = entry["message"].as_str().and_then(|text| text.strip_prefix("listening on ")) {
            break address.to_owned();
        }
    };
    assert!(reqwest::get(format!("{address}/health/ready")).await?.status().is_success());
    is_told_ready(&mut cli, &address).await?;
    for mode in ["registration-token", "jit"] {
        let request = reqwest::Client::new()
            .post(format!("{address}/api/v1/runners/provision"))
            .header(headers::ASSERTION, world.assertion("alice")?)
            .json(&json!({"runner_name": mode, "mode": mode}));
        assert_eq!(world.send(request).await?.status, 201);
    }
    tokio::time::timeout(Duration::from_secs(20), async {
        while world.state("a").await?.0 != "active" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    })
    .await??;

    let id = service.id().and_then(|id| i32::try_from(id).ok()).context("no id")?;
    rustix::process::kill_process(rustix::process::Pid::from_raw(id).context("no id")?, rustix::process::Signal::TERM)?;
    while let Some(line) = lines.next_line().await? {
        log.push_str(&line);
    }
    assert!(service.wait().await?.success(), "{log}");
    assert!(log.contains("no policy file"), "the start warns");
    for secret in world.github.issued_secrets() {
        assert!(!log.contains(&secret), "a secret in the log");
    }
    Ok(())
}

/// `health`, of the service at this address and where there is none.
async fn is_told_ready(cli: &mut Cli, address: &str) -> anyhow::Result<()> {
    let port = address.rsplit(':').next().context("no port")?;
    for (port, is_ready) in [(port, true), ("1", false)] {
        cli.environment.retain(|(name, _)| *name != "SERVICE_PORT");
        cli.environment.push(("SERVICE_PORT", port.to_owned()));
        let output = cli.run(&["health", "--output", "json"]).await?;
        let told: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!((told.get("ready"), output.status.success()), (Some(&json!(is_ready)), is_ready), "{told}");
        assert_eq!(told.get("problem").is_some_and(Value::is_null), is_ready, "{told}");
    }
    Ok(())
}

#[sqlx::test]
async fn the_configuration_is_shown_with_its_problems_and_without_its_secrets(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "config")?;
    cli.environment.push(("GITHUB_WEBHOOK_SECRET", "hunter2".to_owned()));
    let shown = cli.json(&["config", "--output", "json"]).await?;
    let organisation = json!({"name": "GITHUB_ORG", "value": ORGANIZATION, "source": "environment", "secret": false});
    assert!(shown["settings"].as_array().context("no settings")?.contains(&organisation), "{shown}");
    assert!(!shown.to_string().contains("hunter2"));

    cli.environment.retain(|(name, _)| *name != "GITHUB_ORG");
    cli.environment.push(("GITHUB_WEBHOOK_SECRET_PREVIOUS_FILE", "/does/not/exist".to_owned()));
    let refused = cli.run(&["config"]).await?;
    assert_eq!(refused.status.code(), Some(1));
    let (table, problems) = (String::from_utf8(refused.stdout)?, String::from_utf8(refused.stderr)?);
    assert!(table.contains("SERVICE_HOST") && table.contains("127.0.0.1"), "{table}");
    assert!(!table.contains("hunter2"), "{table}");
    for variable in ["GITHUB_ORG", "GITHUB_WEBHOOK_SECRET_PREVIOUS_FILE"] {
        assert!(problems.contains(&format!("  {variable} ")), "{problems}");
    }
    Ok(())
}
