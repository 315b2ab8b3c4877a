//! Killed while a delivery of GitHub is being followed up.

use serde_json::json;
use sqlx::PgPool;
use testkit::github::Endpoint;

use crate::MIGRATIONS;
use crate::program::Surroundings;
use crate::recovery::Kills;
use crate::stops::Stop;

#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_a_delivery(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    let common = [Stop::Entry("workflow_job"), Stop::Asked(Endpoint::GetRunner)];
    let begun = [Stop::Entry("runner.active"), Stop::Committed("runner.active")];
    let ended = [Stop::Entry("runner.deleted"), Stop::Committed("runner.deleted")];
    for (number, stop) in common.into_iter().chain(begun).enumerate() {
        let (name, mut program) = (format!("begun-{number}"), kills.start().await?);
        let mut machine = kills.on_line(&program, &json!({"runner_name": name})).await?;
        kills.around.github.set_webhook(Some(Surroundings::webhook(&program)));
        let mut prepared = stop.prepare(&kills.pool, &kills.around).await?;
        machine.take_job().await?;
        prepared.reached(&kills.pool, &kills.around).await?;
        program.kill()?;
        prepared.release(&kills.around).await?;
        kills.killed(&name, stop, "active");
    }
    for (number, stop) in common.into_iter().chain(ended).enumerate() {
        let (name, mut program) = (format!("ended-{number}"), kills.start().await?);
        let mut machine = kills.on_line(&program, &json!({"runner_name": name})).await?;
        kills.around.github.set_webhook(None);
        machine.take_job().await?;
        // Its id is on record, as a comparison would have put it there.
        let path = format!("/api/v1/runners/{name}/refresh");
        let refresh = kills.around.request(&program, reqwest::Method::POST, &path)?;
        assert_eq!(kills.ask(refresh).await?.1["status"], json!("active"));
        kills.around.github.set_webhook(Some(Surroundings::webhook(&program)));
        let mut prepared = stop.prepare(&kills.pool, &kills.around).await?;
        machine.finish_job().await?;
        prepared.reached(&kills.pool, &kills.around).await?;
        program.kill()?;
        prepared.release(&kills.around).await?;
        kills.killed(&name, stop, "deleted gone-from-github");
    }
    kills.around.github.set_webhook(None);
    kills.recover().await?.print("webhook");
    assert_eq!(kills.around.github.runners().len(), 4, "those with a job work on");
    Ok(())
}
