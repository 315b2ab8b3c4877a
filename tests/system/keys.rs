//! The issuer's keys, as they come, change and fail to come.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use reqwest::StatusCode;
use std::sync::Arc;
use testkit::issuer::{Algorithm, JwksFault, KeyId, Mint};
use testkit::system::{AUDIENCE, OidcProvider, Scope, System, SystemOptions};

use crate::support::{list_with, token_of};

async fn status(system: &System, mint: &Mint) -> anyhow::Result<StatusCode> {
    Ok(list_with(system, &system.issuer().mint(mint)?).await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_certified_issuer_are_accepted_in_every_algorithm() -> anyhow::Result<()> {
    let scope = Arc::new(Scope::new()?);
    let certified = OidcProvider::start(AUDIENCE, &scope).await?;
    let believe = Some(certified.issuer().clone());
    let system = System::start(SystemOptions { believe, ..SystemOptions::default() }).await?;
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let answer = list_with(&system, &certified.token(algorithm).await?).await?;
        assert_eq!(answer.status, StatusCode::OK, "{}: {}", algorithm.name(), answer.body);
    }
    assert_eq!(list_with(&system, &token_of(&system, "team-blue")?).await?.status, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_when_its_first_token_comes() -> anyhow::Result<()> {
    let system = System::start(SystemOptions::default()).await?;
    let before = Mint::new("team-blue", AUDIENCE);
    assert_eq!(status(&system, &before).await?, StatusCode::OK);
    wait_out_the_cooldown().await;
    system.issuer().rotate()?;
    let started = Instant::now();
    assert_eq!(status(&system, &before).await?, StatusCode::OK);
    assert!(started.elapsed() < Duration::from_secs(3), "the request waited for the keys only");
    Ok(())
}

/// Coalesced over both workers: whoever comes while keys are fetched waits for the same fetch.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_with_a_new_key_waits_for_one_fetch() -> anyhow::Result<()> {
    let system = System::start(SystemOptions { envoy_concurrency: 2, ..SystemOptions::default() }).await?;
    wait_out_the_cooldown().await;
    let fetches = system.issuer().jwks_fetches();
    system.issuer().rotate()?;
    system.issuer().set_fault(JwksFault::Slow(Duration::from_millis(500)));
    let crowd = (0..60).map(async |number| status(&system, &Mint::new(&format!("team-{number}"), AUDIENCE)).await);
    let answers = try_join_all(crowd).await?;
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
    assert_eq!(system.issuer().jwks_fetches() - fetches, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_invented_keys_costs_the_issuer_one_fetch() -> anyhow::Result<()> {
    let system = System::start(SystemOptions { envoy_concurrency: 2, ..SystemOptions::default() }).await?;
    wait_out_the_cooldown().await;
    let fetches = system.issuer().jwks_fetches();
    let flood = (0..200).map(async |number| {
        let key_id = KeyId::Other(format!("invented-{number}"));
        status(&system, &Mint { key_id, algorithm: Algorithm::Es256, ..Mint::new("team-blue", AUDIENCE) }).await
    });
    let mut answers = Vec::new();
    for one in flood {
        answers.push(one.await?);
    }
    assert!(answers.iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{answers:?}");
    assert!(system.issuer().jwks_fetches() - fetches <= 1, "{}", system.issuer().jwks_fetches() - fetches);
    Ok(())
}

/// The filter asks for keys again at the earliest 5 s after the last time.
async fn wait_out_the_cooldown() {
    tokio::time::sleep(Duration::from_millis(5500)).await;
}
