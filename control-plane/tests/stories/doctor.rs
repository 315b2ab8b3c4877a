//! `doctor`: each fault is put in, and found with what to do about it.

use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{self, Endpoint, FakeGithub, INSTALLATION_ID, ORGANIZATION};
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig, Mint, When};

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::world::World;

const AUDIENCE: &str = "runner-tokens-api";

/// What `doctor` says, and whether it ended as that asks for.
pub(crate) async fn examined(cli: &Cli, more: &[&str]) -> anyhow::Result<Vec<Value>> {
    let output = cli.run(&[&["doctor", "--output", "json"], more].concat()).await?;
    let said: Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let findings = said.get("findings").and_then(Value::as_array).context("no findings")?.clone();
    let is_wrong = findings.iter().any(|finding| finding["level"] == "error");
    assert_eq!(output.status.code(), Some(if is_wrong { 4 } else { 0 }), "{said:#}");
    for finding in &findings {
        assert_eq!(finding["fix"].is_null(), finding["level"] == "ok", "each finding has a fix: {finding}");
    }
    Ok(findings)
}

/// The errors, as check and text.
fn errors(findings: &[Value]) -> Vec<(&str, &str)> {
    let errors = findings.iter().filter(|finding| finding["level"] == "error");
    errors.map(|one| (one["check"].as_str().unwrap_or_default(), one["what"].as_str().unwrap_or_default())).collect()
}

