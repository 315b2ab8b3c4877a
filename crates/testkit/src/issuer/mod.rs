//! A development OIDC issuer: discovery, JWKS with rotation and faults, and a client-credentials token endpoint.
//!
//! Honest towards its clients, and obliging towards tests: [`DevIssuer::mint`] makes any token that a key can sign,
//! [`raw_token`] and [`hs256_token`] those that none should.

mod config;
mod endpoints;
mod es512;
mod key_ring;
pub(crate) mod keys;
mod mint;
mod token_endpoint;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

pub use self::config::{Client, DiscoveryFault, IssuerConfig, JwksFault};
pub use self::keys::Algorithm;
pub use self::mint::{ACCESS_TOKEN_TYPE, KeyId, LIFETIME, Mint, SignWith, When, hs256_token, raw_token, signing_input};

use self::key_ring::KeyRing;
use crate::clock::Clock;
use crate::random::{self, Random};
use crate::server::{Bound, Server, url_of};

/// How often the issuer was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IssuerCounts {
    /// Requests for the JWKS, failed ones too.
    pub jwks: u64,
    /// Requests for the discovery document, failed ones too.
    pub discovery: u64,
    /// Tokens given out by the token endpoint.
    pub tokens: u64,
}

/// The issuer's changeable part; one lock, never held while waiting.
pub(crate) struct State {
    keys: KeyRing,
    random: Random,
    counts: IssuerCounts,
    jwks_fault: JwksFault,
    discovery_fault: DiscoveryFault,
    cache_control: Option<String>,
    issued: Vec<String>,
}

pub(crate) struct Shared {
    url: String,
    clients: Vec<Client>,
    clock: Clock,
    state: Mutex<State>,
}

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn mint(&self, mint: &Mint) -> anyhow::Result<String> {
        let now = self.clock.now();
        self.with(|state| {
            let token_id = state.random.hex(32);
            let (key, key_id) = state.keys.signer(mint.algorithm, mint.sign_with)?;
            let payload = mint.payload_at(&self.url, &token_id, now);
            let token = mint::signed(&mint.header_with(&key_id), &payload, &key)?;
            state.issued.push(token.clone());
            Ok(token)
        })
    }
}

/// A running issuer. Clones are handles on the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct DevIssuer {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

impl DevIssuer {
    /// Makes (or loads) the keys and serves; returns when it can be asked.
    pub async fn start(config: IssuerConfig) -> anyhow::Result<Self> {
        let bound = Bound::new(config.listen).await?;
        let url = config.public_url.unwrap_or_else(|| url_of(bound.address()));
        let (algorithms, directory) = (config.algorithms, config.keys_directory);
        let keys = tokio::task::spawn_blocking(move || match directory {
            Some(directory) => KeyRing::in_directory(&algorithms, &directory),
            None => KeyRing::generate(&algorithms),
        });
        let state = State {
            keys: keys.await??,
            random: Random::new(random::seed()),
            counts: IssuerCounts::default(),
            jwks_fault: JwksFault::None,
            discovery_fault: DiscoveryFault::None,
            cache_control: None,
            issued: Vec::new(),
        };
        let shared = Arc::new(Shared {
            url: url.trim_end_matches('/').to_owned(),
            clients: config.clients,
            clock: Clock::default(),
            state: Mutex::new(state),
        });
        let server = Arc::new(bound.serve(endpoints::router(Arc::clone(&shared))));
        Ok(Self { shared, server })
    }

    /// Stops serving and waits until the port is free, if this is the last handle.
    pub async fn stop(self) {
        if let Some(server) = Arc::into_inner(self.server) {
            server.stop().await;
        }
    }

    /// `iss` of its tokens; the base URL too.
    pub fn issuer(&self) -> &str {
        &self.shared.url
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where the keys are.
    pub fn jwks_uri(&self) -> String {
        endpoints::jwks_uri(self.issuer())
    }

    /// Where clients get tokens.
    pub fn token_endpoint(&self) -> String {
        endpoints::token_endpoint(self.issuer())
    }

    /// Signs a token as asked for.
    pub fn mint(&self, mint: &Mint) -> anyhow::Result<String> {
        self.shared.mint(mint)
    }

    /// Signs any header and payload texts with the present key for this algorithm, whatever the header says. For
    /// duplicate members, wrong types, and the like.
    pub fn sign_raw(&self, algorithm: Algorithm, header: &str, payload: &str) -> anyhow::Result<String> {
        let input = signing_input(header, payload);
        self.shared.with(|state| Ok(format!("{input}.{}", state.keys.current(algorithm)?.sign(&input)?)))
    }

    /// The present public key as SPKI PEM.
    pub fn public_pem(&self, algorithm: Algorithm) -> anyhow::Result<String> {
        self.shared.with(|state| Ok(state.keys.current(algorithm)?.public_pem.clone()))
    }

    /// The present public key as it is published.
    pub fn public_jwk(&self, algorithm: Algorithm) -> anyhow::Result<Value> {
        self.shared.with(|state| Ok(state.keys.current(algorithm)?.jwk.clone()))
    }

    /// The key set as it is published.
    pub fn jwks(&self) -> Value {
        self.shared.with(|state| state.keys.jwks())
    }

    /// Makes new keys and signs with them from now on; the old ones stay published.
    pub fn rotate(&self) -> anyhow::Result<()> {
        self.shared.with(|state| state.keys.rotate())
    }

    /// Takes the old keys out of the published set.
    pub fn retire_old_keys(&self) {
        self.shared.with(|state| state.keys.retire_old());
    }

    /// Breaks or mends the JWKS endpoint.
    pub fn set_fault(&self, fault: JwksFault) {
        self.shared.with(|state| state.jwks_fault = fault);
    }

    /// Breaks or mends the discovery document.
    pub fn set_discovery_fault(&self, fault: DiscoveryFault) {
        self.shared.with(|state| state.discovery_fault = fault);
    }

    /// `Cache-Control` of the JWKS answer; none by default.
    pub fn set_cache_control(&self, value: Option<&str>) {
        self.shared.with(|state| state.cache_control = value.map(str::to_owned));
    }

    /// How often each endpoint was asked.
    pub fn counts(&self) -> IssuerCounts {
        self.shared.with(|state| state.counts)
    }

    /// How often the keys were fetched.
    pub fn jwks_fetches(&self) -> u64 {
        self.counts().jwks
    }

    /// Every token that it ever signed, to look for them where none should be, such as in logs.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared.with(|state| state.issued.clone())
    }

    /// Lets time pass in the issuer's world: tokens are minted later.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }
}
