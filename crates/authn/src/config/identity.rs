//! What the upstream is told about the caller.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// What the upstream is told about the caller.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Plain headers, for access logs and upstreams that trust the network.
    #[serde(default)]
    pub headers: IdentityHeaders,
    /// The signed assertion, for upstreams that don't.
    #[serde(default)]
    pub assertion: Option<Assertion>,
}

/// Names of the plain headers.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct IdentityHeaders {
    /// Carries `iss`.
    pub issuer: String,
    /// Carries `sub`.
    pub subject: String,
    /// Carries the display name.
    pub name: String,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            issuer: ::identity::headers::ISSUER.into(),
            subject: ::identity::headers::SUBJECT.into(),
            name: ::identity::headers::NAME.into(),
        }
    }
}

/// The signed assertion.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// The header that carries it.
    #[serde(default = "default_header")]
    pub header: String,
    /// The gateway's name (`iss`).
    #[serde(default = "default_gateway")]
    pub issuer: String,
    /// Who may believe it (`aud`).
    #[serde(default = "default_audience")]
    pub audience: String,
    /// How long it holds; at most 60 s, which is the default.
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub lifetime: Option<Duration>,
    /// The environment variable of the VM that holds the PKCS#8 PEM key.
    #[serde(default = "default_signing_key_env", alias = "signingKeyEnv")]
    pub signing_key_env: String,
    /// The claims that it carries; `*` stands for all.
    #[serde(default)]
    pub claims: Vec<String>,
}

fn default_header() -> String {
    ::identity::headers::ASSERTION.into()
}

fn default_gateway() -> String {
    ::identity::DEFAULT_GATEWAY.into()
}

fn default_audience() -> String {
    ::identity::DEFAULT_AUDIENCE.into()
}

fn default_signing_key_env() -> String {
    "IDENTITY_SIGNING_KEY".into()
}
