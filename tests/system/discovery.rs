//! Keys that are found through the issuer's metadata, in a real Envoy: metadata that are not there, not the issuer's, or
//! lead to where no keys may come from.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use testkit::issuer::{DevIssuer, DiscoveryFault, IssuerConfig, Mint};
use testkit::system::AUDIENCE;

use crate::lifecycle::{THROUGH, World};

/// `iss` of the issuer's tokens: its metadata are asked for with `:scheme: https`, though no TLS is spoken here.
const ISSUER: &str = "https://idp.example";

async fn issuer() -> anyhow::Result<DevIssuer> {
    DevIssuer::start(IssuerConfig { public_url: Some(ISSUER.into()), ..IssuerConfig::default() }).await
}

async fn start(issuer: DevIssuer, workers: u32) -> anyhow::Result<World> {
    let mut changed = Err(anyhow::anyhow!("the template was not changed"));
    let world = World::believing(issuer, workers, |template| {
        changed = discovering(template).context("the template has no http_uri");
        changed.as_ref().map_or_else(|_| template.to_owned(), Clone::clone)
    })
    .await?;
    changed.map(|_| world)
}

/// The shipped configuration with discovery in the place of the keys' URL, and quick tries.
fn discovering(template: &str) -> Option<String> {
    let (before, rest) = template.split_once("\"http_uri\": {")?;
    let (_, after) = rest.split_once("},")?;
    let uri =
        format!(r#"{{"uri": "{ISSUER}/.well-known/openid-configuration", "cluster": "jwks_http", "timeout": "5s"}}"#);
    let pause = r#""async_fetch": {"failed_refetch_duration": "0.2s"}, "unknown_key_cooldown": "0.2s""#;
    let after = after.replacen("\"cache_duration\": \"300s\"", "\"cache_duration\": \"1s\"", 1);
    Some(format!(r#"{before}"discovery": {{"http_uri": {uri}}}, {pause}, {after}"#))
}

/// What is wrong with the metadata, each time.
fn faults() -> Vec<DiscoveryFault> {
    let leading_to = |uri: &str| DiscoveryFault::JwksUri(uri.to_owned());
    vec![
        DiscoveryFault::Status(500),
        DiscoveryFault::Status(302),
        DiscoveryFault::Garbage,
        DiscoveryFault::Huge,
        DiscoveryFault::Issuer("https://evil.example".into()),
        DiscoveryFault::Issuer(format!("{ISSUER}/")),
        DiscoveryFault::Issuer(String::new()),
        // Keys that anybody on the way could change.
        leading_to("http://idp.example/jwks"),
        leading_to("file:///etc/passwd"),
        leading_to("https://idp.example@evil.example/jwks"),
        leading_to("/jwks"),
        leading_to(""),
    ]
}

/// Waits until the metadata were asked for twice more: the second answer is certainly of the present kind.
async fn asked_again(world: &World) -> anyhow::Result<()> {
    let (before, deadline) = (world.issuer.counts().discovery, Instant::now() + Duration::from_secs(20));
    while world.issuer.counts().discovery < before + 2 {
        anyhow::ensure!(Instant::now() < deadline, "the metadata are not asked for any more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_are_wrong_lead_to_no_keys_and_cost_none() -> anyhow::Result<()> {
    try_join_all([1, 2].map(async |workers| {
        let issuer = issuer().await?;
        issuer.set_discovery_fault(DiscoveryFault::Status(404));
        let world = start(issuer, workers).await?;
        let token = world.token()?;
        for fault in faults() {
            world.issuer.set_discovery_fault(fault.clone());
            asked_again(&world).await?;
            assert_eq!(world.status(&token).await?, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
            assert_eq!(world.issuer.jwks_fetches(), 0, "{fault:?}");
        }
        world.issuer.set_discovery_fault(DiscoveryFault::None);
        world.becomes(THROUGH, &token).await?;
        for fault in faults() {
            world.issuer.set_discovery_fault(fault.clone());
            asked_again(&world).await?;
            let fetches = world.issuer.jwks_fetches();
            asked_again(&world).await?;
            assert_eq!(world.status(&token).await?, THROUGH, "the last good keys hold: {fault:?}");
            assert_eq!(world.issuer.jwks_fetches(), fetches, "{fault:?}");
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}

/// The cluster says where keys come from; the metadata only say what to ask for there.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_lead_elsewhere_lead_to_the_configured_cluster_all_the_same() -> anyhow::Result<()> {
    let (issuer, stranger) = (issuer().await?, issuer().await?);
    issuer.set_discovery_fault(DiscoveryFault::JwksUri(format!("https://{}/jwks", stranger.address())));
    let forged = stranger.mint(&Mint::new("machine-7", AUDIENCE))?;
    let world = start(issuer, 1).await?;
    world.becomes(THROUGH, &world.token()?).await?;
    assert_eq!(world.status(&forged).await?, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.counts().jwks, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_are_slow_are_waited_for() -> anyhow::Result<()> {
    let issuer = issuer().await?;
    issuer.set_discovery_fault(DiscoveryFault::Slow(Duration::from_millis(1500)));
    let world = start(issuer, 1).await?;
    assert_eq!(world.status(&world.token()?).await?, THROUGH);
    Ok(())
}
