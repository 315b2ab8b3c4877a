//! The real program, killed at any point: whatever was half done is put right, and nothing is left on GitHub.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use control_plane::audit::{Actor, Origin};
use control_plane::clock::Clock;
use control_plane::config::GithubConfig;
use control_plane::jobs::{self, Job};
use control_plane::operations::App;
use identity::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, Identity, KeyPair, Principal, Signer, headers};
use octocrab::jsonwebtoken::EncodingKey;
use serde_json::{Map, json};
use sqlx::PgPool;
use testkit::github::{self, Endpoint, FakeGithub, Limits, ORGANIZATION};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

const SEED: u64 = 0x5eed;
/// `KILLS` asks for another number.
const KILLS: u64 = 100;
/// Asked for at the same time before each kill.
const AT_ONCE: u64 = 6;

/// What the program needs beside a database.
struct Surroundings {
    github: FakeGithub,
    signer: Signer,
    variables: Vec<(&'static str, String)>,
}

impl Surroundings {
    async fn new(pool: &PgPool, key_file: &std::path::Path) -> anyhow::Result<Self> {
        let config = github::GithubConfig { limits: Limits::NONE, ..github::GithubConfig::default() };
        let github = FakeGithub::start(config).await?;
        std::fs::write(key_file, github.app_private_key_pem())?;
        let pair = KeyPair::generate()?;
        let signer = Signer::new(&pair.private_pem, DEFAULT_GATEWAY, DEFAULT_AUDIENCE)?;
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(pool).await?;
        let server = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
        let (start, _) = server.rsplit_once('/').context("DATABASE_URL names no database")?;
        let variables = vec![
            ("DATABASE_URL", format!("{start}/{name}")),
            ("DATABASE_MAX_CONNECTIONS", "5".to_owned()),
            ("GITHUB_APP_ID", github.app_id().to_string()),
            ("GITHUB_APP_INSTALLATION_ID", github.installation_id().to_string()),
            ("GITHUB_APP_PRIVATE_KEY_PATH", key_file.display().to_string()),
            ("GITHUB_API_URL", github.base_url().to_owned()),
            ("GITHUB_ORG", ORGANIZATION.to_owned()),
            ("IDENTITY_PUBLIC_KEYS", pair.public_pem),
            ("SERVICE_PORT", "0".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
        ];
        Ok(Self { github, signer, variables })
    }

    /// Starts the program and waits until it listens; its address.
    fn start(&self) -> anyhow::Result<(Child, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner-tokens"));
        command.arg("serve").env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut log = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let line = log.by_ref().map_while(Result::ok).find(|line| line.contains("listening on "));
        let line = line.context("it did not start")?;
        let address = line.split("listening on ").nth(1).and_then(|rest| rest.split('"').next());
        let address = address.context("no address")?.to_owned();
        // Whoever writes to a full pipe stands still.
        std::thread::spawn(move || log.for_each(drop));
        Ok((child, address))
    }

    fn assertion(&self) -> anyhow::Result<String> {
        let identity = Identity {
            principal: Principal { issuer: "https://idp.example.com".to_owned(), subject: "ci".to_owned() },
            name: "ci".to_owned(),
            claims: Map::new(),
            token_sha256: "ab".repeat(32),
        };
        Ok(self.signer.sign(&identity, Clock::system().unix_seconds(), 60)?)
    }

    /// The same service in this process, at a time when everything that was interrupted is overdue.
    fn survivor(&self, pool: &PgPool) -> anyhow::Result<std::sync::Arc<App>> {
        let later = Clock::manual(Clock::system().now());
        later.advance(TimeDelta::minutes(10));
        let config = GithubConfig {
            app_id: self.github.app_id(),
            installation_id: self.github.installation_id(),
            private_key: EncodingKey::from_rsa_pem(self.github.app_private_key_pem().as_bytes())?,
            default_target: format!("org:{ORGANIZATION}").parse()?,
            default_group_id: 1,
            api_url: self.github.base_url().to_owned(),
            web_url: self.github.base_url().to_owned(),
            timeout: Duration::from_secs(10),
        };
        Ok(App::new(pool.clone(), config, later)?)
    }
}

/// Numbers that look like chance and are the same every time (splitmix64).
fn number(seed: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Several provisions under way, and the program dies.
async fn one_kill(surroundings: &Surroundings, kill: u64) -> anyhow::Result<()> {
    let (mut child, address) = surroundings.start()?;
    let client = reqwest::Client::new();
    for each in 0..AT_ONCE {
        let mode = if each % 2 == 0 { "jit" } else { "registration-token" };
        let request = client
            .post(format!("{address}/api/v1/runners/provision"))
            .header(headers::ASSERTION, surroundings.assertion()?)
            .json(&json!({"runner_name": format!("r-{kill}-{each}"), "mode": mode}));
        tokio::spawn(request.send());
    }
    tokio::time::sleep(Duration::from_millis(number(SEED.wrapping_add(kill)) % 120)).await;
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn kills_leave_no_orphans_no_stuck_rows_and_nothing_unrecorded(pool: PgPool) -> anyhow::Result<()> {
    let key_file = std::env::temp_dir().join(format!("runner-tokens-kills-{}.pem", std::process::id()));
    let surroundings = Surroundings::new(&pool, &key_file).await?;
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    for kill in 0..kills {
        one_kill(&surroundings, kill).await?;
    }
    std::fs::remove_file(&key_file)?;

    let interrupted: i64 =
        sqlx::query_scalar("select count(*) from runners where issuance <> 'issued'").fetch_one(&pool).await?;
    let app = surroundings.survivor(&pool)?;
    let turn = jobs::wait_for_turn(&app, Job::Upkeep).await?;
    for _ in 0..2 {
        jobs::reconcile(&app, &Origin::local(Actor::System("reconcile")), &turn).await?;
    }
    turn.release_now().await?;

    let known: Vec<i64> = sqlx::query_scalar(
        "select github_runner_id from runners where state <> 'deleted' and github_runner_id is not null",
    )
    .fetch_all(&pool)
    .await?;
    let known: BTreeSet<i64> = known.into_iter().collect();
    let there = surroundings.github.runners();
    let orphans = there.iter().filter(|runner| i64::try_from(runner.id).is_ok_and(|id| !known.contains(&id))).count();
    let stuck: i64 =
        sqlx::query_scalar("select count(*) from runners where state <> 'deleted' and issuance <> 'issued'")
            .fetch_one(&pool)
            .await?;
    let asked = surroundings.github.count(Endpoint::JitConfig) + surroundings.github.count(Endpoint::RegistrationToken);
    let intents: i64 = sqlx::query_scalar("select count(*) from audit_log where event = 'provision.requested'")
        .fetch_one(&pool)
        .await?;
    let unrecorded = i64::try_from(asked)?.saturating_sub(intents).max(0);
    println!(
        "{kills} kills, {asked} secrets asked for, {interrupted} interrupted, {} runners on GitHub: \
         {orphans} orphans, {stuck} stuck, {unrecorded} unrecorded",
        there.len()
    );
    assert_eq!((orphans, stuck, unrecorded), (0, 0, 0));
    assert!(asked > 0 && interrupted > 0, "the kills came too early or too late to prove anything");
    Ok(())
}
