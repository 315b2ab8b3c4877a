//! A runner's whole life, as a client, a machine and an admin see it.

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::system::{System, SystemOptions};

use crate::support::{Answer, answer, list_with, provision, request, runner, token_of};

async fn get(system: &System, token: &str, path: &str) -> anyhow::Result<Answer> {
    answer(request(Method::GET, system.edge_url(), path).bearer_auth(token)).await
}

fn listed(answer: &Answer) -> Vec<(String, String)> {
    let runners = answer.body.get("runners").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |runner: &Value, name: &str| runner.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    runners.iter().map(|runner| (text(runner, "runner_name"), text(runner, "status"))).collect()
}

/// Every event of the audit log, oldest first.
async fn audit(system: &System) -> anyhow::Result<Vec<Value>> {
    let log =
        system.run_cli(&["export-audit-log", "--since", "2020-01-01", "--format", "jsonl", "--output", "-"]).await?;
    log.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_is_provisioned_registers_is_listed_active_and_is_deleted() -> anyhow::Result<()> {
    let system = System::start(SystemOptions::default()).await?;
    let (token, other) = (token_of(&system, "team-blue")?, token_of(&system, "team-red")?);

    let issued = provision(&system, &token, &runner("blue-1")).await?;
    assert_eq!(issued.status, StatusCode::CREATED, "{}", issued.body);
    assert_eq!(issued.cache_control.as_deref(), Some("no-store"));
    let members = [
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
    assert_eq!(members.map(|name| issued.body.get(name).is_some()), [true; 9], "{}", issued.body);
    assert_eq!(listed(&list_with(&system, &token).await?), [("blue-1".into(), "pending".into())]);

    let mut machine = system.github().machine().run_command(issued.text("configuration_command")?).await?;
    machine.go_online().await?;
    system.run_cli(&["sync-github"]).await?;
    assert_eq!(listed(&list_with(&system, &token).await?), [("blue-1".into(), "active".into())]);

    assert_eq!(listed(&list_with(&system, &other).await?), []);
    assert_eq!(get(&system, &other, "/api/v1/runners/blue-1").await?.status, StatusCode::NOT_FOUND);
    let theft = request(Method::DELETE, system.edge_url(), "/api/v1/runners/blue-1").bearer_auth(&other);
    assert_eq!(answer(theft).await?.status, StatusCode::NOT_FOUND);
    assert!(system.github().runner("blue-1").is_some());

    machine.take_job().await?;
    let delete = || request(Method::DELETE, system.edge_url(), "/api/v1/runners/blue-1").bearer_auth(&token);
    let busy = answer(delete()).await?;
    assert_eq!(busy.status, StatusCode::CONFLICT, "{}", busy.body);
    assert!(busy.text("type")?.ends_with("runner-busy"), "{}", busy.body);

    let second =
        provision(&system, &token, &json!({"runner_name": "blue-2", "labels": ["linux"], "mode": "jit"})).await?;
    assert_eq!(second.status, StatusCode::CREATED, "{}", second.body);
    let jit = system.github().machine().run_command(second.text("configuration_command")?).await?;
    assert_eq!(Some(jit.id()), second.body.get("github_runner_id").and_then(Value::as_u64));
    let gone = request(Method::DELETE, system.edge_url(), "/api/v1/runners/blue-2").bearer_auth(&token);
    assert!(answer(gone).await?.status.is_success());
    assert!(system.github().runner("blue-2").is_none());

    let events = audit(&system).await?;
    let of = |event: &str| {
        let named = |entry: &&Value| entry.get("event").and_then(Value::as_str) == Some(event);
        events.iter().filter(named).count()
    };
    assert_eq!((of("provision.requested"), of("provision.issued")), (2, 2), "{events:#?}");
    no_secret_was_written_down(&system, &events)
}

/// Every secret that was issued in this run is looked for in all logs and in the exported audit log.
fn no_secret_was_written_down(system: &System, events: &[Value]) -> anyhow::Result<()> {
    let mut secrets = system.github().issued_secrets();
    secrets.extend(system.issuer().issued_tokens());
    secrets.extend(system.identity().private_pem.lines().filter(|line| !line.starts_with('-')).map(str::to_owned));
    assert!(secrets.len() > 5, "the run issued secrets");
    let mut texts = system.logs()?;
    assert!(texts.len() >= 2, "every process wrote a log");
    texts.push(("audit".into(), serde_json::to_string(events)?));
    for (name, text) in texts {
        let found = secrets.iter().filter(|secret| text.contains(secret.as_str())).count();
        assert_eq!(found, 0, "the log of {name} holds {found} of the secrets");
    }
    Ok(())
}
