//! Envoy with the filter.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::process::{Process, Program};
use super::scope::Scope;
use super::template::render;

/// The configuration that is shipped.
pub const TEMPLATE: &str = include_str!("../../../../envoy/envoy.yaml");
/// Compiling the module takes a second or two; a machine under load needs more.
const START: Duration = Duration::from_mins(1);
/// Where systems keep the certificates that they trust; the demo's issuer speaks plain HTTP, but Envoy wants the file.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Who is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` that its tokens must have.
    pub audience: String,
    /// Where its keys are.
    pub jwks_url: String,
}

/// How to start Envoy.
pub struct EnvoyOptions {
    /// The binary.
    pub binary: PathBuf,
    /// The filter's module.
    pub filter: PathBuf,
    /// The configuration with its places; [`TEMPLATE`] is the shipped one.
    pub template: String,
    /// Who is believed.
    pub issuer: Issuer,
    /// Host and port of the control plane.
    pub control_plane: (String, u16),
    /// PKCS#8 PEM with which the filter signs assertions.
    pub signing_key: String,
    /// Worker threads.
    pub concurrency: u32,
}

/// A running Envoy; it stops when it is dropped.
pub struct Envoy {
    process: Process,
    admin_url: String,
    edge_url: String,
}

impl Envoy {
    /// Starts it on free ports and waits until it is ready.
    pub async fn start(options: &EnvoyOptions, scope: &Arc<Scope>) -> anyhow::Result<Self> {
        let config = scope.directory().join("envoy.yaml");
        let address = scope.directory().join("envoy-admin-address");
        fs::write(&config, render(&options.template, &values(options)?)?)?;
        let mut process = Program::new("envoy", &options.binary)
            .args(["--disable-hot-restart", "--log-level", "warn", "--concurrency", &options.concurrency.to_string()])
            .arg_path("--config-path", &config)
            .arg_path("--admin-address-path", &address)
            .envs([("IDENTITY_SIGNING_KEY", &options.signing_key)])
            .start(scope)?;
        let admin = process
            .until("its admin port", START, async |_| fs::read_to_string(&address).ok().filter(|text| !text.is_empty()))
            .await?;
        let admin_url = format!("http://{}", admin.trim());
        let client = reqwest::Client::new();
        process.until("being ready", START, async |_| is_ready(&client, &admin_url).await.then_some(())).await?;
        let edge_url = edge_url(&client, &admin_url).await?;
        Ok(Self { process, admin_url, edge_url })
    }

    /// Base URL of its operator's interface.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Base URL for clients.
    pub fn edge_url(&self) -> &str {
        &self.edge_url
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

async fn is_ready(client: &reqwest::Client, admin_url: &str) -> bool {
    client.get(format!("{admin_url}/ready")).send().await.is_ok_and(|answer| answer.status().is_success())
}

/// Envoy took a free port; only its operator's interface says which.
async fn edge_url(client: &reqwest::Client, admin_url: &str) -> anyhow::Result<String> {
    let listeners: Value = client.get(format!("{admin_url}/listeners?format=json")).send().await?.json().await?;
    let address = listeners.pointer("/listener_statuses/0/local_address/socket_address");
    let port = address.and_then(|address| address.get("port_value")).and_then(Value::as_u64);
    let port = port.with_context(|| format!("Envoy has no listener: {listeners}"))?;
    Ok(format!("http://127.0.0.1:{port}"))
}

/// A value for every place in `envoy/envoy.yaml`.
fn values(options: &EnvoyOptions) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let jwks: http::Uri = options.issuer.jwks_url.parse().context("the JWKS URL is not one")?;
    let secure = jwks.scheme_str() == Some("https");
    let (host, port) = (jwks.host().context("the JWKS URL has no host")?, jwks.port_u16());
    let certificates = CERTIFICATES.into_iter().find(|path| fs::exists(path).unwrap_or(false));
    Ok(BTreeMap::from([
        ("ADMIN_HOST", "127.0.0.1".to_owned()),
        ("ADMIN_PORT", "0".to_owned()),
        ("EDGE_HOST", "127.0.0.1".to_owned()),
        ("EDGE_PORT", "0".to_owned()),
        ("FILTER_PATH", options.filter.display().to_string()),
        ("OIDC_ISSUER", options.issuer.issuer.clone()),
        ("OIDC_AUDIENCE", options.issuer.audience.clone()),
        ("OIDC_JWKS_URL", options.issuer.jwks_url.clone()),
        ("OIDC_JWKS_HOST", host.to_owned()),
        ("OIDC_JWKS_PORT", port.unwrap_or(if secure { 443 } else { 80 }).to_string()),
        ("OIDC_JWKS_CLUSTER", if secure { "jwks_https" } else { "jwks_http" }.to_owned()),
        ("CONTROL_PLANE_HOST", options.control_plane.0.clone()),
        ("CONTROL_PLANE_PORT", options.control_plane.1.to_string()),
        ("CA_CERTIFICATES", certificates.context("no file with trusted certificates found")?.to_owned()),
    ]))
}
