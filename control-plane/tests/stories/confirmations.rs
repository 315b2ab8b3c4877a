//! Nothing is destroyed by mistake, and scripts that were always right go on working.

use std::time::Duration;

use identity::KeyPair;
use serde_json::json;
use sqlx::PgPool;

use crate::MIGRATIONS;
use crate::audit_months::history;
use crate::audit_sealing::seal;
use crate::commands::Cli;
use crate::world::{ISSUER, World};

const ALICE: [&str; 5] = ["revoke-principal", "--issuer", ISSUER, "--subject", "alice"];

async fn count(pool: &PgPool, query: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(query).fetch_one(pool).await?)
}

async fn revocations(pool: &PgPool) -> anyhow::Result<i64> {
    count(pool, "select count(*) from revocations").await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_revocation_is_foretold_asked_for_and_made_only_after_a_yes(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "foretold")?;
    let mut machine = world.running("alice", "a-busy").await?;
    machine.take_job().await?;
    world.reconcile().await?;
    assert_eq!(world.provision("alice", json!({"runner_name": "a-new", "mode": "jit"})).await?.status, 201);
    assert_eq!(world.provision("bob", json!({"runner_name": "b-1", "mode": "jit"})).await?.status, 201);

    let dry = cli.json(&[&ALICE[..], &["--dry-run", "--output", "json"]].concat()).await?;
    let told = (&dry["dry_run"], &dry["already_revoked"], &dry["under_way"]);
    assert_eq!(told, (&json!(true), &json!(false), &json!(0)), "{dry:#}");
    let runners = dry["runners"].as_array().cloned().unwrap_or_default();
    let mut runners: Vec<_> = runners.iter().map(|one| (one["runner_name"].clone(), one["busy"].clone())).collect();
    // Both began in the same millisecond of the stories' clock, so either may be the first.
    runners.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(runners, [(json!("a-busy"), json!(true)), (json!("a-new"), json!(false))], "{dry:#}");

    let counts = "2 runner(s) will be deleted here and on GitHub: 1 pending (0 of them being provisioned at this moment), \
                  1 on line, 0 off line. 1 of them run a job";
    for answer in ["n\n", "\n", "\u{4}"] {
        let declined = cli.at_terminal(&ALICE, answer).await?;
        assert!(declined.says("alice") && declined.says(counts), "{}", declined.text);
        assert_eq!(declined.code, Some(5), "{}", declined.text);
    }
    assert_eq!((revocations(&pool).await?, world.github.runners().len()), (0, 3));
    assert_eq!(count(&pool, "select count(*) from runners where drain_requested_at is not null").await?, 0);

    let agreed = cli.at_terminal(&ALICE, "y\n").await?;
    assert_eq!((agreed.code, revocations(&pool).await?), (Some(0), 1), "{}", agreed.text);
    assert_eq!(world.github.runners().len(), 2, "the idle one is gone");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn scripts_revoke_one_subject_at_once_and_many_only_when_told_so(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "scripts")?;
    let everybody = ["revoke-principal", "--issuer", ISSUER, "--whole-issuer"];
    let team = ["revoke-principal", "--issuer", ISSUER, "--claim", "team=7"];
    for many in [&everybody[..], &team] {
        let refused = cli.run(many).await?;
        let text = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(5), "{text}");
        assert!(text.contains("--dry-run") && text.contains("--yes"), "{text}");
        assert!(cli.run(&[many, &["--dry-run"]].concat()).await?.status.success());
        assert_eq!(revocations(&pool).await?, 0);
    }
    assert!(cli.run(&ALICE).await?.status.success());
    assert!(cli.run(&[&team[..], &["--yes"]].concat()).await?.status.success());
    assert!(cli.run(&[&everybody[..], &["--yes"]].concat()).await?.status.success());
    assert_eq!(revocations(&pool).await?, 3);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn stale_runners_are_named_before_they_go_and_scripts_are_not_asked(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "stale")?;
    let stale = async |name: &str| -> anyhow::Result<()> {
        let mut machine = world.running("alice", name).await?;
        world.reconcile().await?;
        machine.go_offline().await?;
        world.reconcile().await?;
        let query = "update runners set offline_since = now() - interval '3 days' where name = $1";
        sqlx::query(query).bind(name).execute(&pool).await?;
        Ok(())
    };
    stale("old-1").await?;
    let cleanup = ["cleanup-stale-runners", "--hours", "48"];
    let declined = cli.at_terminal(&cleanup, "n\n").await?;
    let asked = "1 runner(s) will be deleted here and on GitHub: old-1. 0 will be kept.";
    assert!(declined.says(asked), "{}", declined.text);
    assert_eq!((declined.code, world.state("old-1").await?.0), (Some(5), "offline".to_owned()));
    let agreed = cli.at_terminal(&cleanup, "yes\n").await?;
    assert_eq!((agreed.code, world.state("old-1").await?.0), (Some(0), "deleted".to_owned()), "{}", agreed.text);

    let nothing = cli.at_terminal(&cleanup, "").await?;
    assert_eq!(nothing.code, Some(0), "where nothing goes, nobody is asked: {}", nothing.text);
    world.advance(Duration::from_secs(1))?;
    stale("old-2").await?;
    assert!(cli.run(&cleanup).await?.status.success());
    assert_eq!(world.state("old-2").await?.0, "deleted");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn months_of_the_log_go_only_after_a_yes(pool: PgPool) -> anyhow::Result<()> {
    history(&pool).await?;
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "agreed")?;
    cli.environment.push(("AUDIT_SIGNING_KEY", KeyPair::generate()?.private_pem));
    seal(&world).await?;
    let export = "export-audit-log --since 2020-01-01 --until 2025-02-01 --format jsonl --output january.jsonl";
    assert!(cli.run(&export.split(' ').collect::<Vec<_>>()).await?.status.success());
    let drop = ["drop-audit-log", "--before", "2025-02", "--export", "january.jsonl"];
    let left = async || count(&pool, "select count(*) from audit_log where occurred_at < '2025-02-01 00:00+00'").await;

    let commands = async || {
        let query = "select count(*) from audit_log where details->>'command' = 'drop-audit-log'";
        count(&pool, query).await
    };
    let refused = cli.run(&drop).await?;
    assert_eq!((refused.status.code(), left().await?, commands().await?), (Some(5), 3, 0), "not even an entry");
    let declined = cli.at_terminal(&drop, "no\n").await?;
    let asked = "3 entries of the audit log, all those before 2025-02, will be dropped";
    assert!(declined.says(asked) && declined.says("audit_log_2025_01"), "{}", declined.text);
    assert_eq!((declined.code, left().await?), (Some(5), 3));
    assert_eq!((cli.at_terminal(&drop, "y\n").await?.code, left().await?), (Some(0), 0));
    Ok(())
}
