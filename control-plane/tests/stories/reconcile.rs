//! Records and GitHub in step.

use std::time::Duration;

use control_plane::jobs::Job;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATIONS")]
async fn states_follow_the_machine(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = world.running("alice", "a").await?;
    assert_eq!(world.reconcile().await?.active, 1);
    machine.go_offline().await?;
    assert_eq!(world.reconcile().await?.offline, 1);
    machine.go_online().await?;
    assert_eq!(world.reconcile().await?.active, 1);
    let calm = world.reconcile().await?;
    assert_eq!((calm.active, calm.offline, calm.gone, calm.compared), (0, 0, 0, 1));
    let states: Vec<String> = world.events().await?.into_iter().filter(|event| event.starts_with("runner.")).collect();
    let expected =
        ["runner.adopted success", "runner.active success", "runner.offline success", "runner.active success"];
    assert_eq!(states, expected);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_is_gone_when_two_complete_listings_lack_it(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let machine = world.running("alice", "a").await?;
    world.reconcile().await?;
    world.advance_here(Duration::from_mins(5))?;
    world.github.remove_runner(machine.id());
    world.reconcile().await?;
    assert_eq!(world.state("a").await?.0, "active", "once is not enough");
    world.advance_here(Duration::from_secs(1))?;
    assert_eq!(world.reconcile().await?.gone, 1);
    assert_eq!(world.state("a").await?, ("deleted".to_owned(), Some("gone-from-github".to_owned())));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn listings_that_lag_behind_cost_nobody_a_runner(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::JitConfig, Fault::ReplicationLag(Duration::from_hours(1)), 1);
    world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    for _ in 0..3 {
        world.advance_here(Duration::from_secs(1))?;
        world.reconcile().await?;
    }
    assert_eq!(world.github.count(Endpoint::GetRunner), 0, "a brand-new one is not even asked for");
    for _ in 0..4 {
        world.advance_here(Duration::from_mins(2))?;
        world.reconcile().await?;
        assert_eq!(world.state("a").await?.0, "pending");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_page_counts_and_a_failed_one_spoils_the_listing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for number in 0..250 {
        world.github.add_runner("acme-partners", &format!("other-{number:03}"), &[]);
    }
    let machine = world.running("alice", "zz-last").await?;
    assert_eq!(world.reconcile().await?.listed, 251);
    assert_eq!(world.state("zz-last").await?.0, "active");
    assert_eq!(world.github.count(Endpoint::ListRunners), 3);

    world.advance_here(Duration::from_mins(5))?;
    world.github.remove_runner(machine.id());
    for _ in 0..3 {
        // The first page comes, the second fails: of such a listing nothing is believed.
        world.github.fail_page(2, Fault::BeforeCommit(502), 3);
        assert!(world.reconcile().await.is_err());
        world.advance_here(Duration::from_secs(1))?;
    }
    assert_eq!(world.state("zz-last").await?.0, "active");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn foreign_runners_are_listed_as_such_and_left_alone(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    world.github.add_runner("acme-partners", "theirs", &["linux"]);
    world.running("alice", "ours").await?;
    world.reconcile().await?;
    world.reconcile().await?;
    world.cleanup(Some(0), false).await?;
    let unmanaged = control_plane::store::cache::unmanaged(&mut *pool.acquire().await?).await?;
    assert_eq!(unmanaged.iter().map(|runner| runner.name.as_str()).collect::<Vec<_>>(), ["theirs"]);
    assert!(world.github.runner("theirs").is_some());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn one_process_at_a_time_does_the_jobs(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let turn = control_plane::jobs::wait_for_turn(&world.app, Job::Upkeep).await?;
    assert!(control_plane::jobs::try_turn(&world.app, Job::Upkeep).await?.is_none());
    turn.release_now().await?;
    assert!(control_plane::jobs::try_turn(&world.app, Job::Upkeep).await?.is_some());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_that_was_there_before_is_not_adopted(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let theirs = world.github.add_runner("acme-partners", "a", &[]);
    world.provision("alice", json!({"runner_name": "a", "ephemeral": false})).await?;
    // A listing that began before the provision is recorded after it.
    sqlx::query(
        "insert into github_runners_cache (target, github_runner_id, name, status, busy, labels, first_seen_at, seen_at)
        select target, $1, name, 'offline', false, '{}', created_at - interval '1 second', created_at from runners",
    )
    .bind(i64::try_from(theirs)?)
    .execute(&pool)
    .await?;
    world.reconcile().await?;
    assert_eq!(world.state("a").await?.0, "pending");
    world.call("alice", reqwest::Method::DELETE, "/api/v1/runners/a").await?;
    assert!(world.github.runner("a").is_some());
    Ok(())
}
