//! The certified issuer (npm `oidc-provider`): a judge that this project did not write.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::envoy::Issuer;
use super::process::{Process, Program};
use super::scope::Scope;
use super::tools::path;
use crate::issuer::Algorithm;
use crate::random::{Random, seed};

const START: Duration = Duration::from_mins(1);
const CLIENT: &str = "certified-client";
const PAGE_CLIENT: &str = "runners-page";

/// A running certified issuer; it stops when it is dropped.
pub struct OidcProvider {
    process: Process,
    issuer: Issuer,
    secret: String,
}

impl OidcProvider {
    /// Starts it; its tokens are for this audience.
    pub async fn start(audience: &str, scope: &Arc<Scope>) -> anyhow::Result<Self> {
        let (node, server) = (path("NODE_BIN")?, path("OIDC_PROVIDER_DIR")?.join("server.mjs"));
        let secret = Random::new(seed()).hex(32);
        let mut process = Program::new("oidc-provider", node)
            .args([server])
            .envs([
                ("CLIENT_ID", CLIENT),
                ("CLIENT_SECRET", &secret),
                ("PAGE_CLIENT_ID", PAGE_CLIENT),
                ("AUDIENCE", audience),
            ])
            .start(scope)?;
        let url = process.until("it is ready", START, async |process| issuer_in(&process.log())).await?;
        let issuer = Issuer { jwks_url: format!("{url}/jwks"), issuer: url, audience: audience.to_owned() };
        Ok(Self { process, issuer, secret })
    }

    /// How the filter is told to believe it.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// `sub` of its tokens.
    pub fn subject(&self) -> &str {
        CLIENT
    }

    /// The variables by which a control plane has people sign in to its page here.
    pub fn for_the_page(&self) -> [(String, String); 3] {
        let variables = [
            ("UI_ISSUER", self.issuer.issuer.clone()),
            ("UI_CLIENT_ID", PAGE_CLIENT.to_owned()),
            ("UI_RESOURCE", format!("urn:sign:{}", Algorithm::Rs256.name())),
        ];
        variables.map(|(name, value)| (name.to_owned(), value))
    }

    /// The secret of its client, to look for it where it should not be.
    pub fn client_secret(&self) -> &str {
        &self.secret
    }

    /// Asks its token endpoint for an access token that is signed in this way: RS256, ES256 or EdDSA.
    pub async fn token(&self, algorithm: Algorithm) -> anyhow::Result<String> {
        let resource = format!("urn:sign:{}", algorithm.name());
        let request = reqwest::Client::new()
            .post(format!("{}/token", self.issuer.issuer))
            .basic_auth(CLIENT, Some(&self.secret))
            .form(&[("grant_type", "client_credentials"), ("resource", &resource)]);
        let answer: Value = request.send().await?.json().await?;
        let token = answer.get("access_token").and_then(Value::as_str);
        Ok(token.with_context(|| format!("the certified issuer gave no token: {answer}"))?.to_owned())
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn issuer_in(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("READY ")?;
    rest.split_once('\n').map(|(issuer, _)| issuer.to_owned())
}
