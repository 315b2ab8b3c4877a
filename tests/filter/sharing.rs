//! What another plugin with the same VM id can do, as all of a proxy's have it in Istio: it writes to the data that the
//! filter's workers share.

use std::time::{Duration, Instant};

use authn::config::Config;
use authn::{Gate, Lease, SharedKeys};
use serde_json::{Value, json};
use testkit::issuer::{DevIssuer, IssuerConfig, Mint};
use testkit::system::edge::{Edge, Listener, Paths, ours, to_upstream, wasm};
use testkit::system::path;

use crate::echo;
use crate::wire::{Client, Request};

const AUDIENCE: &str = "runners";

/// The filter and a hostile plugin in one Envoy, an issuer, and another one that would like to be it.
struct World {
    _edge: Edge,
    issuer: DevIssuer,
    stranger: DevIssuer,
    filter: Client,
    plugin: Client,
    configuration: Value,
}

impl World {
    /// `identity` is a part of the filter's configuration.
    async fn start(identity: Value) -> anyhow::Result<Self> {
        let (issuer, stranger) =
            (DevIssuer::start(IssuerConfig::default()).await?, DevIssuer::start(IssuerConfig::default()).await?);
        let configuration = configuration(&issuer, identity);
        let module = path("SIGNATURE_JUDGE_WASM")?.display().to_string();
        let filters = [("filter", ours("filter", &configuration)), ("plugin", wasm("plugin", &module, &json!({})))];
        let listener = |(name, mut filter): (&str, Value)| {
            if let Some(id) = filter.pointer_mut("/typed_config/config/vm_config/vm_id") {
                *id = json!("one for all");
            }
            Listener { name: name.into(), paths: Paths::AsTheyCame, filters: vec![filter], then: to_upstream() }
        };
        let listeners = filters.map(listener);
        let edge = Edge::start_with(&listeners, echo::start().await?, &[("idp", issuer.address())]).await?;
        let filter = Client::new(edge.address("filter").await?);
        let plugin = Client::new(edge.address("plugin").await?);
        Ok(Self { _edge: edge, issuer, stranger, filter, plugin, configuration })
    }

    /// Where the records of a filter with this configuration and signing key lie.
    fn records(&self, signing_key: &str) -> anyhow::Result<String> {
        let config = Config::parse(self.configuration.to_string().as_bytes())?;
        let gate = Gate::new(config, |_| Some(signing_key.to_owned()))?;
        Ok(gate
            .providers()
            .iter()
            .find_map(authn::Provider::remote)
            .map(authn::Remote::shared_name)
            .unwrap_or_default())
    }

    async fn write(&mut self, record: &str, value: &[u8]) -> anyhow::Result<()> {
        let request = Request::get("/").header("x-shared-name", record).header("x-shared-value", hex::encode(value));
        assert_eq!(self.plugin.send(&request).await?.status, 200);
        Ok(())
    }

    async fn status(&mut self, token: &str) -> anyhow::Result<u16> {
        let request = Request::get("/x").header("authorization", format!("Bearer {token}"));
        Ok(self.filter.send(&request).await?.status)
    }

    /// A token that only a filter which has just fetched keys can verify passes soon, and a forged one never does.
    async fn goes_on(&mut self, after: &str) -> anyhow::Result<()> {
        self.issuer.rotate()?;
        let token = self.issuer.mint(&Mint::new("machine-7", AUDIENCE))?;
        let issuer = Some(self.issuer.issuer().to_owned());
        let forged = self.stranger.mint(&Mint { issuer, ..Mint::new("machine-7", AUDIENCE) })?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.status(&token).await? != 200 {
            assert!(Instant::now() < deadline, "no keys are fetched any more after {after}");
            assert_ne!(self.status(&forged).await?, 200, "after {after}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_ne!(self.status(&forged).await?, 200, "after {after}");
        Ok(())
    }
}

fn configuration(issuer: &DevIssuer, identity: Value) -> Value {
    let uri = json!({"uri": issuer.jwks_uri(), "cluster": "idp", "timeout": "1s"});
    let remote = json!({
        "http_uri": uri, "cache_duration": "1s", "unknown_key_cooldown": "0.5s",
        "async_fetch": {"failed_refetch_duration": "0.5s"},
    });
    json!({
        "providers": {"idp": {"issuer": issuer.issuer(), "audiences": [AUDIENCE], "remote_jwks": remote}},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
        "identity": identity,
    })
}

fn millis_from_now(offset: i64) -> u64 {
    u64::try_from(testkit::clock::now().timestamp_millis().saturating_add(offset)).unwrap_or_default()
}

/// Even where the plugin knows the whole configuration and there is no signing key, so that it finds the records.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_shared_data_neither_becomes_keys_nor_stops_fetching() -> anyhow::Result<()> {
    let mut world = World::start(json!({})).await?;
    world.goes_on("the start").await?;
    let name = world.records("")?;
    let (keys, lease) = (format!("{name}:keys"), format!("{name}:lease"));
    let forged = world.stranger.jwks().to_string();
    let shared = |fetched_at: u64, document: &str| {
        SharedKeys { fetched_at, max_age: Some(Duration::from_hours(1)), document: document.as_bytes() }.encode()
    };
    for (what, record, value) in [
        ("an empty record", &keys, vec![]),
        ("bytes", &keys, vec![0xff; 4000]),
        ("no key set", &keys, shared(millis_from_now(0), "<html>")),
        ("a set without a usable key", &keys, shared(millis_from_now(0), r#"{"keys":[]}"#)),
        ("keys from the future", &keys, shared(millis_from_now(3_600_000), &forged)),
        ("keys from the end of time", &keys, shared(u64::MAX, &forged)),
        ("keys from long ago", &keys, shared(1, &forged)),
        ("a lease without end", &lease, Lease::Fetching(u64::MAX).encode()),
        ("a failure without end", &lease, Lease::Failed(u64::MAX).encode()),
        ("a lease of two hours", &lease, Lease::Fetching(millis_from_now(7_200_000)).encode()),
        ("a lease of two seconds", &lease, Lease::Fetching(millis_from_now(2000)).encode()),
        ("no lease", &lease, vec![1, 2, 3]),
    ] {
        world.write(record, &value).await?;
        world.goes_on(what).await?;
    }
    Ok(())
}

/// With an assertion, whose key is the filter's alone, the plugin does not find the records, though it knows the rest.
#[tokio::test(flavor = "multi_thread")]
async fn forged_keys_in_shared_data_are_not_found_by_a_filter_with_a_signing_key() -> anyhow::Result<()> {
    let mut world = World::start(json!({"assertion": {}})).await?;
    world.goes_on("the start").await?;
    let forged = world.stranger.jwks().to_string();
    let another = identity::KeyPair::generate()?.private_pem;
    for _ in 0..5 {
        let keys = SharedKeys { fetched_at: millis_from_now(0), max_age: None, document: forged.as_bytes() };
        let name = world.records(&another)?;
        world.write(&format!("{name}:keys"), &keys.encode()).await?;
        world.goes_on("forged keys").await?;
    }
    Ok(())
}
