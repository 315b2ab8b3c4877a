//! What Prometheus sees of the binary itself.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use control_plane::metrics::METRICS;
use control_plane::store;
use identity::headers;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::MIGRATIONS;
use crate::serving::Service;
use crate::world::{ISSUER, World};

/// An answer of the port for metrics.
pub(crate) struct Scrape(String);

impl Scrape {
    pub(crate) async fn of(service: &Service) -> anyhow::Result<Self> {
        let response = reqwest::get(&service.metrics).await?;
        ensure!(response.status().is_success(), "{}", response.status());
        Ok(Self(response.text().await?))
    }

    /// The values of the series that begin like this.
    fn all(&self, series: &str) -> Vec<u64> {
        let lines = self.0.lines().filter(|line| line.starts_with(series));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
    }

    fn one(&self, series: &str) -> anyhow::Result<u64> {
        self.all(&format!("{series} ")).into_iter().next().with_context(|| format!("no {series} in\n{}", self.0))
    }

    /// Names with their labels.
    fn families(&self) -> BTreeMap<&str, &str> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
    }
}

async fn promtool(scrape: &Scrape) -> anyhow::Result<()> {
    let mut child = Command::new(testkit::system::path("PROMTOOL_BIN")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no standard input")?.write_all(scrape.0.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "{}\n{}", String::from_utf8_lossy(&said), scrape.0);
    Ok(())
}

/// The policy of these stories.
const POLICY: &str = "\
version: 1
rules:
  - name: everybody
    match: {iss: https://idp.example.com, claims: {aud: runners}}
    grant: {targets: [org:acme-partners], labels: [linux], runner_groups: [1]}
";

#[sqlx::test(migrator = "MIGRATIONS")]
async fn promtool_has_nothing_to_say_of_the_metrics_and_all_are_in_the_catalogue(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let service = Service::start(&world, &pool, "metrics", |cli| {
        let policy = cli.directory.join("policy.yaml");
        std::fs::write(&policy, POLICY)?;
        cli.environment.push(("POLICY_FILE", policy.to_string_lossy().into_owned()));
        cli.environment.push(("AUDIT_SEAL_SECONDS", "1".to_owned()));
        Ok(())
    })
    .await?;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", service.base);
    let assertion = world.assertion_of(ISSUER, "alice", &json!({"aud": "runners"}))?;
    let provision = client.post(url("/api/v1/runners/provision")).header(headers::ASSERTION, &assertion);
    let answer = world.send(provision.json(&json!({"runner_name": "secret-runner", "labels": ["linux"]}))).await?;
    ensure!(answer.status == 201, "{answer:?}");
    for path in ["/api/v1/runners/secret-runner", "/secret-path", "/api/v1/admin/audit-log?user=secret-user"] {
        client.get(url(path)).header(headers::ASSERTION, &assertion).send().await?;
    }
    client.request(Method::from_bytes(b"SECRETMETHOD")?, url("/health")).send().await?;
    // What is read of the jobs is there once each has run.
    let scrape = service.until(|scrape| scrape.all("runner_tokens_job_leader").len() == 3).await?;

    promtool(&scrape).await?;
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(scrape.families().into_keys().collect::<BTreeSet<_>>(), names);
    for chosen in ["secret", "SECRET", "alice", "idp.example.com"] {
        assert!(!scrape.0.contains(chosen), "{chosen} in\n{}", scrape.0);
    }
    let requests = |labels: &str| scrape.one(&format!("runner_tokens_http_requests_total{{{labels}}}"));
    assert_eq!(requests(r#"method="POST",route="/api/v1/runners/provision",status="2xx""#)?, 1);
    assert_eq!(requests(r#"method="GET",route="/api/v1/runners/{name}",status="2xx""#)?, 1);
    assert_eq!(requests(r#"method="GET",route="/api/v1/admin/audit-log",status="4xx""#)?, 1);
    assert_eq!(requests(r#"method="GET",route="unmatched",status="4xx""#)?, 1);
    assert_eq!(requests(r#"method="other",route="/health",status="4xx""#)?, 1);
    let calls = scrape.one(r#"runner_tokens_github_requests_total{operation="registration_token",status="201"}"#)?;
    assert_eq!(calls, 1);
    assert_eq!(scrape.one(r#"runner_tokens_runners{state="pending"}"#)?, 1);
    assert_eq!(scrape.one("runner_tokens_policy_rules")?, 1);
    assert_eq!(scrape.all("runner_tokens_job_leader"), [1; 3], "it is alone");
    assert!(scrape.one(r#"runner_tokens_github_budget_remaining{account="acme-partners"}"#)? > 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_can_not_be_read_is_left_out_and_counted(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let service = Service::start(&world, &pool, "unread", |_| Ok(())).await?;
    let before = Scrape::of(&service).await?;
    assert_eq!(before.all("runner_tokens_runners{").len(), 3);
    let failures = |scrape: &Scrape, reading: &str| {
        scrape.one(&format!("runner_tokens_scrape_failures_total{{reading=\"{reading}\"}}"))
    };
    assert_eq!(failures(&before, "runners")?, 0);

    // A lock that is held keeps readings waiting; a table that is not there fails them.
    let mut lock = store::begin(&pool).await?;
    sqlx::query("lock table audit_log in access exclusive mode").execute(&mut *lock).await?;
    sqlx::query("alter table job_runs rename to gone").execute(&pool).await?;
    let started = std::time::Instant::now();
    let scrape = Scrape::of(&service).await?;
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    for (reading, series) in [("audit", "runner_tokens_audit_"), ("jobs", "runner_tokens_job_last_run_")] {
        assert_eq!(failures(&scrape, reading)?, 1, "{reading}");
        assert!(scrape.all(series).is_empty(), "{}", scrape.0);
    }
    assert_eq!(failures(&scrape, "runners")?, 0);
    assert_eq!(scrape.all("runner_tokens_runners{").len(), 3, "the others are read all the same");
    promtool(&scrape).await?;
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_broken_policy_shows(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut path = None;
    let service = Service::start(&world, &pool, "stale", |cli| {
        let policy = cli.directory.join("policy.yaml");
        std::fs::write(&policy, POLICY)?;
        cli.environment.push(("POLICY_FILE", policy.to_string_lossy().into_owned()));
        path = Some(policy);
        Ok(())
    })
    .await?;
    let scrape = Scrape::of(&service).await?;
    assert_eq!(
        (scrape.one("runner_tokens_policy_stale")?, scrape.one("runner_tokens_policy_reload_failures_total")?),
        (0, 0)
    );
    std::fs::write(path.context("no policy")?, "version: 2\n")?;
    let scrape = service.until(|scrape| scrape.all("runner_tokens_policy_stale") == [1]).await?;
    assert_eq!(scrape.one("runner_tokens_policy_reload_failures_total")?, 1);
    assert_eq!(scrape.all(r"runner_tokens_policy_info{"), [1]);
    assert!(scrape.0.contains(r#"status="stale""#), "{}", scrape.0);
    Ok(())
}
