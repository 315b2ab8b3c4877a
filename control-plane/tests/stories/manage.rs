//! Listing, reading, refreshing and deleting one's runners.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATIONS")]
async fn everybody_sees_their_own_runners_only(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let made = world.provision("alice", json!({"runner_name": "a"})).await?;
    let id = made.text("runner_id")?;
    for name in ["a", "A", id] {
        let path = format!("/api/v1/runners/{name}");
        let seen = world.get("alice", &path).await?;
        assert_eq!((seen.status, seen.text("runner_id")?), (200, id));
        for method in [Method::GET, Method::DELETE] {
            let other = world.call("mallory", method, &path).await?;
            assert_eq!((other.status, other.problem()), (404, "runner-not-found"), "{path}");
        }
        let refresh = world.call("mallory", Method::POST, &format!("{path}/refresh")).await?;
        assert_eq!(refresh.status, 404);
    }
    let list = world.get("mallory", "/api/v1/runners").await?;
    assert_eq!(list.body, json!({"runners": [], "total": 0, "next_cursor": null}));
    assert_eq!(world.provision("mallory", json!({"runner_name": "a"})).await?.problem(), "runner-name-taken");
    assert_eq!(world.state("a").await?.0, "pending");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn pages_follow_one_another_and_filters_narrow_them(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for number in 0..5 {
        let label = if number == 3 { "gpu" } else { "cpu" };
        world.provision("alice", json!({"runner_name": format!("r{number}"), "labels": [label]})).await?;
        world.advance_here(Duration::from_millis(5))?;
    }
    let names = |list: &Value| -> Vec<String> {
        let runners = list["runners"].as_array().cloned().unwrap_or_default();
        runners.iter().filter_map(|runner| runner["runner_name"].as_str().map(str::to_owned)).collect()
    };
    let mut seen = Vec::new();
    let mut path = "/api/v1/runners?limit=2".to_owned();
    loop {
        let list = world.get("alice", &path).await?;
        assert_eq!(list.body["total"], json!(5));
        seen.push(names(&list.body));
        let Some(cursor) = list.body["next_cursor"].as_str() else { break };
        path = format!("/api/v1/runners?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, [vec!["r4", "r3"], vec!["r2", "r1"], vec!["r0"]]);

    assert_eq!(names(&world.get("alice", "/api/v1/runners?label=GPU").await?.body), ["r3"]);
    world.call("alice", Method::DELETE, "/api/v1/runners/r2").await?;
    assert_eq!(names(&world.get("alice", "/api/v1/runners?status=deleted").await?.body), ["r2"]);
    assert_eq!(world.get("alice", "/api/v1/runners?status=pending").await?.body["total"], json!(4));
    for bad in ["status=gone", "limit=0", "limit=1000", "cursor=x", "colour=red"] {
        let answer = world.get("alice", &format!("/api/v1/runners?{bad}")).await?;
        assert_eq!((answer.status, answer.problem()), (400, "invalid-request"), "{bad}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_goes_from_github_first(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.running("alice", "a").await?;
    let id = world.get("alice", "/api/v1/runners/a").await?.text("runner_id")?.to_owned();

    // GitHub does not answer: the runner stays, and the call can be repeated.
    world.github.inject(Endpoint::DeleteRunner, Fault::BeforeCommit(500), 3);
    let answer = world.call("alice", Method::DELETE, "/api/v1/runners/a").await?;
    assert_eq!((answer.status, answer.problem()), (503, "github-unavailable"));
    assert_eq!(world.state("a").await?.0, "pending");

    let answer = world.call("alice", Method::DELETE, "/api/v1/runners/a").await?;
    assert_eq!((answer.status, answer.text("status")?), (200, "deleted"));
    assert_eq!(answer.text("deleted_reason")?, "deprovisioned");
    assert!(world.github.runner("a").is_none());
    assert_eq!(world.get("alice", "/api/v1/runners/a").await?.status, 404);
    let repeat = world.call("alice", Method::DELETE, &format!("/api/v1/runners/{id}")).await?;
    assert_eq!((repeat.status, repeat.text("status")?), (200, "deleted"));
    assert_eq!(world.provision("alice", json!({"runner_name": "a"})).await?.status, 201, "the name is free");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_busy_runner_stays(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = world.running("alice", "a").await?;
    machine.take_job().await?;
    let answer = world.call("alice", Method::DELETE, "/api/v1/runners/a").await?;
    assert_eq!((answer.status, answer.problem()), (409, "runner-busy"));
    assert!(world.github.runner("a").is_some());
    assert!(world.events().await?.contains(&"deprovision.denied denied".to_owned()));

    machine.finish_job().await?;
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a").await?.status, 200);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_that_is_gone_already_is_no_trouble(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let machine = world.running("alice", "a").await?;
    world.reconcile().await?;
    world.github.remove_runner(machine.id());
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a").await?.status, 200);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_foreign_runner_of_the_same_name_is_not_deleted(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "a", "labels": ["gpu"]})).await?;
    // Registered by other means, with other labels and not ephemeral.
    world.github.add_runner("acme-partners", "a", &["linux"]);
    world.reconcile().await?;
    assert_eq!(world.state("a").await?.0, "pending");
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a").await?.status, 200);
    assert!(world.github.runner("a").is_some());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn refresh_asks_github_now(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let refresh = || world.call("alice", Method::POST, "/api/v1/runners/a/refresh");
    let mut machine = world.running("alice", "a").await?;
    assert_eq!(refresh().await?.text("status")?, "active");
    machine.go_offline().await?;
    assert_eq!(refresh().await?.text("status")?, "offline");
    world.github.remove_runner(machine.id());
    world.advance_here(Duration::from_mins(5))?;
    let gone = refresh().await?;
    assert_eq!((gone.text("status")?, gone.text("deleted_reason")?), ("deleted", "gone-from-github"));
    assert_eq!(refresh().await?.status, 404);
    Ok(())
}
