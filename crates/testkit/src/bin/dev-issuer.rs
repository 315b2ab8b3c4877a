//! A development OIDC issuer as a program, for compose and for trying things out. Not for production.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use serde_json::{Map, Value};
use testkit::issuer::{Algorithm, Client, DevIssuer, IssuerConfig};

/// A development OIDC issuer with one registered client. Its secret is no secret: never use it in production.
#[derive(Parser)]
#[command(name = "dev-issuer", version, after_help = EXAMPLE)]
struct Options {
    /// Where to listen
    #[arg(long, env = "DEV_ISSUER_LISTEN", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// `iss` and the base of all URLs; by default the listening address
    #[arg(long, env = "DEV_ISSUER_PUBLIC_URL")]
    public_url: Option<String>,
    /// Keeps the signing keys here over restarts
    #[arg(long, env = "DEV_ISSUER_KEYS_DIR", value_name = "DIR")]
    keys_dir: Option<PathBuf>,
    /// The client's id
    #[arg(long, env = "DEV_ISSUER_CLIENT_ID", default_value = "demo-client")]
    client_id: String,
    /// The client's secret
    #[arg(long, env = "DEV_ISSUER_CLIENT_SECRET", default_value = "demo-secret", hide_env_values = true)]
    client_secret: String,
    /// `sub` of the client's tokens
    #[arg(long, env = "DEV_ISSUER_SUBJECT", default_value = "demo-machine")]
    subject: String,
    /// `aud` of the client's tokens
    #[arg(long, env = "DEV_ISSUER_AUDIENCE", default_value = "runner-tokens")]
    audience: String,
    /// How the client's tokens are signed
    #[arg(long, env = "DEV_ISSUER_ALGORITHM", default_value = "RS256")]
    algorithm: Algorithm,
    /// How long the client's tokens live, in seconds
    #[arg(long, env = "DEV_ISSUER_LIFETIME", default_value_t = 600)]
    lifetime: u64,
    /// Scopes of the client, separated by spaces
    #[arg(long, env = "DEV_ISSUER_SCOPES", default_value = "")]
    scopes: String,
    /// More claims of the client's tokens, as a JSON object
    #[arg(long, env = "DEV_ISSUER_CLAIMS", default_value = "{}", value_name = "JSON")]
    claims: String,
}

const EXAMPLE: &str = "Example:\n  dev-issuer --listen 127.0.0.1:9000 --claims '{\"groups\": [\"runner-admins\"]}'";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let claims: Map<String, Value> = serde_json::from_str(&options.claims).context("--claims is not a JSON object")?;
    let client = Client {
        algorithm: options.algorithm,
        lifetime: Duration::from_secs(options.lifetime),
        scopes: options.scopes.split_whitespace().map(str::to_owned).collect(),
        claims,
        ..Client::new(&options.client_id, &options.client_secret, &options.subject, &options.audience)
    };
    let mut algorithms = IssuerConfig::default().algorithms;
    if !algorithms.contains(&options.algorithm) {
        algorithms.push(options.algorithm);
    }
    let config = IssuerConfig {
        listen: options.listen,
        public_url: options.public_url,
        clients: vec![client],
        algorithms,
        keys_directory: options.keys_dir,
    };
    let issuer = DevIssuer::start(config).await?;
    println!("issuer          {}", issuer.issuer());
    println!("discovery       {}/.well-known/openid-configuration", issuer.issuer());
    println!("keys            {}", issuer.jwks_uri());
    println!("client          {} / {}", options.client_id, options.client_secret);
    println!(
        "a token         curl -su '{}:{}' -d grant_type=client_credentials {}",
        options.client_id,
        options.client_secret,
        issuer.token_endpoint()
    );
    testkit::signals::stop_requested().await?;
    issuer.stop().await;
    Ok(())
}
