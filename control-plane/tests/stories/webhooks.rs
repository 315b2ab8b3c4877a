//! GitHub says that a job has begun or ended.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Delivery, Endpoint, ORGANIZATION, Webhook};

use crate::MIGRATIONS;
use crate::world::{WEBHOOK_SECRETS, World};

/// An ephemeral runner by registration token, on line with a job.
async fn working(world: &World, name: &str) -> anyhow::Result<testkit::github::RunnerMachine> {
    let answer = world.provision("alice", json!({"runner_name": name})).await?;
    let mut machine = world.github.machine().run_command(answer.text("configuration_command")?).await?;
    machine.go_online().await?;
    machine.take_job().await?;
    Ok(machine)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_ephemeral_runner_is_deleted_within_a_second_of_its_job(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.set_webhook(Some(world.webhook()));
    let mut machine = working(&world, "a").await?;
    world.until_state("a", "active").await?;
    assert_eq!(world.get("alice", "/api/v1/runners/a").await?.body["busy"], json!(true));
    machine.finish_job().await?;
    let took = world.until_state("a", "deleted").await?;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(world.state("a").await?.1.as_deref(), Some("gone-from-github"));
    assert_eq!(world.github.count(Endpoint::ListRunners), 0, "no comparison was needed");
    assert_eq!(world.github.count(Endpoint::DeleteRunner), 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_that_came_and_went_between_comparisons_is_known_by_its_last_delivery(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = working(&world, "a").await?;
    world.github.set_webhook(Some(world.webhook()));
    machine.finish_job().await?;
    world.until_state("a", "deleted").await?;
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn late_doubled_and_reordered_deliveries_change_nothing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = working(&world, "a").await?;
    let runner = Some((machine.id(), "a"));
    let (begun, ended) =
        (Delivery::job("in_progress", ORGANIZATION, runner), Delivery::job("completed", ORGANIZATION, runner));
    // `completed` comes while the runner is still there: nothing is deleted on its word alone.
    assert_eq!(ended.send(&world.webhook()).await?, 202);
    world.quiet().await;
    assert_eq!(world.state("a").await?.0, "active");
    machine.finish_job().await?;
    let calls = world.github.count(Endpoint::GetRunner);
    assert_eq!(ended.send(&world.webhook()).await?, 202);
    world.quiet().await;
    assert_eq!(world.github.count(Endpoint::GetRunner), calls, "a repeat is known as one");
    Delivery { id: "another".to_owned(), ..ended }.send(&world.webhook()).await?;
    world.until_state("a", "deleted").await?;
    assert_eq!(begun.send(&world.webhook()).await?, 202);
    world.quiet().await;
    assert_eq!(world.state("a").await?.0, "deleted");
    let deleted = world.events().await?.into_iter().filter(|event| event == "runner.deleted success").count();
    assert_eq!(deleted, 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn foreign_runners_and_jobs_without_one_cost_no_call(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "a"})).await?;
    let before = world.github.calls().len();
    for delivery in [
        Delivery::job("queued", ORGANIZATION, None),
        Delivery::job("completed", ORGANIZATION, None),
        Delivery::job("completed", ORGANIZATION, Some((77, "theirs"))),
        Delivery::job("completed", "another-organisation", Some((78, "a"))),
        Delivery::new("ping", &json!({"zen": "Keep it logically awesome."})),
    ] {
        assert_eq!(delivery.send(&world.webhook()).await?, 202);
    }
    world.quiet().await;
    assert_eq!(world.github.calls().len(), before);
    assert_eq!(world.state("a").await?.0, "pending");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn only_signed_deliveries_are_taken(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let delivery = Delivery::job("completed", ORGANIZATION, Some((1, "a")));
    let with = |secret: &str| Webhook { secret: secret.to_owned(), ..world.webhook() };
    for secret in WEBHOOK_SECRETS {
        assert_eq!(delivery.send(&with(secret)).await?, 202, "both secrets hold while they are changed");
    }
    assert_eq!(delivery.send(&with("wrong")).await?, 401);
    let request = || {
        let request = world.anonymous(Method::POST, "/webhooks/github").header("content-type", "application/json");
        request.header("x-github-event", "workflow_job").header("x-github-delivery", "1").body(delivery.body.clone())
    };
    let unsigned = world.send(request()).await?;
    assert_eq!((unsigned.status, unsigned.problem()), (401, "webhook-signature"));
    let signature = delivery.signature(WEBHOOK_SECRETS[0])?;
    let twice = request().header("x-hub-signature-256", &signature).header("x-hub-signature-256", &signature);
    assert_eq!(world.send(twice).await?.status, 401);
    let changed = request().header("x-hub-signature-256", &signature).body(format!("{} ", delivery.body));
    assert_eq!(world.send(changed).await?.status, 401, "it is the raw body that counts");
    assert!(world.events().await?.iter().all(|event| event == "access.denied denied"));
    let kept: i64 = sqlx::query_scalar("select count(*) from webhook_deliveries").fetch_one(&pool).await?;
    assert_eq!(kept, 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn without_a_secret_the_endpoint_is_off(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let url = format!("{}/webhooks/github", world.bare().await?);
    let delivery = Delivery::new("ping", &Value::Null);
    assert_eq!(delivery.send(&Webhook { url, secret: String::new() }).await?, 404);
    Ok(())
}
