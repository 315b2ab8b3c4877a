//! One request through everything, looked at from every side.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testkit::system::{CLIENT, CLIENT_SECRET, System};

/// What an answer to a provision request holds.
const FIELDS: [&str; 9] = [
    "runner_id",
    "runner_name",
    "github_url",
    "expires_at",
    "runner_group_id",
    "labels",
    "ephemeral",
    "registration_token",
    "configuration_command",
];

/// Gets a token as a client does, provisions a runner with it, and makes sure that it is listed and that GitHub gave
/// out the registration token. Returns the answer.
pub(crate) async fn provision(system: &System) -> anyhow::Result<Value> {
    let (client, started) = (Client::builder().no_proxy().build()?, Instant::now());
    let token = token(&client, system).await?;
    let url = format!("{}/api/v1/runners", system.edge_url());
    let body = json!({"runner_name_prefix": "demo", "labels": ["linux", "x64"]});
    let answer = client.post(format!("{url}/provision")).bearer_auth(&token).json(&body).send().await?;
    let (status, answer) = (answer.status(), json_of(answer).await?);
    ensure!(status == StatusCode::CREATED, "provisioning was answered with {status}: {answer}");
    for field in FIELDS {
        ensure!(answer.get(field).is_some_and(|value| !value.is_null()), "the answer has no {field}: {answer}");
    }
    ensure_listed(&client, &url, &token, &answer).await?;
    let registration_token = text(&answer, "registration_token")?;
    let known = system.github().issued_secrets().iter().any(|secret| secret == registration_token);
    ensure!(known, "GitHub does not know the registration token");
    tracing::info!("a runner is provisioned through Envoy ({} ms)", started.elapsed().as_millis());
    Ok(answer)
}

async fn ensure_listed(client: &Client, url: &str, token: &str, answer: &Value) -> anyhow::Result<()> {
    let list = json_of(client.get(url).bearer_auth(token).send().await?).await?;
    let runners = list.get("runners").and_then(Value::as_array).with_context(|| format!("not a list: {list}"))?;
    let name = text(answer, "runner_name")?;
    let listed = runners
        .iter()
        .any(|runner| runner.get("runner_name").or_else(|| runner.get("name")).and_then(Value::as_str) == Some(name));
    ensure!(listed, "{name} is not in the list: {list}");
    Ok(())
}

async fn token(client: &Client, system: &System) -> anyhow::Result<String> {
    let form = [("grant_type", "client_credentials"), ("client_id", CLIENT), ("client_secret", CLIENT_SECRET)];
    let answer = json_of(client.post(system.issuer().token_endpoint()).form(&form).send().await?).await?;
    Ok(text(&answer, "access_token")?.to_owned())
}

async fn json_of(answer: reqwest::Response) -> anyhow::Result<Value> {
    let (status, body) = (answer.status(), answer.text().await?);
    serde_json::from_str(&body).with_context(|| format!("{status} with a body that is not JSON: {body}"))
}

fn text<'json>(json: &'json Value, field: &str) -> anyhow::Result<&'json str> {
    json.get(field).and_then(Value::as_str).with_context(|| format!("no {field} in {json}"))
}
