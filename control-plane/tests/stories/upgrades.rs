//! From any version to the next: with all data, and while the service is used.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use control_plane::http::Bounds;
use control_plane::store::schema;
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use testkit::github::Limits;
use testkit::history::History;

use crate::audit_sealing::seal;
use crate::commands::Cli;
use crate::world::{ISSUER, World};

/// What every version has written, as the first one did; later columns have values of their own.
const WRITTEN: [(&str, &str); 5] = [
    (
        "runners",
        "insert into runners (id, target, name, owner_issuer, owner_subject, owner_name, mode, labels, runner_group_id,
            ephemeral, disable_update, state, issuance, requested_at, created_at, updated_at)
        values (gen_random_uuid(), 'org:acme-partners', 'of-$version', '$issuer', 'alice', 'alice@example.com', 'jit',
            '{self-hosted}', 1, true, false, 'pending', 'requested', now(), now(), now())",
    ),
    (
        "audit_log",
        "insert into audit_log (occurred_at, event, outcome, actor, runner_name, reasons, details)
        values (now(), 'provision.requested', 'success', 'system', 'of-$version', '{because}', '{\"version\": $version}')",
    ),
    ("github_runners_cache",
        "insert into github_runners_cache (target, github_runner_id, name, status, busy, labels, first_seen_at, seen_at)
        values ('org:acme-partners', $version, 'theirs', 'online', false, '{}', now(), now())"),
    ("idempotency_keys",
        "insert into idempotency_keys (key_sha256, body_sha256, runner_id, created_at)
        select encode(sha256('$version'), 'hex'), repeat('a', 64), id, now() from runners where name = 'of-$version'"),
    ("webhook_deliveries",
        "insert into webhook_deliveries (id, event, received_at) values ('$version', 'workflow_job', now())"),
];

/// The rows of each table that is there, by their keys.
async fn contents(pool: &PgPool) -> anyhow::Result<BTreeMap<&'static str, Vec<Value>>> {
    let mut tables = BTreeMap::new();
    for (table, _) in WRITTEN {
        let is_there = "select to_regclass($1) is not null";
        if sqlx::query_scalar::<_, bool>(is_there).bind(table).fetch_one(pool).await? {
            let rows = format!("select to_jsonb(t) from {table} t order by to_jsonb(t)->>'{}'", key(table));
            tables.insert(table, sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(pool).await?);
        }
    }
    Ok(tables)
}

fn key(table: &str) -> &'static str {
    match table {
        "github_runners_cache" => "github_runner_id",
        "idempotency_keys" => "key_sha256",
        _ => "id",
    }
}

#[sqlx::test]
async fn each_migration_keeps_what_every_version_before_it_has_written(pool: PgPool) -> anyhow::Result<()> {
    let versions: Vec<i64> = schema::MIGRATIONS.iter().map(|migration| migration.version).collect();
    for version in &versions {
        let before = contents(&pool).await?;
        schema::MIGRATIONS.run_to(*version, &pool).await?;
        let after = contents(&pool).await?;
        for (table, rows) in &before {
            let now = after.get(table).with_context(|| format!("{version} takes {table} away"))?;
            assert_eq!(rows.len(), now.len(), "{version}: {table}");
            for (row, now) in rows.iter().zip(now) {
                for (column, value) in row.as_object().into_iter().flatten() {
                    assert_eq!(now.get(column), Some(value), "{version}: {table}.{column}");
                }
            }
        }
        for (table, insert) in WRITTEN.iter().filter(|(table, _)| after.contains_key(table)) {
            let insert = insert.replace("$version", &version.to_string()).replace("$issuer", ISSUER);
            sqlx::raw_sql(AssertSqlSafe(insert)).execute(&pool).await.with_context(|| format!("{version}: {table}"))?;
        }
    }
    // The service of today works with all of it.
    schema::check(&pool).await?;
    let world = World::new(pool.clone()).await?;
    let all = world.get("alice", "/api/v1/runners").await?;
    assert_eq!(all.body["total"], versions.len(), "{all:?}");
    let oldest = versions.first().context("no migrations")?;
    assert_eq!(world.get("alice", &format!("/api/v1/runners/of-{oldest}")).await?.status, 200);
    assert!(seal(&world).await? >= u64::try_from(versions.len())?);
    let cli = Cli::new(&world, &pool, "upgrades")?;
    let report = cli.json(&["verify-audit-log", "--output", "json"]).await?;
    assert_eq!(report["finding"], Value::Null, "{report}");
    Ok(())
}

