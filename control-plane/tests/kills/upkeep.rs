//! Killed while the jobs put things right.

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::recovery::{Ending, Kills};
use crate::stops::Stop;

/// The next program compares and cleans up at once.
async fn due(kills: &Kills) -> anyhow::Result<()> {
    sqlx::query("delete from job_runs").execute(&kills.pool).await?;
    Ok(())
}

/// Starts a program whose jobs are due, and kills it there.
async fn kill(kills: &mut Kills, name: &str, stop: Stop, ending: Ending) -> anyhow::Result<()> {
    let mut prepared = stop.prepare(&kills.pool, &kills.around).await?;
    due(kills).await?;
    let mut program = kills.start().await?;
    prepared.reached(&kills.pool, &kills.around).await?;
    program.kill()?;
    prepared.release(&kills.around).await?;
    kills.killed(name, stop, ending);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_a_clean_up(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    let steps = [
        Stop::Asked(Endpoint::ListRunners),
        Stop::Asked(Endpoint::GetRunner),
        Stop::Entry("deprovision.requested"),
        Stop::Committed("deprovision.requested"),
        Stop::Asked(Endpoint::DeleteRunner),
        Stop::Done(Endpoint::DeleteRunner),
        Stop::Entry("runner.deleted"),
        Stop::Committed("runner.deleted"),
    ];
    for (number, stop) in steps.into_iter().enumerate() {
        let name = format!("r-{number}");
        let mut program = kills.start().await?;
        kills.provide(&program, &json!({"runner_name": name, "mode": "jit"})).await?;
        program.kill()?;
        sqlx::query("update runners set secret_expires_at = now() - interval '1 hour' where state = 'pending'")
            .execute(&kills.pool)
            .await?;
        kill(&mut kills, &name, stop, "deleted never-registered").await?;
    }
    kills.recover().await?.print("clean-up");
    assert!(kills.around.github.runners().is_empty());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_undoing_a_provision(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    let steps = [
        Stop::Entry("runner.orphaned"),
        Stop::Committed("runner.orphaned"),
        Stop::Asked(Endpoint::DeleteRunner),
        Stop::Done(Endpoint::DeleteRunner),
        Stop::Entry("provision.interrupted"),
        Stop::Entry("runner.deleted"),
        Stop::Committed("runner.deleted"),
    ];
    for (number, stop) in steps.into_iter().enumerate() {
        let name = format!("r-{number}");
        let mut program = kills.start().await?;
        kills.around.github.inject(Endpoint::JitConfig, Fault::AfterCommit(502), 1);
        let request = kills.around.request(&program, Method::POST, "/api/v1/runners/provision")?;
        let (status, body) = kills.ask(request.json(&json!({"runner_name": name, "mode": "jit"}))).await?;
        assert_eq!(status, 504, "{body}");
        program.kill()?;
        sqlx::query("update runners set requested_at = requested_at - interval '1 hour' where state = 'pending'")
            .execute(&kills.pool)
            .await?;
        kill(&mut kills, &name, stop, "deleted provision-interrupted").await?;
    }
    kills.recover().await?.print("undoing a provision");
    assert!(kills.around.github.runners().is_empty());
    Ok(())
}
