//! A step and its entry in the log happen together or not at all.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault, RunnerMachine};

use crate::MIGRATIONS;
use crate::admins::{POLICY, admin, policy_file};
use crate::world::{ISSUER, World};

/// From now on the log refuses entries of this event.
async fn refuse(world: &World, event: &str) -> anyhow::Result<()> {
    let trigger = format!(
        "create function refuse() returns trigger language plpgsql as
            $$ begin raise exception 'the log is full'; end $$;
        create trigger refuse before insert on audit_log for each row when (new.event = '{event}')
            execute function refuse();"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&world.pool).await?;
    Ok(())
}

async fn accept(world: &World) -> anyhow::Result<()> {
    sqlx::raw_sql("drop function refuse() cascade").execute(&world.pool).await?;
    Ok(())
}

/// Everything that the row says.
async fn row(world: &World) -> anyhow::Result<Option<String>> {
    Ok(sqlx::query_scalar("select r::text from runners r").fetch_optional(&world.pool).await?)
}

/// What brings a step about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Comparison,
    Refresh,
    Deletion,
    Cleanup,
}

impl By {
    /// Lets it happen, however it ends.
    async fn happens(self, world: &World) -> anyhow::Result<()> {
        match self {
            Self::Comparison => world.reconcile().await.map(|_| ()),
            Self::Refresh => world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await.map(|_| ()),
            Self::Deletion => world.call("alice", Method::DELETE, "/api/v1/runners/a").await.map(|_| ()),
            Self::Cleanup => world.cleanup(Some(1), false).await.map(|_| ()),
        }
    }
}

/// A runner in a state, with its machine ready for the next.
async fn in_state(world: &World, state: &str) -> anyhow::Result<RunnerMachine> {
    let made = world.provision("alice", json!({"runner_name": "a", "ephemeral": false})).await?;
    let mut machine = world.github.machine().run_command(made.text("configuration_command")?).await?;
    if state != "pending" {
        machine.go_online().await?;
        world.reconcile().await?;
    }
    if state == "offline" {
        machine.go_offline().await?;
        world.reconcile().await?;
    }
    assert_eq!(world.state("a").await?.0, state);
    Ok(machine)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn pending_to_active(pool: PgPool) -> anyhow::Result<()> {
    step(pool, "pending", "active", By::Comparison).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn pending_to_offline(pool: PgPool) -> anyhow::Result<()> {
    step(pool, "pending", "offline", By::Refresh).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn pending_to_deleted(pool: PgPool) -> anyhow::Result<()> {
    step(pool, "pending", "deleted", By::Deletion).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn active_to_offline(pool: PgPool) -> anyhow::Result<()> {
    step(pool, "active", "offline", By::Comparison).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn active_to_deleted(pool: PgPool) -> anyhow::Result<()> {
    step(pool, "active", "deleted", By::Deletion).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn offline_to_active(pool: PgPool) -> anyhow::Result<()> {
    step(pool, "offline", "active", By::Refresh).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn offline_to_deleted(pool: PgPool) -> anyhow::Result<()> {
    step(pool, "offline", "deleted", By::Cleanup).await
}

/// The step does not happen while its entry can't be written, and does when it can.
async fn step(pool: PgPool, from: &str, to: &str, by: By) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut machine = in_state(&world, from).await?;
    match to {
        "active" => machine.go_online().await?,
        "offline" if from == "active" => machine.go_offline().await?,
        _ => {}
    }
    if by == By::Cleanup {
        world.advance_here(Duration::from_hours(2))?;
    }
    let before = row(&world).await?;
    refuse(&world, &format!("runner.{to}")).await?;
    by.happens(&world).await?;
    assert_eq!(row(&world).await?, before, "{from} to {to}: nothing changed, not even the time");
    accept(&world).await?;
    by.happens(&world).await?;
    assert_eq!(world.state("a").await?.0, to);
    let entries = world.events().await?.into_iter().filter(|event| *event == format!("runner.{to} success")).count();
    assert_eq!(entries, if from == "offline" && to == "active" { 2 } else { 1 });
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_intent_that_can_not_be_recorded_is_not_carried_out(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    refuse(&world, "provision.requested").await?;
    let refused = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!((refused.status, refused.problem()), (500, "internal"));
    assert_eq!((row(&world).await?, world.github.count(Endpoint::Any)), (None, 0), "no row, and no call");
    accept(&world).await?;

    world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    refuse(&world, "deprovision.requested").await?;
    for path in ["/api/v1/runners/a", "/api/v1/runners/a?drain=true"] {
        assert_eq!(world.call("alice", Method::DELETE, path).await?.problem(), "internal");
    }
    world.advance_here(Duration::from_hours(3))?;
    world.cleanup(Some(1), false).await?;
    assert_eq!(world.github.count(Endpoint::DeleteRunner), 0);
    assert_eq!(world.state("a").await?.0, "pending");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn nobody_is_revoked_or_restored_without_an_entry(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    assert_eq!(world.provision("alice", json!({"runner_name": "a", "labels": ["gpu"]})).await?.status, 201);
    let whom = json!({"issuer": ISSUER, "subject": "alice"});
    let post = async |path: &str| -> anyhow::Result<u16> {
        Ok(admin(&world, Method::POST, path, Some(whom.clone())).await?.status)
    };
    let before = row(&world).await?;
    refuse(&world, "principal.revoked").await?;
    assert_eq!(post("principals/revoke").await?, 500);
    assert_eq!(row(&world).await?, before, "its runner is not to be drained");
    assert_eq!(world.get("alice", "/api/v1/runners").await?.status, 200);
    accept(&world).await?;
    assert_eq!(post("principals/revoke").await?, 202);
    refuse(&world, "principal.restored").await?;
    assert_eq!(post("principals/restore").await?, 500);
    assert_eq!(world.get("alice", "/api/v1/runners").await?.problem(), "principal-revoked");
    accept(&world).await?;
    assert_eq!(post("principals/restore").await?, 200);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_failure_that_can_not_be_recorded_is_found_later(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    refuse(&world, "runner.deleted").await?;
    world.github.inject(Endpoint::JitConfig, Fault::SuspendedInstallation, 1);
    let refused = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!(refused.problem(), "github-suspended", "the caller is told what happened");
    assert_eq!(world.state("a").await?.0, "pending");
    assert_eq!(world.events().await?, ["provision.requested success"], "the failure went with the step");
    accept(&world).await?;
    world.advance_here(Duration::from_mins(5))?;
    world.reconcile().await?;
    assert_eq!(world.state("a").await?.1.as_deref(), Some("provision-interrupted"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn drift_that_can_not_be_noted_is_noted_later(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let machine = in_state(&world, "active").await?;
    world.github.change_runner(machine.id(), Some(&["prod"]), None);
    let before = row(&world).await?;
    refuse(&world, "runner.drifted").await?;
    world.reconcile().await?;
    assert_eq!(row(&world).await?, before);
    accept(&world).await?;
    world.reconcile().await?;
    assert!(world.events().await?.contains(&"runner.drifted success".to_owned()));
    Ok(())
}
