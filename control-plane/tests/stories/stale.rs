//! Cleaning up what was abandoned, and nothing else.

use std::time::Duration;

use control_plane::jobs::Action;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::Endpoint;

use crate::MIGRATIONS;
use crate::world::World;

const HOUR: Duration = Duration::from_hours(1);

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_off_line_for_too_long_goes(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = world.running("alice", "a").await?;
    world.reconcile().await?;
    machine.go_offline().await?;
    world.reconcile().await?;
    world.advance_here(HOUR)?;
    assert!(world.cleanup(Some(2), false).await?.is_empty(), "not yet");
    world.advance_here(HOUR * 2)?;

    let dry = world.cleanup(Some(2), true).await?;
    assert_eq!(dry.iter().map(|each| each.action).collect::<Vec<_>>(), [Action::Deleted]);
    assert_eq!((world.state("a").await?.0.as_str(), world.github.count(Endpoint::DeleteRunner)), ("offline", 0));

    world.cleanup(Some(2), false).await?;
    assert_eq!(world.state("a").await?, ("deleted".to_owned(), Some("stale".to_owned())));
    assert!(world.github.runner("a").is_none());
    assert!(world.events().await?.contains(&"cleanup.completed success".to_owned()));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn one_that_came_back_or_works_is_kept(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (mut back, mut busy) = (world.running("alice", "back").await?, world.running("alice", "busy").await?);
    back.go_offline().await?;
    busy.go_offline().await?;
    world.reconcile().await?;
    world.advance_here(HOUR * 3)?;
    // Since the last comparison one came back, and one counts as busy although it is off line.
    back.go_online().await?;
    world.github.make_phantom_busy(busy.id(), Duration::from_mins(10));
    let mut actions: Vec<(String, Action)> =
        world.cleanup(Some(2), false).await?.into_iter().map(|each| (each.runner.name, each.action)).collect();
    actions.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(actions, [("back".to_owned(), Action::KeptAlive), ("busy".to_owned(), Action::KeptBusy)]);
    assert_eq!(world.github.count(Endpoint::DeleteRunner), 0);
    assert_eq!(world.state("back").await?.0, "active");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_no_machine_came_on_line_with_ends_with_its_secret(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "token"})).await?;
    world.provision("alice", json!({"runner_name": "jit", "mode": "jit"})).await?;
    let late = world.provision("alice", json!({"runner_name": "late"})).await?;
    world.github.machine().run_command(late.text("configuration_command")?).await?;
    world.advance_here(Duration::from_mins(50))?;
    assert!(world.cleanup(None, false).await?.is_empty());
    world.advance_here(Duration::from_mins(30))?;
    world.cleanup(None, false).await?;
    let never = ("deleted".to_owned(), Some("never-registered".to_owned()));
    assert_eq!(world.state("token").await?, never);
    assert_eq!(world.state("jit").await?, never);
    assert_eq!(world.state("late").await?.0, "offline", "its machine registered, in time");
    assert!(world.github.runner("jit").is_none() && world.github.runner("late").is_some());
    Ok(())
}