/// What clients have seen while something was done.
struct Load {
    done: AtomicBool,
    answers: AtomicU32,
}

impl Load {
    /// One client: asks for a runner, looks at it, lists all, deletes it, and again. The longest that it waited.
    async fn client(&self, world: &World, number: u32) -> anyhow::Result<Duration> {
        let mut longest = Duration::ZERO;
        for round in 0_u32.. {
            let name = format!("load-{number}-{round}");
            for (method, path, expected) in [
                (Method::POST, "/provision".to_owned(), 201),
                (Method::GET, format!("/{name}"), 200),
                (Method::GET, String::new(), 200),
                (Method::DELETE, format!("/{name}"), 200),
            ] {
                if self.done.load(Ordering::SeqCst) {
                    return Ok(longest);
                }
                let request = world.request("owner-1", method.clone(), &format!("/api/v1/runners{path}"))?;
                let asked = Instant::now();
                let answer = world.send(request.json(&json!({"runner_name": name, "mode": "jit"}))).await?;
                ensure!(answer.status == expected, "{method} {path}: {answer:?}");
                longest = longest.max(asked.elapsed());
                self.answers.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(longest)
    }

    /// Until so many more answers have come.
    async fn goes_on(&self, more: u32) {
        let before = self.answers.load(Ordering::SeqCst);
        while self.answers.load(Ordering::SeqCst) < before + more {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A version that is still at work while the newest migrations are applied: all before them is there, and so is what
/// the service needs. After them come changes as a later version may bring.
#[sqlx::test]
async fn the_newest_migrations_disturb_nobody_who_is_asking(pool: PgPool) -> anyhow::Result<()> {
    const CLIENTS: u32 = 4;
    /// Enough for each client's connections to have prepared everything.
    const ANSWERS: u32 = 60;
    let versions: Vec<i64> = schema::MIGRATIONS.iter().map(|migration| migration.version).collect();
    let [.., before, _] = versions.as_slice() else { anyhow::bail!("{versions:?}") };
    schema::MIGRATIONS.run_to(*before, &pool).await?;
    let history = History { runners: 30_000, live: 1_000, owners: 50, entries: 30_000, unsealed: 0, others: 1_000 };
    history.write(&mut *pool.acquire().await?).await?;
    let world = World::with_bounds(pool.clone(), Bounds::new(None)).await?;
    world.github.set_limits(Limits::NONE);
    let load = Load { done: AtomicBool::new(false), answers: AtomicU32::new(0) };
    let clients = try_join_all((0..CLIENTS).map(|number| load.client(&world, number)));
    let upgrade = async {
        load.goes_on(ANSWERS).await;
        ensure!(schema::migrate(&pool).await? == 1, "nothing to migrate");
        load.goes_on(ANSWERS).await;
        for later in [
            "alter table runners add column later text, add column later_still bigint not null default 1",
            "alter table audit_log add column later text",
            "create index runners_later on runners (later) where later is not null",
            "create table later (id bigint primary key)",
        ] {
            sqlx::raw_sql(later).execute(&pool).await?;
            load.goes_on(ANSWERS).await;
        }
        load.done.store(true, Ordering::SeqCst);
        anyhow::Ok(())
    };
    let (longest, ()) = tokio::try_join!(clients, upgrade)?;
    let longest = longest.into_iter().max().unwrap_or_default();
    println!("{} answers, the longest after {longest:?}", load.answers.load(Ordering::SeqCst));
    assert!(longest < Duration::from_secs(5), "somebody waited for {longest:?}");
    Ok(())
}
