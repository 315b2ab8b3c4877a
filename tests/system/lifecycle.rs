//! The life of an issuer's keys in a real Envoy, with one worker and with two: the issuer is down, slow, wrong, or has
//! other keys. The upstream is the issuer itself, which answers 404 to what it is asked here: that is "let through".

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::issuer::{DevIssuer, IssuerConfig, JwksFault, KeyId, Mint};
use testkit::system::{AUDIENCE, Envoy, EnvoyOptions, Issuer, Scope, TEMPLATE, Tools};

use crate::support::{Answer, answer, request, until};

pub(crate) const THROUGH: StatusCode = StatusCode::NOT_FOUND;
const WORKERS: [u32; 2] = [1, 2];

/// Keys are renewed every second and go stale after five.
const QUICK: &str = "\"cache_duration\": \"1s\", \"unknown_key_cooldown\": \"1s\", \"stale_limit\": \"5s\"";

/// An issuer and an Envoy that believes it.
pub(crate) struct World {
    pub(crate) envoy: Envoy,
    pub(crate) issuer: DevIssuer,
    pub(crate) scope: Arc<Scope>,
}

impl World {
    async fn start(workers: u32, fault: JwksFault) -> anyhow::Result<Self> {
        let issuer = DevIssuer::start(IssuerConfig::default()).await?;
        issuer.set_fault(fault);
        Self::believing(issuer, workers, |template| template.replace("\"cache_duration\": \"300s\"", QUICK)).await
    }

