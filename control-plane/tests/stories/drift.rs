//! Runners that somebody changed on GitHub's pages, or registered otherwise than they were told.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::ORGANIZATION;

use crate::MIGRATIONS;
use crate::world::World;

/// What the log says of drift, oldest first: the event, and the drift.
async fn noted(world: &World) -> anyhow::Result<Vec<(String, Value)>> {
    let query = "select event, details->'drift' from audit_log where event in ('runner.drifted', 'runner.restored')
        order by id";
    Ok(sqlx::query_as(query).fetch_all(&world.pool).await?)
}

async fn compare(world: &World, times: usize) -> anyhow::Result<()> {
    for _ in 0..times {
        world.reconcile().await?;
    }
    Ok(())
}

fn drifted(missing: &[&str], added: &[&str], group: Option<u64>) -> (String, Value) {
    let drift = json!({"missing_labels": missing, "added_labels": added, "runner_group_id": group});
    ("runner.drifted".to_owned(), drift)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn changed_labels_are_noted_once_and_once_when_they_are_back(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"runner_name": "a", "labels": ["GPU", "big"], "ephemeral": false});
    let made = world.provision("alice", body).await?;
    let mut machine = world.github.machine().run_command(made.text("configuration_command")?).await?;
    machine.go_online().await?;
    compare(&world, 2).await?;
    assert_eq!(noted(&world).await?, [], "what GitHub adds by itself is no drift");
    assert_eq!(world.get("alice", "/api/v1/runners/a").await?.body["drift"], Value::Null);

    world.github.change_runner(machine.id(), Some(&["big", "prod"]), None);
    compare(&world, 3).await?;
    let first = drifted(&["gpu"], &["prod"], None);
    assert_eq!(noted(&world).await?, std::slice::from_ref(&first));
    assert_eq!(world.get("alice", "/api/v1/runners/a").await?.body["drift"], first.1);
    assert_eq!(world.state("a").await?.0, "active", "it is the owner's all the same");

    world.github.change_runner(machine.id(), Some(&["Big"]), Some(3));
    compare(&world, 2).await?;
    let second = drifted(&["gpu"], &[], Some(3));
    assert_eq!(noted(&world).await?, [first.clone(), second.clone()]);

    world.github.change_runner(machine.id(), Some(&["big", "gpu"]), Some(1));
    compare(&world, 2).await?;
    let back = ("runner.restored".to_owned(), Value::Null);
    assert_eq!(noted(&world).await?, [first.clone(), second.clone(), back.clone()]);

    world.github.change_runner(machine.id(), Some(&["big", "prod"]), None);
    compare(&world, 2).await?;
    assert_eq!(noted(&world).await?, [first.clone(), second, back, first]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_machine_that_took_more_labels_than_it_was_granted_is_noted_at_once(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let made = world.provision("mallory", json!({"runner_name": "a", "labels": ["gpu"]})).await?;
    let command = made.text("configuration_command")?.replace("--labels gpu", "--labels gpu,production");
    world.github.machine().run_command(&format!("{command} --runnergroup 'GPU pool'")).await?.go_online().await?;
    world.reconcile().await?;
    assert_eq!(noted(&world).await?, [drifted(&[], &["production"], Some(3))]);
    let by = "select principal_subject, actor from audit_log where event = 'runner.drifted'";
    let by: (Option<String>, String) = sqlx::query_as(by).fetch_one(&world.pool).await?;
    assert_eq!(by, (None, "system".to_owned()), "who changed it is not known");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_jit_runner_has_its_own_labels_and_no_others(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "a", "labels": ["gpu"], "mode": "jit"})).await?;
    let id = world.github.runner("a").map(|runner| runner.id).unwrap_or_default();
    compare(&world, 2).await?;
    assert_eq!(noted(&world).await?, []);
    world.github.change_runner(id, Some(&["gpu", "self-hosted"]), None);
    // Whoever asks for it notes it too, and the comparison not again.
    assert_eq!(world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await?.status, 200);
    compare(&world, 2).await?;
    assert_eq!(noted(&world).await?, [drifted(&[], &["self-hosted"], None)]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_group_that_is_taken_away_takes_its_runners_along(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.default_group_id = 3).await?;
    world.running("alice", "a").await?;
    compare(&world, 2).await?;
    assert_eq!(noted(&world).await?, []);
    world.github.set_group(ORGANIZATION, 3, None);
    compare(&world, 2).await?;
    assert_eq!(noted(&world).await?, [drifted(&[], &[], Some(1))]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_repository_has_no_groups_to_drift_between(pool: PgPool) -> anyhow::Result<()> {
    let target = format!("repo:{ORGANIZATION}/app").parse()?;
    let world = World::with(pool, |config| config.default_target = target).await?;
    let machine = world.running("alice", "a").await?;
    world.github.change_runner(machine.id(), None, Some(3));
    compare(&world, 2).await?;
    assert_eq!(noted(&world).await?, []);
    Ok(())
}
