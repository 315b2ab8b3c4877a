//! Many at once, through the edge, at three control planes.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::github::Endpoint;
use testkit::system::System;

use crate::replicas::three;
use crate::support::{Answer, answer, request, token_of};

const CROWD: usize = 50;

/// Asks fifty times at once; the keys are made from the number.
async fn crowd(system: &System, body: &Value, key: impl Fn(usize) -> Option<String>) -> anyhow::Result<Vec<Answer>> {
    let token = token_of(system, "team-blue")?;
    let asked = (0..CROWD).map(|number| {
        let request = request(Method::POST, system.edge_url(), "/api/v1/runners/provision").bearer_auth(&token);
        let request = match key(number) {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        answer(request.json(body))
    });
    try_join_all(asked).await
}

fn count(answers: &[Answer], status: StatusCode, problem: &str) -> usize {
    answers.iter().filter(|answer| answer.status == status && answer.problem() == problem).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_want_one_name_one_gets_it() -> anyhow::Result<()> {
    let system = three().await?;
    for (mode, endpoint) in [("registration-token", Endpoint::RegistrationToken), ("jit", Endpoint::JitConfig)] {
        for with_keys in [false, true] {
            let before = system.github().count(endpoint);
            let body = json!({"runner_name": format!("{mode}-{with_keys}"), "mode": mode});
            let answers = crowd(&system, &body, |number| with_keys.then(|| format!("{mode}-{number}"))).await?;
            let won = count(&answers, StatusCode::CREATED, "");
            let lost = count(&answers, StatusCode::CONFLICT, "runner-name-taken");
            assert_eq!((won, lost), (1, CROWD - 1), "{body} {answers:?}");
            assert_eq!(system.github().count(endpoint) - before, 1, "{body}");
        }
    }
    // The edge spread them.
    for (name, log) in system.logs()?.iter().filter(|(name, _)| name.starts_with("control-plane-")) {
        assert!(log.contains("\"status\":201") || log.contains("\"status\":409"), "{name} had nothing to do");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_repeats_of_one_request_are_about_one_runner() -> anyhow::Result<()> {
    let system = three().await?;
    let body = json!({"runner_name_prefix": "ci", "mode": "jit"});
    let answers = crowd(&system, &body, |_| Some("one-and-the-same".to_owned())).await?;
    let issued = count(&answers, StatusCode::CREATED, "");
    let waiting = count(&answers, StatusCode::CONFLICT, "provision-in-progress");
    assert!(issued >= 1, "{answers:?}");
    assert_eq!(issued + waiting, CROWD, "{answers:?}");
    let ids: BTreeSet<&str> =
        answers.iter().filter_map(|answer| answer.body.get("runner_id").and_then(Value::as_str)).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!((system.github().runners().len(), system.github().count(Endpoint::JitConfig)), (1, issued));
    Ok(())
}