    /// With the shipped configuration as this function changes it.
    pub(crate) async fn believing(
        issuer: DevIssuer,
        workers: u32,
        change: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<Self> {
        let (tools, scope) = (Tools::from_env()?, Arc::new(Scope::new()?));
        let options = EnvoyOptions {
            binary: tools.envoy,
            filter: tools.filter,
            template: change(TEMPLATE),
            issuer: Issuer {
                issuer: issuer.issuer().to_owned(),
                audience: AUDIENCE.to_owned(),
                // Where it is, whatever it calls itself.
                jwks_url: format!("http://{}/jwks", issuer.address()),
            },
            control_plane: (issuer.address().ip().to_string(), issuer.address().port()),
            signing_key: identity::KeyPair::generate()?.private_pem,
            concurrency: workers,
        };
        let envoy = Envoy::start(&options, &scope).await?;
        Ok(Self { envoy, issuer, scope })
    }

    pub(crate) async fn call(&self, token: &str) -> anyhow::Result<Answer> {
        answer(request(Method::GET, self.envoy.edge_url(), "/api/anything").bearer_auth(token)).await
    }

    pub(crate) async fn status(&self, token: &str) -> anyhow::Result<StatusCode> {
        Ok(self.call(token).await?.status)
    }

    pub(crate) fn token(&self) -> anyhow::Result<String> {
        self.issuer.mint(&Mint::new("machine-7", AUDIENCE))
    }

    /// Until every worker says so: new connections, several times in a row.
    pub(crate) async fn becomes(&self, status: StatusCode, token: &str) -> anyhow::Result<()> {
        let (deadline, mut in_a_row) = (Instant::now() + Duration::from_secs(20), 0);
        while in_a_row < 8 {
            in_a_row = if self.status(token).await? == status { in_a_row + 1 } else { 0 };
            if in_a_row == 0 {
                assert!(Instant::now() < deadline, "never became {status}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down_at_the_start_is_waited_for() -> anyhow::Result<()> {
    try_join_all(WORKERS.map(async |workers| {
        let world = World::start(workers, JwksFault::Status(500)).await?;
        let token = world.token()?;
        world.becomes(StatusCode::SERVICE_UNAVAILABLE, &token).await?;
        let answer = world.call(&token).await?;
        assert_eq!(answer.text("type")?, "/problems/keys-unavailable");
        assert_eq!(answer.retry_after.as_deref(), Some("5"));
        world.issuer.set_fault(JwksFault::None);
        world.becomes(THROUGH, &token).await?;
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_fails_later_is_done_without_until_its_keys_are_stale() -> anyhow::Result<()> {
    let faults =
        [(1, JwksFault::Status(500)), (2, JwksFault::Garbage), (1, JwksFault::Huge), (2, JwksFault::Body("{}".into()))];
    try_join_all(faults.map(async |(workers, fault)| {
        let world = World::start(workers, JwksFault::None).await?;
        let token = world.token()?;
        world.becomes(THROUGH, &token).await?;
        world.issuer.set_fault(fault.clone());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(world.status(&token).await?, THROUGH, "{fault:?}");
        world.becomes(StatusCode::SERVICE_UNAVAILABLE, &token).await?;
        world.issuer.set_fault(JwksFault::None);
        world.becomes(THROUGH, &token).await?;
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_issuer_is_waited_for_but_not_for_ever() -> anyhow::Result<()> {
    try_join_all(WORKERS.map(async |workers| {
        let world = World::start(workers, JwksFault::None).await?;
        world.becomes(THROUGH, &world.token()?).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.issuer.set_fault(JwksFault::Slow(Duration::from_secs(1)));
        world.issuer.rotate()?;
        world.becomes(THROUGH, &world.token()?).await?;

        world.issuer.set_fault(JwksFault::Slow(Duration::from_secs(20)));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        world.issuer.rotate()?;
        let started = Instant::now();
        assert_ne!(world.status(&world.token()?).await?, THROUGH);
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_key_counts_no_longer_although_its_token_was_remembered() -> anyhow::Result<()> {
    try_join_all(WORKERS.map(async |workers| {
        let world = World::start(workers, JwksFault::None).await?;
        let old = world.token()?;
        world.becomes(THROUGH, &old).await?;
        world.issuer.rotate()?;
        world.becomes(THROUGH, &world.token()?).await?;
        world.becomes(THROUGH, &old).await?;
        world.issuer.retire_old_keys();
        world.becomes(StatusCode::UNAUTHORIZED, &old).await?;
        world.becomes(THROUGH, &world.token()?).await?;
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}

/// As an issuer may publish it that has keys of kinds which are not known here.
#[tokio::test(flavor = "multi_thread")]
async fn bad_entries_of_a_key_set_are_skipped_and_counted_and_the_others_count() -> anyhow::Result<()> {
    let issuer = DevIssuer::start(IssuerConfig::default()).await?;
    let mut keys = issuer.jwks();
    let list = keys.get_mut("keys").and_then(serde_json::Value::as_array_mut).context("no keys")?;
    list.splice(0..0, [json!(7), json!({"kty": "oct", "k": "AAAA"}), json!({"kty": "RSA", "n": "AAAA", "e": "AQAB"})]);
    issuer.set_fault(JwksFault::Body(keys.to_string()));
    let world = World::believing(issuer, 1, str::to_owned).await?;
    world.becomes(THROUGH, &world.token()?).await?;
    let skipped = async || {
        let stats = request(Method::GET, world.envoy.admin_url(), "/stats?filter=keys.skipped").send().await?;
        Ok(stats.text().await?.trim() == "wasmcustom.oidc_filter.keys.skipped: 3")
    };
    until("three entries are counted", Duration::from_secs(5), skipped).await?;
    Ok(())
}

/// Though `cache_duration` is five minutes, as shipped.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_how_long_it_is_fresh_is_renewed_before_that() -> anyhow::Result<()> {
    for (cache_control, renewed) in [("max-age=1", true), ("no-store", true), ("max-age=3600", false)] {
        let issuer = DevIssuer::start(IssuerConfig::default()).await?;
        issuer.set_cache_control(Some(cache_control));
        let world = World::believing(issuer, 1, str::to_owned).await?;
        world.becomes(THROUGH, &world.token()?).await?;
        let fetches = world.issuer.jwks_fetches();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(world.issuer.jwks_fetches() >= fetches + 2, renewed, "{cache_control}");
    }
    Ok(())
}

/// A stream that has gone while it waited is neither resumed nor answered, and nothing breaks.
#[tokio::test(flavor = "multi_thread")]
async fn callers_that_hang_up_while_they_wait_do_no_harm() -> anyhow::Result<()> {
    let mut world = World::start(2, JwksFault::None).await?;
    world.becomes(THROUGH, &world.token()?).await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.issuer.set_fault(JwksFault::Slow(Duration::from_millis(800)));
    let (deadline, mut hung_up) = (Instant::now() + Duration::from_secs(30), 0);
    for number in 0.. {
        // While the keys are fetched an invented one is waited for; otherwise it may be refused at once.
        let key_id = KeyId::Other(format!("invented-{number}"));
        let token = world.issuer.mint(&Mint { key_id, ..Mint::new("machine-7", AUDIENCE) })?;
        let call = request(Method::GET, world.envoy.edge_url(), "/api/anything").bearer_auth(&token);
        hung_up += i32::from(call.timeout(Duration::from_millis(50)).send().await.is_err());
        if hung_up >= 10 {
            break;
        }
        assert!(Instant::now() < deadline, "only {hung_up} calls waited");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.issuer.set_fault(JwksFault::None);
    world.becomes(THROUGH, &world.token()?).await?;
    assert!(world.envoy.process().ended().is_none());
    assert!(!world.envoy.process().log().contains("critical"), "{}", world.envoy.process().log_end());
    drop(world.scope);
    Ok(())
}
