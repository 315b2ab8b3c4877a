//! Several processes on one database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::clock::Clock;
use control_plane::config::JobsConfig;
use control_plane::jobs::{self, Job};
use control_plane::operations::App;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::github::Endpoint;
use tokio_util::sync::CancellationToken;

use crate::MIGRATIONS;
use crate::world::World;

const CONFIG: JobsConfig = JobsConfig { interval: Duration::from_secs(3), stale_after_hours: None };

/// A replica with connections of its own.
async fn replica(world: &World, clock: Clock) -> anyhow::Result<Arc<App>> {
    let options = world.pool.connect_options().as_ref().clone();
    let pool = PgPoolOptions::new().max_connections(4).connect_with(options).await?;
    Ok(App::new(pool, world.github_config()?, world.app.policy.clone(), clock)?)
}

async fn until(what: &str, look: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !look() {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(15), "no {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn three_replicas_compare_once_an_interval(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let end = CancellationToken::new();
    let mut running = Vec::new();
    for _ in 0..3 {
        let app = replica(&world, world.clock.clone()).await?;
        running.push(tokio::spawn(jobs::run(app, CONFIG, end.clone())));
    }
    for round in 1..=3 {
        until("comparison", || world.github.count(Endpoint::ListRunners) == round).await?;
        // Time enough for the others to look, too.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(world.github.count(Endpoint::ListRunners), round);
        world.advance_here(CONFIG.interval)?;
    }
    end.cancel();
    for task in running {
        tokio::time::timeout(Duration::from_secs(5), task).await??;
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn when_the_leader_dies_another_takes_over_within_seconds(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let leader = replica(&world, world.clock.clone()).await?;
    let turn = jobs::wait_for_turn(&leader, Job::Upkeep).await?;
    let end = CancellationToken::new();
    let follower = replica(&world, world.clock.clone()).await?;
    let running = tokio::spawn(jobs::run(follower, CONFIG, end.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.github.count(Endpoint::ListRunners), 0, "the leader has the turn");

    // Its connections end as those of a killed process do: the server hears of it, nobody says goodbye.
    let died = Instant::now();
    let ended: i64 = sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and granted
            and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_one(&pool)
    .await?;
    assert_eq!(ended, 1);
    drop(turn);
    until("comparison", || world.github.count(Endpoint::ListRunners) == 1).await?;
    println!("failover after {:?}", died.elapsed());
    assert!(died.elapsed() < Duration::from_secs(3), "{:?}", died.elapsed());
    end.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await??;
    Ok(())
}
