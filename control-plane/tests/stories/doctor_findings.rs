//! `doctor` on what works and yet is weaker than it should be, or will not work for long.

use std::time::Duration;

use anyhow::Context as _;
use control_plane::clock::Clock;
use control_plane::store::roles;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault, Limits, Webhook};
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig};
use tokio::time::{sleep, timeout};

use crate::MIGRATIONS;
use crate::admins::policy_file;
use crate::audit_sealing::seal;
use crate::commands::Cli;
use crate::doctor::{examined, set};
use crate::serving::Service;
use crate::world::World;

/// The level of a check's worst finding, and what it says.
fn told(findings: &[Value], check: &str) -> (String, String) {
    const LEVELS: [&str; 4] = ["ok", "skipped", "warning", "error"];
    let rank = |one: &&Value| LEVELS.iter().position(|level| one["level"] == *level);
    let worst = findings.iter().filter(|one| one["check"] == check).max_by_key(rank);
    let text = |member: &str| worst.and_then(|one| one[member].as_str()).unwrap_or_default().to_owned();
    (text("level"), text("what"))
}

/// Looks again, and expects this of a check.
async fn expect(cli: &Cli, more: &[&str], check: &str, level: &str, what: &str) -> anyhow::Result<()> {
    let findings = examined(cli, more).await?;
    let found = told(&findings, check);
    assert!(found.0 == level && found.1.contains(what), "{check} should be {level}, {what:?}: {found:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_role_that_may_rewrite_the_log_is_told_from_one_that_may_not(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "rights")?;
    roles::set_up(&mut *pool.acquire().await?).await?;
    expect(&cli, &[], "roles", "warning", "can change the audit log").await?;
    cli.as_role("runner_tokens_service");
    expect(&cli, &[], "roles", "ok", "runner_tokens_service can only add").await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_budget_that_is_nearly_used_up_is_found(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "budget")?;
    expect(&cli, &[], "rate-budget", "ok", "calls are left").await?;
    // A look takes three calls: this one and that before it leave none.
    world.github.set_limits(Limits { per_hour: 6, ..Limits::NONE });
    expect(&cli, &[], "rate-budget", "warning", "calls are left").await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_policy_that_is_missing_or_grants_nothing_is_found(pool: PgPool) -> anyhow::Result<()> {
    const GRANTS: &str = "grant: {targets: [org:acme-partners]}";
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "policy-found")?;
    expect(&cli, &[], "policy", "warning", "there is none").await?;
    let rule = format!(
        "version: 1\nrules:\n- name: a\n  match: {{iss: https://idp.example.com, claims: {{team: a}}}}\n  {GRANTS}\n"
    );
    for (policy, level, what) in [
        (rule.clone(), "ok", "1 rule(s)"),
        (rule.replace(GRANTS, "grant: {admin: true}"), "ok", "1 rule(s)"),
        (rule.replace(GRANTS, &format!("enforce: false\n  {GRANTS}")), "warning", "every request is refused"),
        (rule.replace("acme", "no account"), "", ""),
    ] {
        set(&mut cli, "POLICY_FILE", &policy_file(&policy)?.to_string_lossy());
        expect(&cli, &[], "policy", level, what).await?;
    }
    let findings = examined(&cli, &[]).await?;
    assert!(told(&findings, "configuration").1.contains("POLICY_FILE"), "{findings:#?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_webhook_is_looked_at_from_both_ends(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "webhook")?;
    expect(&cli, &[], "webhook", "warning", "is off").await?;
    set(&mut cli, "GITHUB_WEBHOOK_SECRET", "short");
    let hook = |url: &str| Webhook { url: url.to_owned(), secret: "short".to_owned() };
    world.github.set_webhook(Some(hook("https://runners.example.com/webhooks/github")));
    expect(&cli, &[], "webhook", "warning", "shorter than 16").await?;

    set(&mut cli, "GITHUB_WEBHOOK_SECRET", "a-secret-that-is-long-enough");
    expect(&cli, &[], "webhook", "ok", "").await?;
    let right = json!({
        "url": "https://runners.example.com/webhooks/github", "content_type": "json", "insecure_ssl": "0",
        "secret": "********",
    });
    for (member, value, what) in [
        ("content_type", json!("form"), "are forms"),
        ("insecure_ssl", json!("1"), "does not check"),
        ("secret", json!(""), "not signed"),
        ("url", json!("https://elsewhere.example.com/"), "go to https://elsewhere"),
    ] {
        let mut wrong = right.clone();
        wrong[member] = value;
        world.github.inject(Endpoint::AppHook, Fault::Body(wrong.to_string()), 1);
        expect(&cli, &[], "webhook", "warning", what).await?;
    }
    world.github.inject(Endpoint::App, Fault::Body(json!({"events": ["push"]}).to_string()), 1);
    expect(&cli, &[], "webhook", "warning", "workflow_job is not delivered").await?;
    world.github.inject(Endpoint::AppHook, Fault::BeforeCommit(500), 1);
    expect(&cli, &[], "webhook", "skipped", "can't be read").await?;
    world.github.set_webhook(None);
    expect(&cli, &[], "webhook", "warning", "has no webhook").await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn entries_that_wait_for_their_seal_are_found_with_how_long(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "lag")?;
    expect(&cli, &[], "audit-seals", "ok", "every entry has its seal").await?;
    let insert = "insert into audit_log (occurred_at, event, outcome, actor)
        values (now() - interval '90 seconds', 'runner.listed', 'success', 'system')";
    sqlx::query(insert).execute(&pool).await?;
    expect(&cli, &[], "audit-seals", "warning", "1 entries have no seal yet, the oldest for 9").await?;
    seal(&world).await?;
    expect(&cli, &[], "audit-seals", "ok", "every entry has its seal").await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn keys_that_the_edge_does_not_allow_are_found_before_a_token_is(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "algorithms")?;
    for (algorithms, level, what) in [
        (vec![Algorithm::Es256, Algorithm::EdDsa], "ok", "all 2 key(s)"),
        (vec![Algorithm::Es256, Algorithm::Es384], "warning", "1 of 2 keys"),
        (vec![Algorithm::Es384], "error", "they are for ES384"),
    ] {
        let issuer = DevIssuer::start(IssuerConfig { algorithms, ..IssuerConfig::default() }).await?;
        set(&mut cli, "OIDC_ISSUER", issuer.issuer());
        set(&mut cli, "OIDC_AUDIENCE", "runner-tokens-api");
        expect(&cli, &[], "oidc-keys", level, what).await?;
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_is_found_by_its_id_and_whatever_became_of_it(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "by-id")?;
    let first = world.provision("alice", json!({"runner_name": "again", "mode": "jit"})).await?;
    let id = first.text("runner_id")?;
    world.call("alice", reqwest::Method::DELETE, "/api/v1/runners/again").await?;
    expect(&cli, &["--runner", "AGAIN"], "runner", "warning", "is gone").await?;
    // Of two that began in one millisecond of the stories' clock, either may be the newest.
    world.advance(Duration::from_secs(1))?;
    world.provision("alice", json!({"runner_name": "again", "mode": "jit"})).await?;
    expect(&cli, &["--runner", "again"], "runner", "warning", "no machine is connected").await?;
    expect(&cli, &["--runner", &id.to_uppercase()], "runner", "warning", "Deprovisioned").await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_edge_that_lets_claimed_identities_through_is_found(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "spoof")?;
    let file = cli.directory.join("edge.pem");
    std::fs::write(&file, &world.private_pem)?;
    // There is nothing in front of this control plane.
    let through = ["--edge", world.base.as_str()];
    expect(&cli, &through, "edge-identity", "error", "made up, reaches the service").await?;
    // The story's clock stands still: with a lead, what is signed a little later has begun, and is not over.
    let behind = Clock::system().now().signed_duration_since(world.clock.now()).to_std()?;
    world.advance_here(behind + Duration::from_secs(30))?;
    let with_key = [&through[..], &["--edge-key-file", file.to_str().unwrap_or_default()]].concat();
    expect(&cli, &with_key, "edge-identity", "error", "edge's own key, gets status 200").await?;
    expect(&cli, &through, "edge", "error", "without a token reaches the service").await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_job_that_fails_and_a_runner_that_does_not_go_are_found(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "upkeep-found")?;
    expect(&cli, &[], "jobs", "warning", "has not come to its end yet").await?;
    expect(&cli, &[], "drains", "ok", "no runner is stuck").await?;
    let mut machine = world.running("alice", "a").await?;
    machine.take_job().await?;
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a?drain=true").await?.status, 202);
    sqlx::query("update runners set drain_requested_at = now() - interval '2 hours'").execute(&pool).await?;
    expect(&cli, &[], "drains", "ok", "no runner is stuck").await?;
    set(&mut cli, "DRAIN_STUCK_SECONDS", "7000");
    expect(&cli, &[], "drains", "warning", "1 runner(s) have been draining for longer than 7000 s").await?;
    let service = Service::start(&world, &pool, "upkeep-done", |_| Ok(())).await?;
    let ended = async {
        while !sqlx::query_scalar("select count(*) = 3 from job_runs").fetch_one(&pool).await? {
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_mins(1), ended).await.context("not each job came to its end")??;
    expect(&cli, &[], "jobs", "ok", "is done on time").await?;
    drop(service);
    let fails = "update job_runs set problem = 'GitHub does not answer' where job = 'upkeep'";
    sqlx::query(fails).execute(&pool).await?;
    expect(&cli, &[], "jobs", "warning", "GitHub does not answer").await
}
