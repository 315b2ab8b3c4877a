//! What is left of GitHub's limits, and who goes without when it is little.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault, Limits, ORGANIZATION};

use crate::MIGRATIONS;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_answer_tells_what_is_left(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.set_limits(Limits { per_hour: 100, ..Limits::NONE });
    let remaining = || {
        let budgets = world.app.github.budgets();
        budgets.iter().find(|one| one.account == ORGANIZATION).and_then(|one| one.hour).map(|hour| hour.remaining)
    };
    assert_eq!(remaining(), None);
    world.provision("alice", json!({"runner_name": "a"})).await?;
    assert_eq!(remaining(), Some(99), "a token");
    world.provision("alice", json!({"runner_name": "b", "mode": "jit"})).await?;
    assert_eq!(remaining(), Some(98), "a configuration");
    world.call("alice", Method::POST, "/api/v1/runners/b/refresh").await?;
    assert_eq!(remaining(), Some(97), "a look-up");
    world.github.inject(Endpoint::RegistrationToken, Fault::AfterCommit(500), 1);
    world.provision("alice", json!({"runner_name": "c"})).await?;
    assert_eq!(remaining(), Some(96), "a failure");
    world.call("alice", Method::DELETE, "/api/v1/runners/b").await?;
    assert_eq!(remaining(), Some(95), "a deletion");
    assert_eq!(world.app.github.budgets().len(), 2, "one for each installation");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn background_work_leaves_the_reserve_to_requests(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = world.running("alice", "a").await?;
    world.reconcile().await?;
    machine.take_job().await?;
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a?drain=true").await?.status, 202);
    // 20 an hour, of which 18 are used up: the reserve is 2.
    world.github.set_limits(Limits { per_hour: 20, ..Limits::NONE });
    let used = || world.github.calls().iter().filter(|call| matches!(call.endpoint, Endpoint::GetRunner)).count();
    let refresh = async || world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await;
    while world.app.github.budgets().iter().filter_map(|one| one.hour).all(|hour| hour.remaining > 2) {
        assert_eq!(refresh().await?.status, 200);
    }
    let before = (used(), world.github.count(Endpoint::DeleteRunner));

    world.github.set_webhook(Some(world.webhook()));
    machine.finish_job().await?;
    world.advance_here(Duration::from_mins(1))?;
    world.drain_round().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.quiet().await;
    assert_eq!((used(), world.github.count(Endpoint::DeleteRunner)), before, "neither webhooks nor drains");
    assert!(world.reconcile().await.is_err());
    assert!(world.cleanup(Some(0), false).await.is_ok());

    assert_eq!(refresh().await?.status, 200, "who asks is served");
    assert_eq!(world.provision("alice", json!({"runner_name": "b"})).await?.status, 201);
    let spent = world.provision("alice", json!({"runner_name": "c"})).await?;
    assert_eq!((spent.status, spent.problem()), (503, "github-rate-limited"));
    assert!(!spent.header("retry-after").is_empty());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_limit_is_told_and_respected(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let minutes = Duration::from_mins;
    // The limit, and how many seconds the caller is told; GitHub's clock runs meanwhile, ours does not.
    let limits = [
        (Fault::PrimaryLimit(403, minutes(10)), 590..=660),
        (Fault::PrimaryLimit(429, minutes(10)), 590..=660),
        (Fault::PrimaryLimit(403, minutes(60 * 24 * 365)), 3600..=3600),
        (Fault::SecondaryLimit(403, Some(minutes(2))), 120..=120),
        (Fault::SecondaryLimit(429, Some(minutes(2))), 120..=120),
        (Fault::SecondaryLimit(403, None), 60..=60),
        (Fault::SecondaryLimit(429, None), 60..=60),
        (Fault::SecondaryLimit(429, Some(minutes(60 * 24 * 365))), 3600..=3600),
    ];
    for (number, (fault, told)) in limits.into_iter().enumerate() {
        world.github.inject(Endpoint::RegistrationToken, fault.clone(), 1);
        let limited = world.provision("alice", json!({"runner_name": format!("a{number}")})).await?;
        assert_eq!((limited.status, limited.problem()), (503, "github-rate-limited"), "{fault:?}");
        let seconds = limited.header("retry-after").parse::<u64>()?;
        assert!(told.contains(&seconds), "{fault:?}: {seconds}");
        assert_eq!(world.state(&format!("a{number}")).await?.1.as_deref(), Some("provision-refused"));

        let calls = world.github.count(Endpoint::Any);
        world.advance(Duration::from_secs(seconds - 15))?;
        assert_eq!(world.provision("alice", json!({"runner_name": "b"})).await?.status, 503, "{fault:?}");
        assert_eq!(world.github.count(Endpoint::Any), calls, "{fault:?}: GitHub is left alone");
        world.advance(Duration::from_secs(16))?;
        let served = world.provision("alice", json!({"runner_name": format!("c{number}")})).await?;
        assert_eq!(served.status, 201, "{fault:?}: {served:?}");
    }
    Ok(())
}
