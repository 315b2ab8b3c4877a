//! Several accounts, each with an installation of the App of its own.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Consumer, Endpoint, INSTALLATION_ID, ORGANIZATION};

use crate::MIGRATIONS;
use crate::world::{LABS, LABS_ID, World};

/// The same service for another place.
async fn for_target(world: &World, target: &str) -> anyhow::Result<World> {
    let target = target.parse()?;
    world.beside(|config| config.default_target = target).await
}

/// Every call of an installation, as the start of its path; tokens are minted by the App.
fn places(world: &World, installation: u64) -> Vec<String> {
    let calls = world.github.calls();
    let own = calls.iter().filter(|call| call.caller == Some(Consumer::Installation(installation)));
    let mut places: Vec<String> = own.filter_map(|call| call.path.split('/').nth(2).map(str::to_owned)).collect();
    places.dedup();
    places
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_account_is_reached_with_its_own_installation_alone(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let labs = for_target(&world, &format!("org:{LABS}")).await?;
    let tools = for_target(&world, &format!("repo:{LABS}/app")).await?;
    world.running("alice", "here").await?;
    labs.running("alice", "there").await?;
    tools.running("alice", "in-a-repository").await?;

    let summary = world.reconcile().await?;
    assert_eq!((summary.active, summary.compared), (3, 3), "one service compares every target that has runners");
    assert_eq!(places(&world, INSTALLATION_ID), [ORGANIZATION]);
    assert_eq!(places(&world, LABS_ID), [LABS]);
    // Three services, and the first of them reached both installations.
    assert_eq!(world.github.count(Endpoint::AccessToken), 4);
    assert_eq!(world.github.count_of(Consumer::Nobody, Endpoint::Any), 0);

    for (world, name) in [(&world, "here"), (&world, "there"), (&world, "in-a-repository")] {
        assert_eq!(world.call("alice", Method::DELETE, &format!("/api/v1/runners/{name}")).await?.status, 200);
    }
    assert!(world.github.runners().is_empty());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_suspended_installation_does_not_stop_the_comparison_of_another(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let labs = for_target(&world, &format!("org:{LABS}")).await?;
    let here = world.running("alice", "here").await?;
    labs.running("alice", "there").await?;
    world.github.set_suspended(INSTALLATION_ID, true);
    world.github.remove_runner(here.id());
    for _ in 0..3 {
        let error = world.reconcile().await.unwrap_err();
        assert!(format!("{error:#}").contains("suspended"), "{error:#}");
        world.advance_here(Duration::from_mins(5))?;
    }
    assert_eq!(world.state("there").await?.0, "active");
    assert_eq!(world.state("here").await?.0, "pending", "nothing is known of it");
    let refused = world.provision("alice", json!({"runner_name": "more"})).await?;
    assert_eq!((refused.status, refused.problem()), (502, "github-suspended"));
    assert_eq!(labs.provision("alice", json!({"runner_name": "more"})).await?.status, 201);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_place_without_an_installation_is_refused_before_anything_is_recorded(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let nowhere = for_target(&world, "repo:somebody/else").await?;
    let refused = nowhere.provision("alice", json!({"runner_name": "a"})).await?;
    assert_eq!((refused.status, refused.problem()), (502, "github-target"));
    assert!(refused.text("detail")?.contains("GITHUB_INSTALLATIONS"), "{refused:?}");
    let rows: i64 = sqlx::query_scalar("select count(*) from runners").fetch_one(&pool).await?;
    assert_eq!((rows, world.github.count(Endpoint::Any)), (0, 0));
    assert_eq!(world.events().await?, ["provision.denied denied"]);
    Ok(())
}
