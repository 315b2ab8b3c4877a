//! The log of everything.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::world::{ISSUER, World};

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_entry_says_who_whence_what_and_why(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let request = world
        .request("alice", Method::POST, "/api/v1/runners/provision")?
        .header("x-client-ip", "203.0.113.7")
        .header("x-forwarded-for", "198.51.100.1")
        .header("user-agent", "story/1")
        .header("x-request-id", "req-1")
        .json(&json!({"runner_name": "a"}));
    let answer = world.send(request).await?;
    let entries: Vec<Value> =
        sqlx::query_scalar("select to_jsonb(e) from audit_log e order by id").fetch_all(&pool).await?;
    assert_eq!(world.events().await?, ["provision.requested success", "provision.issued success"]);
    for entry in &entries {
        for (member, expected) in [
            ("actor", "principal"),
            ("principal_issuer", ISSUER),
            ("principal_subject", "alice"),
            ("display_name", "alice@example.com"),
            ("client_ip", "203.0.113.7"),
            ("user_agent", "story/1"),
            ("request_id", "req-1"),
            ("token_sha256", "ab".repeat(32).as_str()),
            ("runner_id", answer.text("runner_id")?),
            ("runner_name", "a"),
            ("target", "org:acme-partners"),
        ] {
            assert_eq!(entry[member], Value::from(expected), "{member}");
        }
    }
    assert!(entries[0]["reasons"][0].as_str().is_some_and(|reason| reason.contains("no policy file")));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_operation_leaves_its_entry(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.running("alice", "a").await?;
    world.get("alice", "/api/v1/runners").await?;
    world.get("alice", "/api/v1/runners/a").await?;
    world.get("alice", "/api/v1/runners/b").await?;
    world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await?;
    world.call("alice", Method::DELETE, "/api/v1/runners/a").await?;
    world.call("alice", Method::DELETE, "/api/v1/runners/a").await?;
    let expected = [
        "provision.requested success",
        "provision.issued success",
        "runner.listed success",
        "runner.read success",
        "runner.read denied",
        "runner.refreshed success",
        "runner.adopted success",
        "runner.active success",
        "deprovision.requested success",
        "runner.deleted success",
        "deprovision.denied denied",
    ];
    assert_eq!(world.events().await?, expected);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn times_are_the_databases_in_utc(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "times")?;
    let prefers = "do $$ begin
            execute format('alter database %I set timezone = ''America/New_York''', current_database());
            execute format('alter database %I set datestyle = ''SQL, DMY''', current_database());
        end $$";
    sqlx::raw_sql(prefers).execute(&pool).await?;
    // The service's own clock goes wrong by days.
    world.advance(Duration::from_hours(72))?;
    let now = async || Ok::<DateTime<Utc>, sqlx::Error>(sqlx::query_scalar("select now()").fetch_one(&pool).await?);
    let before = now().await?;
    world.provision("alice", json!({"runner_name": "a"})).await?;
    let after = now().await?;
    crate::audit_sealing::seal(&world).await?;
    let entries = cli.json(&["export-audit-log", "--after", "0", "--output", "-"]).await?;
    let entries = entries.as_array().context("no entries")?;
    for entry in &entries[..2] {
        let text = entry["occurred_at"].as_str().context("no time")?;
        assert!(text.ends_with('Z') && text.len() == "2026-01-31T12:00:00.000000Z".len(), "{text}");
        let time = DateTime::parse_from_rfc3339(text)?.to_utc();
        assert!(before <= time && time <= after, "{before} {time} {after}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_database_itself_refuses_changes(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    world.provision("alice", json!({"runner_name": "a"})).await?;
    for statement in [
        "update audit_log set display_name = 'nobody'",
        "update audit_log set event = 'x' where false",
        "delete from audit_log",
        "delete from audit_log where false",
        "truncate audit_log",
        "truncate audit_log cascade",
    ] {
        let refused = sqlx::query(statement).execute(&pool).await.map(drop);
        let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("append-only"), "{statement}: {text}");
    }
    assert_eq!(world.events().await?.len(), 2);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn no_secret_is_stored_anywhere(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    for mode in ["registration-token", "jit"] {
        let body = json!({"runner_name": format!("a-{mode}"), "mode": mode});
        assert_eq!(world.provision_with_key("alice", &format!("secret-key-4711-{mode}"), body).await?.status, 201);
        world.github.inject(Endpoint::Any, Fault::AfterCommit(500), 1);
        world.provision("alice", json!({"runner_name": format!("b-{mode}"), "mode": mode})).await?;
        world.advance_here(Duration::from_mins(5))?;
    }
    world.reconcile().await?;
    let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
        .fetch_all(&pool)
        .await?;
    let mut secrets = world.github.issued_secrets();
    secrets.push("secret-key-4711".to_owned());
    assert!(secrets.len() > 4);
    for table in tables {
        let dump = format!("select coalesce(string_agg(t::text, ' '), '') from \"{table}\" t");
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(dump)).fetch_one(&pool).await?;
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "a secret in {table}");
        }
    }
    Ok(())
}
