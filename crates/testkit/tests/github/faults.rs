//! Every kind of fault, as a client meets it.

use std::time::Duration;

use serde_json::json;
use testkit::github::{Endpoint, Fault};

use super::support::{RUNNERS, Rest};

fn body(name: &str) -> serde_json::Value {
    json!({"name": name, "runner_group_id": 1, "labels": ["linux"]})
}

#[tokio::test]
async fn before_commit_nothing_changes_after_commit_the_answer_is_lost() {
    let rest = Rest::start().await.unwrap();
    rest.github.inject(Endpoint::JitConfig, Fault::BeforeCommit(502), 2);
    for _ in 0..2 {
        assert_eq!(rest.jit(body("a")).await.unwrap().status, 502);
    }
    assert!(rest.github.runner("a").is_none());
    rest.github.inject(Endpoint::JitConfig, Fault::AfterCommit(500), 1);
    let lost = rest.jit(body("a")).await.unwrap();
    assert_eq!((lost.status, lost.message()), (500, "Server Error"));
    assert!(rest.github.runner("a").is_some());
    assert_eq!(rest.jit(body("a")).await.unwrap().status, 409, "a blind retry finds the first one");
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_what_was_committed() {
    let rest = Rest::start().await.unwrap();
    let patience = Duration::from_millis(200);
    rest.github.inject(Endpoint::JitConfig, Fault::HangBeforeCommit(Duration::from_secs(20)), 1);
    assert!(tokio::time::timeout(patience, rest.jit(body("before"))).await.is_err());
    rest.github.inject(Endpoint::JitConfig, Fault::HangAfterCommit(Duration::from_secs(20)), 1);
    assert!(tokio::time::timeout(patience, rest.jit(body("after"))).await.is_err());
    assert!(rest.github.runner("before").is_none() && rest.github.runner("after").is_some());
    let calls = rest.github.calls();
    let unanswered = calls.iter().filter(|call| call.status.is_none()).count();
    assert_eq!((rest.github.count(Endpoint::JitConfig), unanswered), (2, 2));
}

#[tokio::test]
async fn answers_may_be_cut_off_or_replaced() {
    let rest = Rest::start().await.unwrap();
    rest.github.inject(Endpoint::JitConfig, Fault::CutOff, 1);
    assert!(rest.jit(body("cut")).await.is_err());
    assert!(rest.github.runner("cut").is_some());
    rest.github.inject(Endpoint::ListRunners, Fault::Body("<html>".into()), 1);
    let garbage = rest.get(RUNNERS).await.unwrap();
    assert_eq!((garbage.status, garbage.body), (200, json!("<html>")));
}

#[tokio::test]
async fn limits_can_be_ordered_in_every_form() {
    let rest = Rest::start().await.unwrap();
    rest.github.inject(Endpoint::Any, Fault::PrimaryLimit(429, Duration::from_mins(10)), 1);
    let primary = rest.get(RUNNERS).await.unwrap();
    assert_eq!((primary.status, primary.header("x-ratelimit-remaining")), (429, "0"));
    let until: i64 = primary.header("x-ratelimit-reset").parse().unwrap();
    assert!((590..=600).contains(&(until - testkit::clock::now().timestamp())));
    rest.github.inject(Endpoint::Any, Fault::SecondaryLimit(403, Some(Duration::from_secs(7))), 1);
    let secondary = rest.get(RUNNERS).await.unwrap();
    assert_eq!((secondary.status, secondary.header("retry-after")), (403, "7"));
    assert_ne!(secondary.header("x-ratelimit-remaining"), "0");
    rest.github.inject(Endpoint::Any, Fault::SecondaryLimit(429, None), 1);
    let vague = rest.get(RUNNERS).await.unwrap();
    assert_eq!((vague.status, vague.header("retry-after")), (429, ""));
    assert!(vague.message().contains("secondary rate limit"));
}

#[tokio::test]
async fn refusals_can_be_ordered_for_one_endpoint_and_forgotten() {
    let rest = Rest::start().await.unwrap();
    rest.github.inject(Endpoint::ListRunners, Fault::SuspendedInstallation, 1);
    rest.github.inject(Endpoint::ListRunners, Fault::MissingPermission, 5);
    assert_eq!(rest.jit(body("a")).await.unwrap().status, 201, "another endpoint");
    assert_eq!(rest.get(RUNNERS).await.unwrap().message(), "This installation has been suspended");
    let missing = rest.get(RUNNERS).await.unwrap();
    assert_eq!((missing.status, missing.message()), (403, "Resource not accessible by integration"));
    rest.github.clear_faults();
    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_fresh_token_may_be_refused_at_first() {
    let mut rest = Rest::start().await.unwrap();
    rest.github.inject(Endpoint::AccessToken, Fault::FreshTokenRefused(Duration::from_secs(3)), 1);
    let fresh = rest.access_token().await.unwrap();
    rest.token = fresh.token().unwrap();
    let early = rest.get(RUNNERS).await.unwrap();
    assert_eq!((early.status, early.message()), (401, "Bad credentials"));
    rest.github.advance(Duration::from_secs(3));
    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
}

#[tokio::test]
async fn listings_may_lag_behind() {
    let rest = Rest::start().await.unwrap();
    let lag = Duration::from_secs(30);
    rest.github.inject(Endpoint::JitConfig, Fault::ReplicationLag(lag), 1);
    rest.github.inject(Endpoint::MachineRegistration, Fault::ReplicationLag(lag), 1);
    rest.jit(body("a")).await.unwrap();
    rest.github.machine().config(&rest.config("b").await.unwrap()).await.unwrap();
    assert_eq!(rest.get(RUNNERS).await.unwrap().body["total_count"], 0);
    assert_eq!(rest.get(&format!("{RUNNERS}?name=a")).await.unwrap().body["total_count"], 0);
    assert_eq!(rest.jit(body("a")).await.unwrap().status, 409, "the name is taken all the same");
    rest.github.advance(lag);
    assert_eq!(rest.get(RUNNERS).await.unwrap().body["total_count"], 2);
}

#[tokio::test]
async fn a_runner_may_look_busy_when_it_is_to_be_deleted() {
    let rest = Rest::start().await.unwrap();
    let id = rest.github.add_runner("acme-partners", "old", &[]);
    rest.github.inject(Endpoint::DeleteRunner, Fault::PhantomBusy(Duration::from_mins(2)), 1);
    assert_eq!(rest.delete(id).await.unwrap().status, 422);
    assert_eq!(rest.delete(id).await.unwrap().status, 422, "it lasts");
    rest.github.advance(Duration::from_mins(2));
    assert_eq!(rest.delete(id).await.unwrap().status, 204);
}
