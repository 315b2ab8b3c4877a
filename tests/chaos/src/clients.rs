//! The load: clients that provision, list, read and delete, each in a sequence that the seed decides.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client as Http;
use serde_json::json;
use testkit::choices::Random;
use tokio::task::JoinSet;

use crate::answers::{Outcome, send};
use crate::deeds::Client;
use crate::hostile;
use crate::world::Outside;

/// Besides `hourly`.
const CLIENTS: u64 = 6;
/// Runners that stay, as in the hands of people who do nothing with them.
const KEPT: usize = 4;
/// Who waits longer has given up; longer than most faults last.
const PATIENCE: Duration = Duration::from_secs(10);

/// An HTTP client with connections of its own.
pub(crate) fn http() -> anyhow::Result<Http> {
    Ok(Http::builder().no_proxy().timeout(PATIENCE).build()?)
}

/// Starts the load; it ends with the returned handle.
pub(crate) fn start(outside: &Arc<Outside>, random: &mut Random) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let names = (0..CLIENTS).map(|number| format!("client-{number}")).chain(["hourly".to_owned()]);
    for name in names {
        let client = Client::new(&name, http()?, Random::new(random.number()), Arc::clone(outside));
        tasks.spawn(client.run());
    }
    tasks.spawn(hostile::run(http()?, Random::new(random.number()), Arc::clone(outside)));
    Ok(tasks)
}

/// Has runners made that nobody will ask to delete, with machines on line, and puts one on GitHub that is not the
/// service's at all.
pub(crate) async fn keep(outside: &Outside) -> anyhow::Result<()> {
    let (http, token) = (http()?, outside.token("keeper")?);
    for number in 0..KEPT {
        let (name, jit) = (format!("keeper-{number}"), number % 2 == 0);
        let mode = if jit { "jit" } else { "registration-token" };
        let body = json!({"runner_name": name, "labels": ["gpu"], "mode": mode, "ephemeral": jit});
        let request = http.post(outside.url("/api/v1/runners/provision")).bearer_auth(&token).json(&body);
        let answer = send(request).await.map_err(anyhow::Error::msg)?;
        let command = answer.body.get("configuration_command").and_then(|command| command.as_str());
        let command = command.with_context(|| format!("no command in {} {}", answer.status, answer.body))?;
        outside.book.issued(&answer.body, jit);
        let mut machine = outside.github.machine().run_command(command).await?;
        machine.go_online().await?;
        outside.book.on_line(&name);
        if number < 2 {
            machine.take_job().await?;
        }
    }
    let organization = testkit::github::ORGANIZATION;
    outside.book.stranger(outside.github.add_runner(organization, "stranger", &["gpu"]));
    Ok(())
}

/// Whether everything that clients want works, on a fresh connection: listing, provisioning and deleting.
pub(crate) async fn works(outside: &Outside, number: u64) -> anyhow::Result<Result<(), String>> {
    let (http, token) = (http()?, outside.token("prober")?);
    let name = format!("prober-{number}");
    let runners = outside.url("/api/v1/runners");
    let steps = [
        ("listing", http.get(&runners)),
        (
            "provisioning",
            http.post(format!("{runners}/provision"))
                .json(&json!({"runner_name": name, "labels": ["gpu"], "mode": "jit"})),
        ),
        ("deleting", http.delete(format!("{runners}/{name}"))),
    ];
    for (what, request) in steps {
        let outcome = send(request.bearer_auth(&token)).await;
        if let Ok(answer) = &outcome
            && answer.status.as_u16() == 201
        {
            outside.book.issued(&answer.body, true);
            outside.book.may_go(&name);
        }
        if let Some(why) = failed(&outcome) {
            return Ok(Err(format!("{what}: {why}")));
        }
    }
    Ok(Ok(()))
}

fn failed(outcome: &Outcome) -> Option<String> {
    match outcome {
        Ok(answer) if answer.status.is_success() => None,
        Ok(answer) => Some(answer.kind()),
        Err(kind) => Some((*kind).to_owned()),
    }
}