pub(crate) fn set(cli: &mut Cli, variable: &'static str, value: &str) {
    cli.environment.retain(|(name, _)| *name != variable);
    cli.environment.push((variable, value.to_owned()));
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_deployment_in_order_is_found_so_and_left_as_it_was(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "well")?;
    let _machine = world.running("alice", "a").await?;
    let (events, runners) = (world.events().await?, world.github.runners().len());
    let findings = examined(&cli, &["--runner", "a"]).await?;
    assert_eq!(errors(&findings), []);
    for check in ["configuration", "database", "migrations", "github-app", "permissions", "runner-group", "clock"] {
        let is_ok = |finding: &Value| finding["check"] == check && finding["level"] == "ok";
        assert!(findings.iter().any(is_ok), "{check}: {findings:#?}");
    }
    assert_eq!((world.events().await?, world.github.runners().len()), (events, runners));
    assert_eq!(world.github.count(Endpoint::RegistrationToken), 1, "that of the machine alone");
    assert_eq!(world.github.count(Endpoint::JitConfig), 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn invalid_github_app_credentials_are_told_apart(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let other = FakeGithub::start(github::GithubConfig::default()).await?;
    let key = |cli: &Cli| cli.directory.join("app.pem");

    let mut cli = Cli::new(&world, &pool, "app-id")?;
    set(&mut cli, "GITHUB_APP_ID", "999");
    assert_eq!(errors(&examined(&cli, &[]).await?)[0].0, "github-app");

    let cli = Cli::new(&world, &pool, "app-key")?;
    std::fs::write(key(&cli), other.app_private_key_pem())?;
    let findings = examined(&cli, &[]).await?;
    assert_eq!(errors(&findings)[0].0, "github-app");
    let fix = findings.iter().find(|one| one["check"] == "github-app").context("nothing")?["fix"].to_string();
    assert!(fix.contains("GITHUB_APP_PRIVATE_KEY_PATH") && fix.contains("GITHUB_APP_ID"), "{fix}");

    let cli = Cli::new(&world, &pool, "app-file")?;
    std::fs::write(key(&cli), "no key")?;
    let findings = examined(&cli, &[]).await?;
    assert!(errors(&findings)[0].1.contains("holds no RSA private key"), "{findings:#?}");
    assert!(findings.iter().any(|one| one["check"] == "database"), "the rest is looked at all the same");

    let mut cli = Cli::new(&world, &pool, "installation")?;
    set(&mut cli, "GITHUB_APP_INSTALLATION_ID", "4711");
    let findings = examined(&cli, &[]).await?;
    let fix = findings.iter().find(|one| one["check"] == "github-app").context("nothing")?["fix"].to_string();
    assert!(fix.contains("GITHUB_APP_INSTALLATION_ID"), "{findings:#?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_lacking_permission_a_group_and_a_clock_are_found_by_trying(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "permission")?;
    set(&mut cli, "DEFAULT_RUNNER_GROUP_ID", "999");
    assert_eq!(errors(&examined(&cli, &[]).await?).first().map(|(check, _)| *check), Some("runner-group"));
    set(&mut cli, "DEFAULT_RUNNER_GROUP_ID", "1");

    world.github.set_permission(INSTALLATION_ID, "organization_self_hosted_runners", Some("read"));
    assert_eq!(errors(&examined(&cli, &[]).await?).first().map(|(check, _)| *check), Some("permissions"));
    world.github.set_permission(INSTALLATION_ID, "organization_self_hosted_runners", Some("write"));

    world.github.set_suspended(INSTALLATION_ID, true);
    assert!(errors(&examined(&cli, &[]).await?)[0].1.contains("suspended"));
    world.github.set_suspended(INSTALLATION_ID, false);

    world.github.set_clock_skew(TimeDelta::minutes(10));
    let findings = examined(&cli, &[]).await?;
    assert!(
        errors(&findings).iter().any(|(check, what)| *check == "clock" && what.contains("behind")),
        "{findings:#?}"
    );
    Ok(())
}

#[sqlx::test]
async fn a_database_that_is_empty_or_away_is_found(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "database")?;
    let findings = examined(&cli, &[]).await?;
    assert_eq!(errors(&findings)[0].0, "migrations", "{findings:#?}");
    set(&mut cli, "DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1:1/nothing");
    let findings = examined(&cli, &[]).await?;
    assert_eq!(errors(&findings)[0].0, "database");
    assert!(!format!("{findings:?}").contains("hunter2"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_token_that_fails_validation_is_told_why(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let config = IssuerConfig { algorithms: vec![Algorithm::Es256], ..IssuerConfig::default() };
    let issuer = DevIssuer::start(config).await?;
    let mut cli = Cli::new(&world, &pool, "token")?;
    set(&mut cli, "OIDC_ISSUER", issuer.issuer());
    set(&mut cli, "OIDC_AUDIENCE", AUDIENCE);
    let file = cli.directory.join("token");
    let path = file.to_str().context("no path")?;
    let mint = |audience: &str| Mint::new("alice", audience).algorithm(Algorithm::Es256);
    let good = issuer.mint(&mint(AUDIENCE))?;
    let expired = Mint { expires: When::Ago(Duration::from_hours(1)), ..mint(AUDIENCE) };
    for (token, what) in [
        (good.clone(), ""),
        (issuer.mint(&mint("another"))?, "another audience"),
        (issuer.mint(&expired)?, "expired"),
        (issuer.mint(&Mint { issuer: Some("https://elsewhere.example.com".to_owned()), ..mint(AUDIENCE) })?, "issuer"),
        (format!("{}AAAA", good.get(..good.len() - 4).unwrap_or_default()), "bad signature"),
        ("no token".to_owned(), "compact JWS"),
    ] {
        std::fs::write(&file, format!("{token}\n"))?;
        let findings = examined(&cli, &["--token-file", path]).await?;
        let judged = findings.iter().find(|finding| finding["check"] == "oidc-token").context("not judged")?;
        assert_eq!(judged["level"], if what.is_empty() { "ok" } else { "error" }, "{judged}");
        assert!(judged["what"].to_string().contains(what), "{judged}");
        assert!(!format!("{findings:?}").contains(&token) || token == "no token", "a token is never shown");
    }
    set(&mut cli, "OIDC_JWKS_URL", &format!("{}/nothing", issuer.issuer()));
    assert_eq!(errors(&examined(&cli, &[]).await?)[0].0, "oidc-keys");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_that_does_not_appear_is_followed_to_where_it_stopped(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "runner")?;
    let _machine = world.running("alice", "on-line").await?;
    world.provision("alice", json!({"runner_name": "never-started"})).await?;
    world.provision("alice", json!({"runner_name": "made-by-github", "mode": "jit"})).await?;
    for (name, level, what) in [
        ("on-line", "ok", ORGANIZATION),
        ("never-started", "error", "no machine has run"),
        ("made-by-github", "warning", "no machine is connected"),
        ("unheard-of", "error", "never provisioned"),
    ] {
        let findings = examined(&cli, &["--runner", name]).await?;
        let told = findings.iter().find(|finding| finding["check"] == "runner").context("nothing told")?;
        assert_eq!(told["level"], level, "{told}");
        assert!(told["what"].to_string().contains(what), "{told}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_edges_key_is_held_against_the_services(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "identity")?;
    let (ours, others) = (identity::KeyPair::generate()?, identity::KeyPair::generate()?);
    set(&mut cli, "IDENTITY_PUBLIC_KEYS", &ours.public_pem);
    let file = cli.directory.join("edge.pem");
    for (pem, level) in [(&ours.private_pem, "ok"), (&others.private_pem, "error"), (&ours.public_pem, "error")] {
        std::fs::write(&file, pem)?;
        let findings = examined(&cli, &["--edge-key-file", file.to_str().context("no path")?]).await?;
        let told = findings.iter().find(|finding| finding["check"] == "identity-keys").context("nothing told")?;
        assert_eq!(told["level"], level, "{told}");
        assert!(!format!("{findings:?}").contains("PRIVATE"));
    }
    Ok(())
}
