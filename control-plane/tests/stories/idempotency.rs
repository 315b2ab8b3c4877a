//! `Idempotency-Key`

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_repeat_gets_the_same_runner_and_a_fresh_secret(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for (mode, secret) in [("registration-token", "registration_token"), ("jit", "encoded_jit_config")] {
        let body = json!({"runner_name_prefix": "ci", "mode": mode});
        let first = world.provision_with_key("alice", mode, body.clone()).await?;
        let second = world.provision_with_key("alice", mode, body).await?;
        assert_eq!((first.status, second.status), (201, 201), "{second:?}");
        assert_eq!(first.text("runner_id")?, second.text("runner_id")?);
        assert_eq!(first.text("runner_name")?, second.text("runner_name")?);
        assert_ne!(first.text(secret)?, second.text(secret)?);
    }
    assert_eq!(world.github.runners().len(), 1, "the unused just-in-time runner was replaced");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_key_stands_for_one_request_of_one_caller(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    assert_eq!(world.provision_with_key("alice", "k", json!({"runner_name": "a"})).await?.status, 201);
    let other = world.provision_with_key("alice", "k", json!({"runner_name": "b"})).await?;
    assert_eq!((other.status, other.problem()), (422, "idempotency-key-reused"));
    assert_eq!(world.provision_with_key("bob", "k", json!({"runner_name": "b"})).await?.status, 201);
    let bad = world.provision_with_key("alice", "two words", json!({"runner_name": "c"})).await?;
    assert_eq!((bad.status, bad.problem()), (400, "invalid-request"));
    let stored: Vec<String> =
        sqlx::query_scalar("select row(k.*)::text from idempotency_keys k").fetch_all(&pool).await?;
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|row| !row.contains("alice")), "{stored:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn equal_requests_at_once_make_one_runner(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::JitConfig, Fault::HangBeforeCommit(Duration::from_millis(500)), 1);
    let body = json!({"runner_name_prefix": "ci", "mode": "jit"});
    let wanted = (0..10).map(|_| world.provision_with_key("alice", "k", body.clone()));
    let answers = futures_util::future::try_join_all(wanted).await?;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(made >= 1 && answers.iter().all(|answer| [201, 409].contains(&answer.status)), "{answers:?}");
    let mut refused = answers.iter().filter(|answer| answer.status == 409);
    assert!(refused.all(|answer| answer.problem() == "provision-in-progress"), "{answers:?}");
    assert_eq!(world.github.count(Endpoint::JitConfig), made);
    assert_eq!(world.github.runners().len(), 1);
    let ids = answers.iter().filter_map(|answer| answer.body["runner_id"].as_str());
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_refused_request_can_be_repeated_with_its_key(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::RegistrationToken, Fault::SecondaryLimit(403, None), 1);
    let body = json!({"runner_name": "a"});
    assert_eq!(world.provision_with_key("alice", "k", body.clone()).await?.status, 503);
    world.advance_here(Duration::from_mins(1))?;
    assert_eq!(world.provision_with_key("alice", "k", body).await?.status, 201);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_refused_repeat_leaves_the_first_token_in_force(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"runner_name": "a"});
    let first = world.provision_with_key("alice", "k", body.clone()).await?;
    world.github.inject(Endpoint::RegistrationToken, Fault::SecondaryLimit(403, None), 1);
    assert_eq!(world.provision_with_key("alice", "k", body).await?.status, 503);
    let mut machine = world.github.machine().run_command(first.text("configuration_command")?).await?;
    machine.go_online().await?;
    world.advance_here(Duration::from_mins(1))?;
    world.reconcile().await?;
    assert_eq!(world.state("a").await?.0, "active");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_that_started_or_ended_is_not_issued_again(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"runner_name": "a", "mode": "jit"});
    let first = world.provision_with_key("alice", "k", body.clone()).await?;
    world.github.machine().run_command(first.text("configuration_command")?).await?;
    let again = world.provision_with_key("alice", "k", body.clone()).await?;
    assert_eq!((again.status, again.problem()), (409, "runner-already-registered"));
    assert!(world.github.runner("a").is_some(), "the running one stays");

    world.call("alice", reqwest::Method::DELETE, "/api/v1/runners/a").await?;
    let again = world.provision_with_key("alice", "k", body).await?;
    assert_eq!((again.status, again.problem()), (409, "runner-deleted"));
    Ok(())
}
