//! What leaves the database: checkpoints and entries, from one replica at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::http::StatusCode;
use control_plane::audit::{AuditKey, AuditKeys, Checkpoint};
use control_plane::clock::Clock;
use control_plane::config::AuditConfig;
use control_plane::jobs;
use control_plane::operations::App;
use control_plane::policy::PolicyFile;
use identity::KeyPair;
use serde_json::Value;
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use crate::MIGRATIONS;
use crate::audit_sealing::write;
use crate::commands::Cli;
use crate::world::World;

/// Runs the job itself until `look` is content.
async fn run_until(world: &World, config: AuditConfig, look: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let app =
        App::new(world.pool.clone(), world.github_config()?, PolicyFile::none(Clock::system().now()), Clock::system())?;
    let end = CancellationToken::new();
    let job = tokio::spawn(jobs::run_audit(Arc::clone(&app), config, end.clone()));
    // Other stories' transactions hold up the sealing of this one's entries.
    let waited = tokio::time::timeout(Duration::from_mins(1), async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await?;
    end.cancel();
    job.await?;
    Ok(())
}

fn config(pem: &str, directory: &std::path::Path) -> anyhow::Result<AuditConfig> {
    Ok(AuditConfig {
        key: Some(AuditKey::from_pem(pem)?),
        seal_interval: Duration::from_secs(1),
        checkpoint_interval: Duration::from_secs(1),
        checkpoint_file: Some(directory.join("checkpoints.jsonl")),
        checkpoint_url: None,
        file: Some(directory.join("audit.jsonl")),
    })
}

fn lines(path: &std::path::Path) -> std::io::Result<Vec<String>> {
    Ok(std::fs::read_to_string(path)?.lines().map(str::to_owned).collect())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn checkpoints_and_entries_leave_the_database_and_go_on_after_a_restart(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "sent")?;
    let pair = KeyPair::generate()?;
    let collector = Collector::default();
    let url = collector.start().await?;
    let file = cli.directory.join("audit.jsonl");
    // A crash may cut the last line off; what follows begins a new one.
    let cut_off = "{\"id\": 1, \"occ";
    for (position, expected) in [(3, 3), (6, 7)] {
        for _ in 0..3 {
            write(&mut *pool.acquire().await?, "a").await?;
        }
        let checkpoint_url = Some(url.clone());
        let config = AuditConfig { checkpoint_url, ..config(&pair.private_pem, &cli.directory)? };
        let published = || collector.seen().last().map(|last| last.position);
        let done = async || lines(&file).is_ok_and(|lines| lines.len() == expected) && published() == Some(position);
        run_until(&world, config, done).await?;
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, format!("{text}{cut_off}"))?;
    }
    assert_eq!(lines(&file)?[3], cut_off);
    let whole: Vec<String> = lines(&file)?.into_iter().filter(|line| line != cut_off).collect();
    std::fs::write(&file, whole.join("\n"))?;
    let keys = AuditKeys::from_pem(&pair.public_pem)?;
    let seen = collector.seen();
    assert!(seen.iter().all(|checkpoint| checkpoint.check(&keys) == Ok(())), "{seen:?}");
    let published = std::fs::read_to_string(cli.directory.join("checkpoints.jsonl"))?;
    assert_eq!(published.lines().last().map(serde_json::from_str::<Checkpoint>).transpose()?, seen.last().cloned());
    // What was pushed is an export like any other.
    std::fs::write(cli.directory.join("public.pem"), &pair.public_pem)?;
    let verify =
        ["verify-audit-log", "audit.jsonl", "--checkpoints", "checkpoints.jsonl", "--public-key", "public.pem"];
    let report = cli.json(&[&verify[..], &["--output", "json"]].concat()).await?;
    assert_eq!((&report["entries"], &report["signatures"]), (&6.into(), &"checked".into()), "{report}");
    Ok(())
}

