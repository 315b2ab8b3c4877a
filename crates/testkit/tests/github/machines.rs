//! Machines that register, and the controls of a demo.

use std::time::Duration;

use http::Method;
use serde_json::json;
use testkit::github::{ConfigCommand, FakeGithub, GithubConfig, MachineError, ORGANIZATION, RunnerKind, RunnerMachine};

use super::support::{RUNNERS, Rest, answer};

fn status(result: &Result<RunnerMachine, MachineError>) -> Option<u16> {
    match result {
        Err(MachineError::Refused { status, .. }) => Some(status.as_u16()),
        _ => None,
    }
}

#[tokio::test]
async fn a_token_serves_many_machines_for_an_hour_and_then_404s() {
    let rest = Rest::start().await.unwrap();
    let machine = rest.github.machine();
    let command = rest.config("a").await.unwrap();
    machine.config(&command).await.unwrap();
    let second = ConfigCommand { name: "b".into(), ephemeral: true, ..command.clone() };
    assert_eq!(machine.config(&second).await.unwrap().name(), "b");
    assert_eq!(rest.github.runner("b").unwrap().kind, RunnerKind::Ephemeral);
    rest.github.advance(Duration::from_hours(1));
    let late = ConfigCommand { name: "c".into(), ..command.clone() };
    assert_eq!(status(&machine.config(&late).await), Some(404));
    assert_eq!(status(&machine.config(&ConfigCommand { token: "X".into(), ..late }).await), Some(404));
}

#[tokio::test]
async fn a_token_is_good_for_its_own_target_and_purpose() {
    let rest = Rest::start().await.unwrap();
    let machine = rest.github.machine();
    let command = rest.config("a").await.unwrap();
    let elsewhere = ConfigCommand { url: rest.github.html_url("acme-partners/app"), ..command.clone() };
    assert_eq!(status(&machine.config(&elsewhere).await), Some(404));
    let foreign = ConfigCommand { url: "https://github.com/acme-partners".into(), ..command.clone() };
    assert_eq!(status(&machine.config(&foreign).await), Some(404));
    let removal = rest.call(Method::POST, &format!("{RUNNERS}/remove-token"), None).await.unwrap();
    let removal = removal.body["token"].as_str().unwrap();
    let wrong = ConfigCommand { token: removal.into(), ..command.clone() };
    assert_eq!(status(&machine.config(&wrong).await), Some(404));
    let runner = machine.config(&command).await.unwrap();
    assert!(runner.clone().remove(&command.token).await.is_err());
    runner.remove(removal).await.unwrap();
    assert!(rest.github.runners().is_empty());
}

#[tokio::test]
async fn names_and_groups_are_checked_when_a_machine_registers() {
    let rest = Rest::start().await.unwrap();
    let machine = rest.github.machine();
    let command = rest.config("a").await.unwrap();
    let first = machine.config(&command).await.unwrap();
    assert_eq!(status(&machine.config(&command).await), Some(409));
    let replaced = machine.config(&ConfigCommand { replace: true, ..command.clone() }).await.unwrap();
    assert_ne!(first.id(), replaced.id());
    let unknown = ConfigCommand { name: "b".into(), group: Some("gpu pool".into()), ..command.clone() };
    assert_eq!(status(&machine.config(&unknown).await), Some(422));
    assert_eq!(status(&machine.config(&ConfigCommand { name: "b:c".into(), ..command }).await), Some(422));
}

#[tokio::test]
async fn only_an_idle_runner_takes_a_job() {
    let rest = Rest::start().await.unwrap();
    let command = ConfigCommand { ephemeral: true, ..rest.config("a").await.unwrap() };
    let mut machine = rest.github.machine().config(&command).await.unwrap();
    assert!(machine.take_job().await.is_err(), "offline");
    machine.go_online().await.unwrap();
    assert!(machine.finish_job().await.is_err(), "no job");
    machine.take_job().await.unwrap();
    assert!(machine.take_job().await.is_err(), "busy");
    machine.go_offline().await.unwrap();
    let runner = rest.github.runner("a").unwrap();
    assert!(runner.busy && !runner.online);
    assert!(!machine.finish_job().await.unwrap());
    assert!(machine.go_online().await.is_err(), "gone");
}

#[tokio::test]
async fn every_secret_is_known_and_no_call_shows_one() {
    let rest = Rest::start().await.unwrap();
    let command = rest.config("a").await.unwrap();
    rest.github.machine().config(&command).await.unwrap();
    let secrets = rest.github.issued_secrets();
    assert!(secrets.contains(&command.token) && secrets.contains(&rest.token));
    let calls = format!("{:?}", rest.github.calls());
    assert!(secrets.iter().all(|secret| !calls.contains(secret.as_str())));
}

#[tokio::test]
async fn curl_can_play_the_machines_if_allowed() {
    let config = GithubConfig {
        control: true,
        public_url: Some("http://github.internal:9001/".into()),
        ..GithubConfig::default()
    };
    let github = FakeGithub::start(config).await.unwrap();
    let base = format!("http://{}/fake", github.address());
    let http = reqwest::Client::new();
    let token = {
        let app = jsonwebtoken::EncodingKey::from_rsa_pem(github.app_private_key_pem().as_bytes()).unwrap();
        let now = testkit::clock::now().timestamp();
        let claims = json!({"iss": github.app_id(), "iat": now - 60, "exp": now + 60});
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        let jwt = jsonwebtoken::encode(&header, &claims, &app).unwrap();
        let api = format!("http://{}", github.address());
        let post = |path: String, credential: String| http.post(path).header("user-agent", "x").bearer_auth(credential);
        let minted = answer(post(format!("{api}/app/installations/{}/access_tokens", github.installation_id()), jwt));
        let minted = minted.await.unwrap().body["token"].as_str().unwrap().to_owned();
        let token = answer(post(format!("{api}{RUNNERS}/registration-token"), minted)).await.unwrap();
        token.body["token"].as_str().unwrap().to_owned()
    };
    let url = github.html_url(ORGANIZATION);
    assert_eq!(url, "http://github.internal:9001/acme-partners");
    let command = format!("./config.sh --url {url} --token {token} --name a --ephemeral --unattended");
    let machine = answer(http.post(format!("{base}/machines")).json(&json!({"command": command}))).await.unwrap();
    assert_eq!((machine.status, &machine.body["runner"]["online"]), (201, &json!(true)));
    let id = machine.body["runner"]["id"].as_u64().unwrap();
    let post = async |event: &str| answer(http.post(format!("{base}/runners/{id}/{event}"))).await.unwrap();
    assert_eq!(post("job-start").await.body["runner"]["busy"], true);
    let list = answer(http.get(format!("{base}/runners"))).await.unwrap();
    assert_eq!(list.body["runners"][0]["kind"], "ephemeral");
    assert_eq!(post("job-finish").await.status, 200);
    assert_eq!(post("job-start").await.status, 404);
    let wrong = answer(http.post(format!("{base}/machines")).json(&json!({"command": "rm -rf /"}))).await.unwrap();
    assert_eq!((wrong.status, wrong.message()), (422, "no such program: rm"));
    let advanced = answer(http.post(format!("{base}/advance")).json(&json!({"seconds": 60}))).await.unwrap();
    assert_eq!(advanced.status, 200);

    let closed = Rest::start().await.unwrap();
    assert_eq!(closed.get("/fake/runners").await.unwrap().status, 404);
}
