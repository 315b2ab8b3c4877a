//! Taking runners away as soon as they are idle.

use std::time::Duration;

use control_plane::jobs::{self, Job};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::world::{Answer, World};

async fn drain(world: &World, name: &str) -> anyhow::Result<Answer> {
    world.call("alice", Method::DELETE, &format!("/api/v1/runners/{name}?drain=true")).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_busy_runner_goes_when_its_job_has_ended(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = world.running("alice", "a").await?;
    machine.take_job().await?;
    let answer = drain(&world, "a").await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.body["drain"]["attempts"], json!(1));

    // It is shown with the reason why it waits, and GitHub is asked ever less often.
    let mut attempts = Vec::new();
    for _ in 0..12 {
        assert_eq!(world.drain_round().await?, 0);
        attempts.push(world.github.count(Endpoint::DeleteRunner));
        world.advance_here(Duration::from_secs(10))?;
    }
    assert_eq!(attempts, [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]);
    let shown = world.get("alice", "/api/v1/runners/a").await?;
    assert_eq!(shown.body["drain"]["waits_because"], json!("the runner is running a job"));
    assert!(world.github.runner("a").is_some());

    machine.finish_job().await?;
    world.advance_here(Duration::from_mins(5))?;
    assert_eq!(world.drain_round().await?, 1);
    assert_eq!(world.state("a").await?, ("deleted".to_owned(), Some("deprovisioned".to_owned())));
    assert!(world.github.runner("a").is_none());
    assert_eq!(world.drain_round().await?, 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_idle_runner_goes_at_once_and_a_repeat_is_no_trouble(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let made = world.running("alice", "a").await?;
    let id = world.get("alice", "/api/v1/runners/a").await?.text("runner_id")?.to_owned();
    let answer = drain(&world, "a").await?;
    assert_eq!((answer.status, answer.text("status")?), (200, "deleted"));
    assert!(world.github.runner(made.name()).is_none());
    assert_eq!(drain(&world, &id).await?.status, 200);
    assert_eq!(drain(&world, "unknown").await?.problem(), "runner-not-found");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_queue_outlives_lost_answers_phantoms_and_restarts(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let lost = world.running("alice", "lost").await?;
    let phantom = world.running("alice", "phantom").await?;
    world.reconcile().await?;
    world.github.make_phantom_busy(phantom.id(), Duration::from_mins(3));
    world.github.inject(Endpoint::DeleteRunner, Fault::AfterCommit(502), 1);
    world.github.inject(Endpoint::DeleteRunner, Fault::BeforeCommit(502), 2);
    let answer = drain(&world, "lost").await?;
    assert_eq!((answer.status, world.github.runner("lost").is_some()), (202, false), "deleted, but nobody knows");
    assert_eq!(drain(&world, "phantom").await?.status, 202);
    assert_eq!(lost.name(), "lost");

    // Another process with the same records takes it from there.
    let app = control_plane::operations::App::new(
        pool,
        world.github_config()?,
        world.app.policy.clone(),
        world.clock.clone(),
    )?;
    world.advance_here(Duration::from_mins(4))?;
    world.github.advance(Duration::from_mins(4));
    let turn = jobs::wait_for_turn(&app, Job::Drains).await?;
    assert_eq!(jobs::drains(&app, &app.system("drain"), &turn).await?, 2);
    for name in ["lost", "phantom"] {
        assert_eq!(world.state(name).await?.1.as_deref(), Some("deprovisioned"));
    }
    let deleted = world.events().await?.into_iter().filter(|event| event == "runner.deleted success").count();
    assert_eq!(deleted, 2);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_stuck_says_why_without_githubs_words(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.running("alice", "a").await?;
    world.reconcile().await?;
    let minute = Duration::from_mins(1);
    for (number, (fault, why)) in [
        (Fault::BeforeCommit(502), "GitHub does not answer"),
        (Fault::MissingPermission, "GitHub does not let this service's App do this"),
        (Fault::SuspendedInstallation, "the installation of this service's App is suspended"),
        (Fault::SecondaryLimit(429, Some(minute)), "GitHub takes no more calls for now"),
        (Fault::PhantomBusy(minute), "the runner is running a job"),
    ]
    .into_iter()
    .enumerate()
    {
        world.github.inject(Endpoint::DeleteRunner, fault, 3);
        let shown = drain(&world, "a").await?;
        assert_eq!((shown.status, &shown.body["drain"]["waits_because"]), (202, &json!(why)));
        assert_eq!(shown.body["drain"]["attempts"], json!(number + 1));
        assert!(shown.body["drain"]["next_attempt_at"].is_string());
        world.github.clear_faults();
        world.advance(minute * 2)?;
    }
    assert_eq!(drain(&world, "a").await?.text("status")?, "deleted");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_webhook_ends_the_wait(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = world.running("alice", "a").await?;
    machine.take_job().await?;
    assert_eq!(drain(&world, "a").await?.status, 202);
    world.github.set_webhook(Some(world.webhook()));
    machine.finish_job().await?;
    let took = world.until_state("a", "deleted").await?;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(world.state("a").await?.1.as_deref(), Some("deprovisioned"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn who_deprovisions_without_draining_waits_for_nothing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = world.running("alice", "a").await?;
    machine.take_job().await?;
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a").await?.problem(), "runner-busy");
    world.advance_here(Duration::from_hours(1))?;
    machine.finish_job().await?;
    assert_eq!(world.drain_round().await?, 0);
    assert_eq!(world.get("alice", "/api/v1/runners/a").await?.body["drain"], Value::Null);
    assert_eq!(
        world.call("alice", Method::DELETE, "/api/v1/runners/a?drain=maybe").await?.problem(),
        "invalid-request"
    );
    Ok(())
}
