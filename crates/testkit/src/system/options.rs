//! What a system is made of.

use std::path::PathBuf;

use super::envoy::Issuer;
use crate::github::GithubConfig;
use crate::issuer::{Client, IssuerConfig};

/// The audience of the tokens that a system accepts, unless it is told to believe another issuer.
pub const AUDIENCE: &str = "runner-tokens";
/// The client that the dev issuer knows, unless configured otherwise.
pub const CLIENT: &str = "demo-client";
/// Its secret: for a machine's own loopback only, so it may be known.
pub const CLIENT_SECRET: &str = "demo-secret";
/// `sub` of its tokens.
pub const SUBJECT: &str = "team-blue";

/// How to start a system. The default is the demo's: everything as shipped, one client, free ports.
#[derive(Clone, Debug)]
pub struct SystemOptions {
    /// The dev issuer's clients and keys.
    pub issuer: IssuerConfig,
    /// Somebody else for the filter to believe instead of the dev issuer.
    pub believe: Option<Issuer>,
    /// The fake GitHub's world.
    pub github: GithubConfig,
    /// So many control planes on one database, all behind Envoy; at least one.
    pub replicas: usize,
    /// A Postgres of its own, also where a server is shared: to stop it.
    pub own_postgres: bool,
    /// More environment variables for the control plane; they win over the usual ones.
    pub control_plane: Vec<(String, String)>,
    /// Envoy's configuration with its `${NAME}` places.
    pub envoy_template: String,
    /// Another module of the filter than the environment's `FILTER_WASM`.
    pub filter: Option<PathBuf>,
    /// Envoy's worker threads.
    pub envoy_concurrency: u32,
    /// Wait until the filter has the issuer's keys; not for an issuer that gives none.
    pub wait_for_keys: bool,
    /// Lay wires between the parts: [`System::wires`](super::System::wires).
    pub wires: bool,
}

impl Default for SystemOptions {
    fn default() -> Self {
        let mut issuer = IssuerConfig::default();
        issuer.clients.push(Client::new(CLIENT, CLIENT_SECRET, SUBJECT, AUDIENCE));
        Self {
            issuer,
            believe: None,
            github: GithubConfig { control: true, ..GithubConfig::default() },
            replicas: 1,
            own_postgres: false,
            control_plane: Vec::new(),
            envoy_template: edge::TEMPLATE.to_owned(),
            filter: None,
            envoy_concurrency: 1,
            wait_for_keys: true,
            wires: false,
        }
    }
}
