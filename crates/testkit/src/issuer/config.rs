//! What an issuer starts with, and what can be made wrong with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::keys::Algorithm;
use super::mint::LIFETIME;

/// A registered client of the issuer, allowed the client-credentials grant (RFC 6749 section 4.4).
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
    /// `sub` of its tokens.
    pub subject: String,
    /// `aud` of its tokens.
    pub audience: String,
    /// How its tokens are signed.
    pub algorithm: Algorithm,
    /// How long its tokens live.
    pub lifetime: Duration,
    /// Scopes that it may ask for; it gets all of them when it asks for none.
    pub scopes: Vec<String>,
    /// More claims of its tokens.
    pub claims: Map<String, Value>,
}

impl Client {
    /// A client with RS256 tokens of [`LIFETIME`], without scopes or further claims.
    pub fn new(id: &str, secret: &str, subject: &str, audience: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            subject: subject.to_owned(),
            audience: audience.to_owned(),
            algorithm: Algorithm::Rs256,
            lifetime: LIFETIME,
            scopes: Vec::new(),
            claims: Map::new(),
        }
    }
}

/// How to start an issuer.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `iss` and the base of every URL in discovery, without a slash at the end; by default the listening address.
    pub public_url: Option<String>,
    /// Registered clients.
    pub clients: Vec<Client>,
    /// A key is made for each of these.
    pub algorithms: Vec<Algorithm>,
    /// Keeps the keys that it starts with in this directory over restarts; rotated ones are not kept.
    pub keys_directory: Option<PathBuf>,
}

impl Default for IssuerConfig {
    /// A free port on the loopback address, keys for RS256, ES256 and EdDSA, no clients.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            clients: Vec::new(),
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
            keys_directory: None,
        }
    }
}

/// What is wrong with the JWKS endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JwksFault {
    /// Nothing.
    #[default]
    None,
    /// Answers with this status and no keys.
    Status(u16),
    /// 200 with a body that is not JSON.
    Garbage,
    /// 200 with several megabytes of well-formed keys.
    Huge,
    /// The right answer, so much later.
    Slow(Duration),
    /// 200 with this body.
    Body(String),
}

/// What is wrong with the discovery document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DiscoveryFault {
    /// Nothing.
    #[default]
    None,
    /// Answers with this status.
    Status(u16),
    /// States another issuer (OpenID Connect Discovery section 4.3 asks clients to refuse it).
    Issuer(String),
    /// Leads to keys at this URL.
    JwksUri(String),
    /// 200 with a body that is not JSON.
    Garbage,
    /// The right document with several megabytes more.
    Huge,
    /// The right document, so much later.
    Slow(Duration),
}
