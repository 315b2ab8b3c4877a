//! Envoy with any number of listeners, each with its HTTP filters, and nothing else of the system: for what is about
//! the filter alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::envoy::{Envoy, EnvoyOptions, Issuer};
use super::process::Process;
use super::scope::Scope;
use super::tools::path;

/// How Envoy reads paths before any filter sees them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    /// As they came: the filter is on its own.
    AsTheyCame,
    /// As the shipped configuration has it.
    Normalised,
}

/// One listener.
pub struct Listener {
    /// Its name, for [`Edge::address`].
    pub name: String,
    /// How Envoy reads paths before.
    pub paths: Paths,
    /// The HTTP filters before the router, as they stand in `http_filters`.
    pub filters: Vec<Value>,
    /// What becomes of every request that passes, as a member of Envoy's `Route`: [`to_upstream`] or an answer.
    pub then: Value,
}

/// A running Envoy with its upstream.
pub struct Edge {
    envoy: Envoy,
    _scope: Arc<Scope>,
}

impl Edge {
    /// Starts one worker, so that all filters of a comparison share a thread and a clock. The upstream is
    /// [`to_upstream`]'s.
    pub async fn start(listeners: &[Listener], upstream: SocketAddr) -> anyhow::Result<Self> {
        Self::start_with(listeners, upstream, &[]).await
    }

    /// The same with further clusters, such as where keys are fetched.
    pub async fn start_with(
        listeners: &[Listener],
        upstream: SocketAddr,
        clusters: &[(&str, SocketAddr)],
    ) -> anyhow::Result<Self> {
        let scope = Arc::new(Scope::new()?);
        let options = EnvoyOptions {
            binary: path("ENVOY_BIN")?,
            filter: path("FILTER_WASM")?,
            template: config(listeners, &[&[("upstream", upstream)], clusters].concat()).to_string(),
            // The template has no place for these.
            issuer: Issuer { issuer: String::new(), audience: String::new(), jwks_url: "http://127.0.0.1/".into() },
            control_plane: ("127.0.0.1".into(), upstream.port()),
            signing_key: identity::KeyPair::generate()?.private_pem,
            concurrency: 1,
        };
        Ok(Self { envoy: Envoy::start(&options, &scope).await?, _scope: scope })
    }

    /// Where a listener listens.
    pub async fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let listeners = self.admin("/listeners?format=json").await?;
        let listeners: Value = serde_json::from_str(&listeners)?;
        let all = listeners.get("listener_statuses").and_then(Value::as_array).context("no listeners")?;
        let listener = all.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name));
        let port = listener.and_then(|one| one.pointer("/local_address/socket_address/port_value"));
        let port = port.and_then(Value::as_u64).with_context(|| format!("no listener {name}"))?;
        Ok(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?)))
    }

    /// Statistics whose names match, as `name: value` lines.
    pub async fn stats(&self, names: &str) -> anyhow::Result<String> {
        self.admin(&format!("/stats?filter={names}")).await
    }

    /// Looks until these statistics say so: the filter tells Envoy its counts a few times a second, not at once.
    pub async fn until_stats(&self, names: &str, expected: &str) -> anyhow::Result<()> {
        let mut found = String::new();
        for _ in 0..500 {
            found = self.stats(names).await?;
            if found.trim() == expected {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{names}: {found} instead of {expected}")
    }

    /// All of its configuration, as it prints it.
    pub async fn configuration(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.admin("/config_dump").await?)?)
    }

    /// Has it log everything that modules say.
    pub async fn log_modules(&self) -> anyhow::Result<()> {
        let url = format!("{}/logging?wasm=debug", self.envoy.admin_url());
        reqwest::Client::new().post(url).send().await?.error_for_status()?;
        Ok(())
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        self.envoy.process()
    }

    async fn admin(&self, path: &str) -> anyhow::Result<String> {
        Ok(reqwest::get(format!("{}{path}", self.envoy.admin_url())).await?.error_for_status()?.text().await?)
    }
}

/// For [`Listener::then`]: what passes goes to the upstream.
pub fn to_upstream() -> Value {
    json!({"route": {"cluster": "upstream"}})
}

/// This project's filter with this configuration, in a VM of its own.
pub fn ours(name: &str, configuration: &Value) -> Value {
    wasm(name, "${FILTER_PATH}", configuration)
}

/// A proxy-wasm module with this configuration, in a VM of its own.
pub fn wasm(name: &str, module: &str, configuration: &Value) -> Value {
    let value = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration.to_string()});
    json!({"name": "oidc", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": name, "root_id": name, "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "vm_id": name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
                "environment_variables": {"host_env_keys": ["IDENTITY_SIGNING_KEY"]},
            },
            "configuration": value,
        },
    }})
}

/// Envoy's own filter with this configuration.
pub fn native(configuration: &Value) -> Value {
    let kind = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
    let mut typed_config = configuration.clone();
    if let Some(members) = typed_config.as_object_mut() {
        members.insert("@type".into(), kind.into());
    }
    json!({"name": "envoy.filters.http.jwt_authn", "typed_config": typed_config})
}

fn config(listeners: &[Listener], clusters: &[(&str, SocketAddr)]) -> Value {
    let address = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let cluster = |(name, at): &(&str, SocketAddr)| {
        let endpoint = json!({"endpoint": {"address": address(at.port())}});
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "2s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        })
    };
    let listeners: Vec<Value> = listeners
        .iter()
        .map(|one| json!({"name": one.name, "address": address(0), "filter_chains": [{"filters": [manager(one)]}]}))
        .collect();
    json!({
        "admin": {"address": address(0)},
        "static_resources": {
            "listeners": listeners,
            "clusters": clusters.iter().map(cluster).collect::<Vec<_>>(),
        },
    })
}

fn manager(listener: &Listener) -> Value {
    let normalised = listener.paths == Paths::Normalised;
    let mut route = listener.then.clone();
    if let Some(members) = route.as_object_mut() {
        members.insert("match".into(), json!({"prefix": "/"}));
    }
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
    }});
    let filters: Vec<&Value> = listener.filters.iter().chain([&router]).collect();
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type":
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": listener.name,
        "normalize_path": normalised,
        "merge_slashes": normalised,
        "path_with_escaped_slashes_action": if normalised { "REJECT_REQUEST" } else { "KEEP_UNCHANGED" },
        "route_config": {"virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [route]},
        ]},
        "http_filters": filters,
    }})
}
