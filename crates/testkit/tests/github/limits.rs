//! Rate limits as they come about by themselves.

use std::time::Duration;

use testkit::github::{Endpoint, FakeGithub, Fault, GithubConfig, Limits};

use super::support::{RUNNERS, Rest};

async fn start(limits: Limits) -> anyhow::Result<Rest> {
    Rest::of(FakeGithub::start(GithubConfig { limits, ..GithubConfig::default() }).await?).await
}

#[tokio::test]
async fn the_hourly_limit_is_told_and_recovers() {
    let rest = start(Limits { per_hour: 2, ..Limits::DOCUMENTED }).await.unwrap();
    let first = rest.get(RUNNERS).await.unwrap();
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), ("2", "1"));
    rest.get(RUNNERS).await.unwrap();
    let refused = rest.get(RUNNERS).await.unwrap();
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (403, "0"));
    assert!(refused.message().starts_with("API rate limit exceeded"));
    assert!(refused.header("x-ratelimit-reset").parse::<i64>().unwrap() > testkit::clock::now().timestamp());
    assert_eq!(rest.get("/rate_limit").await.unwrap().body["rate"]["remaining"], 0);
    rest.github.set_limits(Limits::NONE);
    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
}

#[tokio::test]
async fn writes_weigh_more_in_a_minute() {
    let rest = start(Limits { points_per_minute: 7, ..Limits::DOCUMENTED }).await.unwrap();
    rest.registration_token().await.unwrap();
    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
    let refused = rest.get(RUNNERS).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.message().contains("secondary rate limit"));
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    rest.github.advance(Duration::from_mins(1));
    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
}

#[tokio::test]
async fn too_many_at_the_same_time_are_refused() {
    let rest = start(Limits { concurrent: 1, ..Limits::DOCUMENTED }).await.unwrap();
    rest.github.inject(Endpoint::ListRunners, Fault::HangBeforeCommit(Duration::from_millis(500)), 1);
    let second = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        rest.get("/rate_limit").await
    };
    let (first, second) = tokio::join!(rest.get(RUNNERS), second);
    assert_eq!((first.unwrap().status, second.unwrap().status), (200, 403));
    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
}