/// Somebody who keeps checkpoints, once the answers that are set before are used up.
#[derive(Clone, Default)]
struct Collector {
    seen: Arc<Mutex<Vec<Checkpoint>>>,
    refusals: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl Collector {
    /// Serves, and says where.
    async fn start(&self) -> anyhow::Result<String> {
        let collector = self.clone();
        let keep = async move |axum::Json(checkpoint): axum::Json<Checkpoint>| {
            collector.seen.lock().unwrap_or_else(PoisonError::into_inner).push(checkpoint);
            let refusal = collector.refusals.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            refusal.unwrap_or(StatusCode::NO_CONTENT)
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/checkpoints", listener.local_addr()?);
        let router = axum::Router::new().route("/checkpoints", axum::routing::post(keep));
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(url)
    }

    fn seen(&self) -> Vec<Checkpoint> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_checkpoint_is_sent_until_it_is_taken(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "taken")?;
    let pair = KeyPair::generate()?;
    let collector = Collector::default();
    let refusals = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::FOUND, StatusCode::NOT_FOUND];
    collector.refusals.lock().unwrap_or_else(PoisonError::into_inner).extend(refusals);
    let config =
        AuditConfig { checkpoint_url: Some(collector.start().await?), ..config(&pair.private_pem, &cli.directory)? };
    write(&mut *pool.acquire().await?, "a").await?;
    let published = "select published_position from audit_log_progress";
    let taken = async || sqlx::query_scalar::<_, i64>(published).fetch_one(&pool).await.is_ok_and(|last| last == 1);
    run_until(&world, config, taken).await?;
    let seen = collector.seen();
    assert_eq!(seen.len(), refusals.len() + 1, "{seen:?}");
    assert!(seen.iter().all(|checkpoint| Some(checkpoint) == seen.first()), "{seen:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_services_log_has_each_checkpoint(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "logged")?;
    let pair = KeyPair::generate()?;
    cli.environment.push(("AUDIT_SIGNING_KEY", pair.private_pem.clone()));
    cli.environment.push(("AUDIT_SEAL_SECONDS", "1".to_owned()));
    write(&mut *pool.acquire().await?, "a").await?;
    let mut service = cli.command(&["serve"]).stderr(std::process::Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(service.stderr.take().context("no log")?).lines();
    let line = async {
        while let Some(line) = lines.next_line().await? {
            let line: Value = serde_json::from_str(&line)?;
            if line["message"] == "audit checkpoint" {
                return Ok(line);
            }
        }
        anyhow::bail!("it ended")
    };
    let mut line = tokio::time::timeout(Duration::from_secs(20), line).await??;
    let members =
        ["position", "seal", "made_at", "key_id", "signature"].map(|name| (name.to_owned(), line[name].take()));
    let checkpoint: Checkpoint = serde_json::from_value(Value::Object(members.into_iter().collect()))?;
    assert_eq!(checkpoint.check(&AuditKeys::from_pem(&pair.public_pem)?), Ok(()));
    assert_eq!(checkpoint.position, 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn of_several_replicas_one_writes_each_entry_once(pool: PgPool) -> anyhow::Result<()> {
    const ENTRIES: usize = 60;
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "once")?;
    let pair = KeyPair::generate()?;
    let file = cli.directory.join("audit.jsonl");
    let writer = async {
        for number in 0..ENTRIES {
            write(&mut *pool.acquire().await?, &number.to_string()).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    let done = async || lines(&file).is_ok_and(|lines| lines.len() >= ENTRIES);
    let replica = async || run_until(&world, config(&pair.private_pem, &cli.directory)?, done).await;
    tokio::try_join!(writer, replica(), replica(), replica())?;
    let mut positions = Vec::new();
    for line in lines(&file)? {
        let entry: Value = serde_json::from_str(&line)?;
        positions.extend(entry["position"].as_u64());
    }
    assert!(positions.iter().copied().eq(1..=u64::try_from(ENTRIES)?), "{positions:?}");
    Ok(())
}
