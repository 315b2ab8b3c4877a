//! Old months go, once they are exported.

use std::time::Duration;

use control_plane::audit::{AuditKey, Dropped};
use control_plane::clock::Clock;
use control_plane::jobs;
use control_plane::store;
use identity::KeyPair;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::MIGRATIONS;
use crate::audit_sealing::{seal, write};
use crate::commands::Cli;
use crate::world::World;

/// Two months of a year ago, the first ones with a partition, each with some entries; one of the first month was
/// committed after those of the second.
pub(crate) async fn history(pool: &PgPool) -> anyhow::Result<()> {
    for month in ["2025_01", "2025_02"] {
        let start = format!("{}-01", month.replace('_', "-"));
        let script = format!(
            "create table audit_log_{month} (like audit_log including all);
            alter table audit_log_{month} owner to runner_tokens_owner;
            alter table audit_log attach partition audit_log_{month}
                for values from ('{start} 00:00+00') to (('{start}'::timestamp + interval '1 month') at time zone 'UTC');"
        );
        sqlx::raw_sql(AssertSqlSafe(script)).execute(pool).await?;
    }
    for time in ["2025-01-05", "2025-01-31", "2025-02-01", "2025-01-31 23:59:59", "2025-02-20", "2025-02-21"] {
        let insert = "insert into audit_log (occurred_at, event, outcome, actor, runner_name)
            values ($1::text::timestamptz, 'runner.read', 'success', 'system', $1)";
        sqlx::query(insert).bind(time).execute(pool).await?;
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn whole_sealed_months_go_after_their_export_and_the_chain_still_holds(pool: PgPool) -> anyhow::Result<()> {
    history(&pool).await?;
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "months")?;
    let pair = KeyPair::generate()?;
    std::fs::write(cli.directory.join("public.pem"), &pair.public_pem)?;
    cli.environment.push(("AUDIT_SIGNING_KEY", pair.private_pem.clone()));
    let export = |until: &'static str, file: &'static str| {
        ["export-audit-log", "--since", "2020-01-01", "--until", until, "--format", "jsonl", "--output", file]
    };
    let refused = async |before: &str, file: &str| -> anyhow::Result<String> {
        let output = cli.run(&["drop-audit-log", "--yes", "--before", before, "--export", file]).await?;
        assert_eq!(output.status.code(), Some(1));
        Ok(String::from_utf8(output.stderr)?)
    };

    // Before they are sealed, no file will do.
    assert!(cli.run(&export("2025-03-01", "unsealed.jsonl")).await?.status.success());
    assert!(refused("2025-03", "unsealed.jsonl").await?.contains("would not be dropped"));
    std::fs::write(cli.directory.join("empty.jsonl"), "")?;
    assert!(refused("2025-03", "empty.jsonl").await?.contains("entries"), "unsealed ones are counted");

    seal(&world).await?;
    assert!(cli.run(&export("2025-02-01", "january.jsonl")).await?.status.success());
    assert!(cli.run(&export("2025-03-01", "both.jsonl")).await?.status.success());
    assert!(refused("2025-03", "january.jsonl").await?.contains("the file has position"));
    assert!(refused("2025-02", "both.jsonl").await?.contains("the file has position"));
    let whole = std::fs::read_to_string(cli.directory.join("january.jsonl"))?;
    std::fs::write(cli.directory.join("changed.jsonl"), whole.replacen("runner.read", "runner.seen", 1))?;
    assert!(refused("2025-02", "changed.jsonl").await?.contains("does not verify"));
    let lines: Vec<&str> = whole.lines().collect();
    std::fs::write(cli.directory.join("short.jsonl"), lines[..2].join("\n"))?;
    assert!(refused("2025-02", "short.jsonl").await?.contains("ends before position"));
    assert!(refused("2024-12", "january.jsonl").await?.contains("no month"));

    let january = ["drop-audit-log", "--before", "2025-02", "--export", "january.jsonl", "--output", "json"];
    let dry = cli.json(&[&january[..], &["--dry-run"]].concat()).await?;
    assert_eq!((&dry["partitions"][0]["entries"], &dry["dry_run"]), (&json!(3), &json!(true)), "{dry}");
    let count = "select count(*) from audit_log where occurred_at < '2025-02-01 00:00+00'";
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await?, 3);
    let dropped = cli.json(&[&january[..], &["--yes"]].concat()).await?;
    let partition = &dropped["partitions"][0];
    assert_eq!((&partition["first_position"], &partition["last_position"]), (&json!(1), &json!(4)), "{partition}");
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await?, 0);
    let entry: Value =
        sqlx::query_scalar("select details from audit_log where event = 'audit-log.dropped'").fetch_one(&pool).await?;
    assert_eq!(&entry, partition);

    seal(&world).await?;
    let verify = ["verify-audit-log", "--output", "json"];
    let report = cli.json(&verify).await?;
    assert_eq!(report["dropped"], json!(3), "{report}");

    // February goes too, and what lies between its entries was dropped before.
    let february = ["export-audit-log", "--since", "2025-02-01", "--until", "2025-03-01", "--output", "february.json"];
    assert!(cli.run(&february).await?.status.success());
    cli.json(&["drop-audit-log", "--yes", "--before", "2025-03", "--export", "february.json", "--output", "json"])
        .await?;
    assert_eq!(cli.json(&verify).await?["dropped"], json!(6));
    // One more entry that went without a record is found.
    sqlx::raw_sql("set session_replication_role = replica; delete from audit_log where event = 'audit-log.dropped'")
        .execute(&pool)
        .await?;
    assert_eq!(cli.run(&verify).await?.status.code(), Some(3));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_month_that_went_otherwise_is_found(pool: PgPool) -> anyhow::Result<()> {
    history(&pool).await?;
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "otherwise")?;
    seal(&world).await?;
    let (pair, other) = (KeyPair::generate()?, KeyPair::generate()?);
    let key = AuditKey::from_pem(&pair.private_pem)?;
    jobs::checkpoint(&world.app, Some(&key), Duration::ZERO).await?;
    std::fs::write(cli.directory.join("public.pem"), &pair.public_pem)?;
    let finding = async || -> anyhow::Result<(Option<i32>, Value)> {
        let verify = ["verify-audit-log", "--public-key", "public.pem", "--output", "json"];
        let output = cli.run(&verify).await?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        Ok((output.status.code(), report["finding"].clone()))
    };
    assert_eq!(finding().await?, (Some(0), Value::Null));
    sqlx::raw_sql("drop table audit_log_2025_01").execute(&pool).await?;
    let (code, found) = finding().await?;
    assert_eq!((code, &found["kind"], &found["position"]), (Some(3), &json!("removed"), &json!(1)), "{found}");
    // Whoever can drop it can write a record of it, but not sign it.
    let forged = Dropped {
        partition_name: "audit_log_2025_01".to_owned(),
        entries: 3,
        first_position: Some(1),
        last_position: Some(4),
        seal: Some("ab".repeat(32)),
        export_sha256: "cd".repeat(32),
        made_at: Clock::system().now(),
        key_id: None,
        signature: None,
    };
    for key in [None, Some(AuditKey::from_pem(&other.private_pem)?)] {
        let forged = forged.clone().signed(key.as_ref());
        let mut transaction = store::begin(&pool).await?;
        sqlx::raw_sql("set local session_replication_role = replica; delete from audit_log_drops")
            .execute(&mut *transaction)
            .await?;
        let insert =
            "insert into audit_log_drops values ($1, 3, 1, 4, decode($2, 'hex'), $3, $4, $5, decode($6, 'hex'))";
        sqlx::query(insert)
            .bind(&forged.partition_name)
            .bind(&forged.seal)
            .bind(&forged.export_sha256)
            .bind(forged.made_at)
            .bind(&forged.key_id)
            .bind(&forged.signature)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let (code, found) = finding().await?;
        assert_eq!((code, &found["kind"]), (Some(3), &json!("signature")), "{found}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn nobody_but_the_owner_drops_months(pool: PgPool) -> anyhow::Result<()> {
    history(&pool).await?;
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "not-owner")?;
    write(&mut *pool.acquire().await?, "a").await?;
    cli.as_role("runner_tokens_service");
    std::fs::write(cli.directory.join("a.jsonl"), "")?;
    let output = cli.run(&["drop-audit-log", "--yes", "--before", "2025-02", "--export", "a.jsonl"]).await?;
    let text = String::from_utf8(output.stderr)?;
    assert!(!output.status.success() && text.contains("may not drop"), "{text}");
    Ok(())
}
