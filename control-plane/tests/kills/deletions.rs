//! Killed while a runner is being taken away.

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::Endpoint;

use crate::MIGRATIONS;
use crate::recovery::{Ending, Kills};
use crate::stops::Stop;

const GONE: Ending = "deleted gone-from-github";
const DELETED: Ending = "deleted deprovisioned";

#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_a_deprovision(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    let steps = [
        // Nobody was promised anything: the caller repeats.
        (Stop::Entry("deprovision.requested"), "pending"),
        (Stop::Committed("deprovision.requested"), "pending"),
        (Stop::Asked(Endpoint::DeleteRunner), "pending"),
        (Stop::Done(Endpoint::DeleteRunner), GONE),
        (Stop::Entry("runner.deleted"), GONE),
        (Stop::Committed("runner.deleted"), DELETED),
        (Stop::Answered, DELETED),
    ];
    take_away(&mut kills, "", &steps).await?;
    kills.recover().await?.print("deprovision");
    let program = kills.start().await?;
    for number in 0..steps.len() {
        let repeat = kills.around.request(&program, Method::DELETE, &format!("/api/v1/runners/r-{number}"))?;
        let (status, body) = kills.ask(repeat).await?;
        assert_eq!(status, if number < 3 { 200 } else { 404 }, "{number} {body}");
    }
    assert!(kills.around.github.runners().is_empty());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_a_drain(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    let steps = [
        (Stop::Entry("deprovision.requested"), "pending"),
        // From here on the wish is on record, and is fulfilled without another word.
        (Stop::Committed("deprovision.requested"), DELETED),
        (Stop::Asked(Endpoint::DeleteRunner), DELETED),
        (Stop::Done(Endpoint::DeleteRunner), DELETED),
        (Stop::Entry("runner.deleted"), DELETED),
        (Stop::Committed("runner.deleted"), DELETED),
        (Stop::Answered, DELETED),
    ];
    take_away(&mut kills, "?drain=true", &steps).await?;
    kills.recover().await?.print("drain");
    assert_eq!(kills.around.github.runners().len(), 1);
    Ok(())
}

async fn take_away(kills: &mut Kills, query: &str, steps: &[(Stop, Ending)]) -> anyhow::Result<()> {
    for (number, (stop, ending)) in steps.iter().enumerate() {
        let name = format!("r-{number}");
        let program = kills.start().await?;
        kills.provide(&program, &json!({"runner_name": name, "mode": "jit"})).await?;
        let request = kills.around.request(&program, Method::DELETE, &format!("/api/v1/runners/{name}{query}"))?;
        kills.kill_at(program, *stop, request, &name, ending).await?;
        // Else the next program would meet its fault in the queue of this one.
        sqlx::query("update runners set drain_next_at = now() + interval '1 hour' where drain_next_at is not null")
            .execute(&kills.pool)
            .await?;
    }
    sqlx::query("update runners set drain_next_at = now() where drain_next_at is not null")
        .execute(&kills.pool)
        .await?;
    Ok(())
}

/// The job that works through the queue, killed.
#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_the_drain_queue(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    let steps = [
        Stop::Asked(Endpoint::DeleteRunner),
        Stop::Done(Endpoint::DeleteRunner),
        Stop::Entry("runner.deleted"),
        Stop::Committed("runner.deleted"),
    ];
    for (number, stop) in steps.into_iter().enumerate() {
        let name = format!("r-{number}");
        let mut program = kills.start().await?;
        let mut machine = kills.on_line(&program, &json!({"runner_name": name, "ephemeral": false})).await?;
        machine.take_job().await?;
        let drain = kills.around.request(&program, Method::DELETE, &format!("/api/v1/runners/{name}?drain=true"))?;
        assert_eq!(kills.ask(drain).await?.0, 202);
        program.kill()?;

        machine.finish_job().await?;
        let mut prepared = stop.prepare(&kills.pool, &kills.around).await?;
        sqlx::query("update runners set drain_next_at = now() where name = $1")
            .bind(&name)
            .execute(&kills.pool)
            .await?;
        let mut program = kills.start().await?;
        prepared.reached(&kills.pool, &kills.around).await?;
        program.kill()?;
        prepared.release(&kills.around).await?;
        kills.killed(&name, stop, DELETED);
        sqlx::query("update runners set drain_next_at = now() + interval '1 hour' where drain_next_at is not null")
            .execute(&kills.pool)
            .await?;
    }
    sqlx::query("update runners set drain_next_at = now() where drain_next_at is not null")
        .execute(&kills.pool)
        .await?;
    kills.recover().await?.print("drain queue");
    assert!(kills.around.github.runners().is_empty());
    Ok(())
}
