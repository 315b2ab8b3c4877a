//! Killed while a runner is being provisioned.

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::Endpoint;

use crate::MIGRATIONS;
use crate::recovery::{Ending, Kills};
use crate::stops::Stop;

const UNDONE: Ending = "deleted provision-interrupted";
const MODES: [(&str, Endpoint); 2] =
    [("registration-token", Endpoint::RegistrationToken), ("jit", Endpoint::JitConfig)];

#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_a_provision(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    for (mode, endpoint) in MODES {
        let steps = [
            (Stop::Entry("provision.requested"), "none"),
            (Stop::Committed("provision.requested"), UNDONE),
            (Stop::Asked(Endpoint::AccessToken), UNDONE),
            (Stop::Asked(endpoint), UNDONE),
            (Stop::Done(endpoint), UNDONE),
            (Stop::Entry("provision.issued"), UNDONE),
            (Stop::Committed("provision.issued"), "pending"),
            (Stop::Answered, "pending"),
        ];
        for (number, (stop, ending)) in steps.into_iter().enumerate() {
            let name = format!("{mode}-{number}");
            let program = kills.start().await?;
            let request = kills.around.request(&program, Method::POST, "/api/v1/runners/provision")?;
            let request = request.json(&json!({"runner_name": name, "mode": mode}));
            kills.kill_at(program, stop, request, &name, ending).await?;
        }
    }
    let counts = kills.recover().await?;
    assert_eq!((counts.secrets, counts.answered), (8, 2), "{counts:?}");
    counts.print("provision");
    assert_eq!(kills.later().await?, 0, "what nobody started is gone when its secret has expired");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn killed_at_every_step_of_a_repeat(pool: PgPool) -> anyhow::Result<()> {
    let mut kills = Kills::new(pool).await?;
    for (mode, endpoint) in MODES {
        // The first token stays in force; the first just-in-time runner goes before there is another.
        let replaced = if mode == "jit" { UNDONE } else { "pending" };
        let mut steps = vec![
            (Stop::Entry("provision.requested"), "pending"),
            (Stop::Committed("provision.requested"), "pending"),
            (Stop::Asked(endpoint), replaced),
            (Stop::Done(endpoint), replaced),
            (Stop::Entry("provision.issued"), replaced),
            (Stop::Committed("provision.issued"), "pending"),
            (Stop::Answered, "pending"),
        ];
        if mode == "jit" {
            steps.push((Stop::Asked(Endpoint::GetRunner), "pending"));
            steps.push((Stop::Asked(Endpoint::DeleteRunner), "pending"));
            steps.push((Stop::Done(Endpoint::DeleteRunner), UNDONE));
        }
        for (number, (stop, ending)) in steps.into_iter().enumerate() {
            let name = format!("{mode}-{number}");
            let program = kills.start().await?;
            let request = || -> anyhow::Result<_> {
                let request = kills.around.request(&program, Method::POST, "/api/v1/runners/provision")?;
                Ok(request.header("idempotency-key", &name).json(&json!({"runner_name": name, "mode": mode})))
            };
            let (first, again) = (request()?, request()?);
            assert_eq!(kills.ask(first).await?.0, 201);
            kills.kill_at(program, stop, again, &name, ending).await?;
        }
    }
    let counts = kills.recover().await?;
    assert_eq!((counts.secrets, counts.answered), (25, 19), "{counts:?}");
    counts.print("repeat");
    assert_eq!(kills.later().await?, 0, "what nobody started is gone when its secret has expired");
    Ok(())
}
