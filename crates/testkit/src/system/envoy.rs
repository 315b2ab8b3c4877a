//! Envoy with the filter.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::control_plane::Environment;
use super::process::{Process, Program};
use super::scope::Scope;

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
#[derive(Clone)]
pub struct EnvoyOptions {
    /// The binary.
    pub binary: PathBuf,
    /// The filter's module.
    pub filter: PathBuf,
    /// The configuration with its places; [`TEMPLATE`](super::TEMPLATE) is the shipped one.
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
        fs::write(&config, edge::configuration(&options.template, &|name| variable(options, name))?)?;
        let program = Program::new("envoy", &options.binary)
            .args(["--disable-hot-restart", "--log-level", "warn", "--concurrency", &options.concurrency.to_string()])
            .arg_path("--config-path", &config)
            .envs([("IDENTITY_SIGNING_KEY", &options.signing_key)]);
        Self::ready(program, scope).await
    }

    /// Starts one that was killed or stopped again, on the same port for clients.
    pub async fn start_again(&mut self, options: &EnvoyOptions, scope: &Arc<Scope>) -> anyhow::Result<()> {
        self.process.stop();
        let (_, port) = self.edge_url.rsplit_once(':').context("it has no port")?;
        let template = options.template.replace("${EDGE_PORT}", port);
        *self = Self::start(&EnvoyOptions { template, ..options.clone() }, scope).await?;
        Ok(())
    }

    /// Starts it as a container does: by the program `edge`, configured by these environment variables alone.
    /// `EDGE_PORT=0` and `ADMIN_PORT=0` let it take free ports.
    pub async fn launch(edge: &Path, environment: &Environment, scope: &Arc<Scope>) -> anyhow::Result<Self> {
        let variables = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let program = Program::new("edge", edge).args(["run", "--", "--log-level", "warn", "--concurrency", "1"]);
        Self::ready(program.envs(variables), scope).await
    }

    async fn ready(program: Program, scope: &Arc<Scope>) -> anyhow::Result<Self> {
        let address = scope.directory().join(format!("{}-admin-address", program.name()));
        // One of the same name may have written its own.
        let _ = fs::remove_file(&address);
        let mut process = program.arg_path("--admin-address-path", &address).start(scope)?;
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

/// The value of a variable that the configuration is filled in from.
fn variable(options: &EnvoyOptions, name: &str) -> Option<String> {
    let certificates = || CERTIFICATES.into_iter().find(|path| fs::exists(path).unwrap_or(false)).map(str::to_owned);
    let value = match name {
        "ADMIN_HOST" | "EDGE_HOST" => "127.0.0.1".to_owned(),
        "ADMIN_PORT" | "EDGE_PORT" => "0".to_owned(),
        "FILTER_PATH" => options.filter.display().to_string(),
        "OIDC_ISSUER" => options.issuer.issuer.clone(),
        "OIDC_AUDIENCE" => options.issuer.audience.clone(),
        "OIDC_JWKS_URL" => options.issuer.jwks_url.clone(),
        "CONTROL_PLANE_HOST" => options.control_plane.0.clone(),
        "CONTROL_PLANE_PORT" => options.control_plane.1.to_string(),
        "CA_CERTIFICATES" => return certificates(),
        _ => return None,
    };
    Some(value)
}
