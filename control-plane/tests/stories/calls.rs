//! How often GitHub is called, and what is repeated.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault, Limits, ORGANIZATION};

use crate::MIGRATIONS;
use crate::world::World;

/// The statuses of all calls to an endpoint.
fn statuses(world: &World, endpoint: Endpoint) -> Vec<u16> {
    world.github.calls().iter().filter(|call| call.endpoint == endpoint).filter_map(|call| call.status).collect()
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_provision_is_one_call_and_a_token_once_an_hour(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for (name, mode) in [("a", "registration-token"), ("b", "jit"), ("c", "jit")] {
        assert_eq!(world.provision("alice", json!({"runner_name": name, "mode": mode})).await?.status, 201);
    }
    assert_eq!(world.github.count(Endpoint::AccessToken), 1);
    assert_eq!(world.github.calls().len(), 4);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_comparison_is_one_call_a_page_and_costs_nothing_when_nothing_changed(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for number in 0..200 {
        world.github.add_runner(ORGANIZATION, &format!("other-{number:03}"), &[]);
    }
    assert_eq!(world.reconcile().await?.listed, 200);
    assert_eq!(statuses(&world, Endpoint::ListRunners), [200, 200]);
    assert_eq!(world.reconcile().await?.listed, 200);
    assert_eq!(statuses(&world, Endpoint::ListRunners), [200, 200, 304, 304]);
    world.github.add_runner(ORGANIZATION, "one-more", &[]);
    assert_eq!(world.reconcile().await?.listed, 201);
    assert_eq!(statuses(&world, Endpoint::ListRunners).get(4..), Some([200, 200, 200].as_slice()));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn comparing_leaves_a_reserve_to_provisioning(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.set_limits(Limits { per_hour: 20, ..Limits::NONE });
    let mut rounds = 0;
    for number in 0..30 {
        world.github.add_runner(ORGANIZATION, &format!("other-{number:03}"), &[]);
        rounds += usize::from(world.reconcile().await.is_ok());
    }
    assert!((15..20).contains(&rounds), "{rounds}");
    assert_eq!(world.github.count(Endpoint::ListRunners), rounds, "no call is made to learn that it may not be made");
    assert_eq!(world.provision("alice", json!({"runner_name": "a"})).await?.status, 201);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_safe_is_tried_again_and_nothing_else(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.running("alice", "a").await?;
    world.github.inject(Endpoint::ListRunners, Fault::BeforeCommit(502), 1);
    world.github.inject(Endpoint::ListRunners, Fault::CutOff, 1);
    assert_eq!(world.reconcile().await?.active, 1);
    world.github.inject(Endpoint::GetRunner, Fault::SecondaryLimit(429, Some(Duration::from_secs(1))), 1);
    let refreshed = world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await?;
    assert_eq!(refreshed.status, 200);
    // A limit that lasts longer is not waited for.
    world.github.inject(Endpoint::GetRunner, Fault::SecondaryLimit(429, Some(Duration::from_mins(1))), 1);
    let limited = world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await?;
    assert_eq!((limited.problem(), limited.header("retry-after")), ("github-rate-limited", "60"));
    world.advance_here(Duration::from_mins(1))?;
    // Gone at the first attempt, though nobody heard of it; the second one finds nothing.
    world.github.inject(Endpoint::DeleteRunner, Fault::AfterCommit(502), 1);
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a").await?.status, 200);
    assert_eq!(statuses(&world, Endpoint::DeleteRunner), [502, 404]);

    world.github.inject(Endpoint::JitConfig, Fault::AfterCommit(502), 1);
    let lost = world.provision("alice", json!({"runner_name": "b", "mode": "jit"})).await?;
    assert_eq!((lost.status, world.github.count(Endpoint::JitConfig)), (504, 1));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_page_that_fails_among_ten_costs_nobody_a_runner(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let machine = world.running("alice", "ours").await?;
    for number in 1..1000 {
        world.github.add_runner(ORGANIZATION, &format!("other-{number:03}"), &[]);
    }
    assert_eq!(world.reconcile().await?.listed, 1000);
    assert_eq!(world.github.count(Endpoint::ListRunners), 10);
    world.github.remove_runner(machine.id());
    world.advance_here(Duration::from_mins(5))?;
    for _ in 0..3 {
        // At every attempt.
        world.github.fail_page(7, Fault::BeforeCommit(502), 3);
        assert!(world.reconcile().await.is_err());
        world.advance_here(Duration::from_secs(1))?;
    }
    assert_eq!(world.state("ours").await?.0, "active");
    Ok(())
}
