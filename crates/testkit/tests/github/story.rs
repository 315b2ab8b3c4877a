//! The whole story with the client that the service uses: octocrab.

use jsonwebtoken::EncodingKey;
use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use octocrab::service::middleware::retry::RetryConfig;
use serde_json::{Value, json};
use testkit::github::{Endpoint, FakeGithub, Fault, GithubConfig, ORGANIZATION};

use super::support::RUNNERS;

fn installation(github: &FakeGithub) -> anyhow::Result<Octocrab> {
    let app = Octocrab::builder()
        .base_uri(github.base_url())?
        .app(AppId(github.app_id()), EncodingKey::from_rsa_pem(github.app_private_key_pem().as_bytes())?)
        .add_retry_config(RetryConfig::None)
        .build()?;
    Ok(app.installation(InstallationId(github.installation_id()))?)
}

/// GitHub's status and message in an error of octocrab.
fn refusal(error: &octocrab::Error) -> (u16, String) {
    match error {
        octocrab::Error::GitHub { source, .. } => (source.status_code.as_u16(), source.message.clone()),
        other => (0, other.to_string()),
    }
}

#[tokio::test]
async fn a_machine_becomes_a_runner_works_and_is_deleted() {
    let github = FakeGithub::start(GithubConfig::default()).await.unwrap();
    let octocrab = installation(&github).unwrap();
    let path = format!("{RUNNERS}/registration-token");
    let token: Value = octocrab.post(&path, None::<&()>).await.unwrap();
    let command = format!(
        "./config.sh --url {} --token {} --name 'gpu 1' --labels gpu,linux-big --runnergroup 'GPU pool' --unattended",
        github.html_url(ORGANIZATION),
        token["token"].as_str().unwrap()
    );
    let mut machine = github.machine().run_command(&command).await.unwrap();
    machine.go_online().await.unwrap();

    let listed: Value = octocrab.get(RUNNERS, Some(&[("name", "gpu 1")])).await.unwrap();
    assert_eq!(listed["total_count"], 1);
    let runner = &listed["runners"][0];
    assert_eq!(runner["id"], machine.id());
    assert_eq!((&runner["status"], &runner["busy"], &runner["os"]), (&json!("online"), &json!(false), &json!("Linux")));
    assert_eq!((&runner["runner_group_id"], &runner["ephemeral"]), (&json!(3), &json!(false)));
    let labels: Vec<&str> = runner["labels"].as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(labels, ["self-hosted", "Linux", "X64", "gpu", "linux-big"]);
    assert_eq!((&runner["labels"][0]["type"], &runner["labels"][3]["type"]), (&json!("read-only"), &json!("custom")));

    machine.take_job().await.unwrap();
    let path = format!("{RUNNERS}/{}", machine.id());
    let busy = octocrab._delete(&path, None::<&()>).await.unwrap();
    assert_eq!(busy.status(), 422);
    assert!(machine.finish_job().await.unwrap());
    assert_eq!(octocrab._delete(&path, None::<&()>).await.unwrap().status(), 204);
    let gone = octocrab.get::<Value, _, ()>(&path, None).await.unwrap_err();
    assert_eq!(refusal(&gone), (404, "Not Found".to_owned()));
    assert!(machine.go_online().await.is_err(), "a deleted runner can't connect");
    assert_eq!(github.count(Endpoint::AccessToken), 1);
}

#[tokio::test]
async fn a_jit_config_brings_a_machine_online_for_one_job() {
    let github = FakeGithub::start(GithubConfig::default()).await.unwrap();
    let octocrab = installation(&github).unwrap();
    let body = json!({"name": "jit-1", "runner_group_id": 1, "labels": ["GPU"]});
    let made: Value = octocrab.post(format!("{RUNNERS}/generate-jitconfig"), Some(&body)).await.unwrap();
    assert_eq!((&made["runner"]["status"], &made["runner"]["labels"]), (&json!("offline"), &json!([{"name": "gpu"}])));
    let command = format!("./run.sh --jitconfig {}", made["encoded_jit_config"].as_str().unwrap());
    let mut machine = github.machine().run_command(&command).await.unwrap();
    assert_eq!((machine.name(), made["runner"]["id"].as_u64()), ("jit-1", Some(machine.id())));
    assert!(github.runner("jit-1").unwrap().online);
    machine.take_job().await.unwrap();
    assert!(!machine.finish_job().await.unwrap());
    assert!(github.runners().is_empty());
}

#[tokio::test]
async fn octocrab_reads_refusals_and_limits_as_from_github() {
    let github = FakeGithub::start(GithubConfig::default()).await.unwrap();
    let octocrab = installation(&github).unwrap();
    github.inject(Endpoint::ListRunners, Fault::MissingPermission, 1);
    let error = octocrab.get::<Value, _, ()>(RUNNERS, None).await.unwrap_err();
    assert_eq!(refusal(&error), (403, "Resource not accessible by integration".to_owned()));
    let limits = octocrab.ratelimit().get().await.unwrap();
    assert_eq!((limits.resources.core.limit, limits.resources.core.used), (5000, 0));
}
