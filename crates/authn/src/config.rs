//! The plugin configuration: field names and meaning of `envoy.extensions.filters.http.jwt_authn.v3`, in proto3
//! JSON (snake case or camel case), and the block `identity` of our own. A field that is unknown, or that the filter
//! does not do, is an error that names its path.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::duration;

/// What is wrong with a configuration, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ConfigError {
    /// The field, as in `providers.main.remote_jwks.http_uri.uri`.
    pub path: String,
    /// The problem and, where there is one, the remedy.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Issuers, by a name that rules refer to.
    pub providers: BTreeMap<String, Provider>,
    /// The first rule that matches a path decides; a path that none matches is denied.
    pub rules: Vec<Rule>,
    /// What the upstream is told about the caller.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// The algorithms that may sign.
    #[serde(default = "default_algorithms", alias = "allowedAlgorithms")]
    pub allowed_algorithms: Vec<Algorithm>,
    /// The accepted `typ` values.
    #[serde(default = "default_types", alias = "acceptedTypes")]
    pub accepted_types: Vec<String>,
}

/// One issuer (`JwtProvider`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `iss` of its tokens; required here, since an identity is an issuer and a subject.
    pub issuer: String,
    /// A token must be meant for one of these.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Keys fetched through a cluster.
    #[serde(default, alias = "remoteJwks")]
    pub remote_jwks: Option<RemoteJwks>,
    /// Keys written here.
    #[serde(default, alias = "localJwks")]
    pub local_jwks: Option<LocalJwks>,
    /// Whether the upstream gets the token too.
    #[serde(default)]
    pub forward: bool,
    /// Claims that become headers.
    #[serde(default, alias = "claimToHeaders")]
    pub claim_to_headers: Vec<ClaimToHeader>,
    /// How far clocks may differ.
    #[serde(default = "default_clock_skew", alias = "clockSkewSeconds")]
    pub clock_skew_seconds: u64,
    /// The longest remaining life of an accepted token.
    #[serde(default, alias = "maxLifetime", deserialize_with = "duration::optional")]
    pub max_lifetime: Option<Duration>,
}

/// Keys fetched through an Envoy cluster (`RemoteJwks`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteJwks {
    /// Where.
    #[serde(alias = "httpUri")]
    pub http_uri: HttpUri,
    /// How long keys are used before they are fetched again; the answer's `Cache-Control` may shorten it.
    #[serde(default, alias = "cacheDuration", deserialize_with = "duration::optional")]
    pub cache_duration: Option<Duration>,
    /// The pause after a fetch, good or bad, before an unknown `kid` may cause another.
    #[serde(default, alias = "unknownKeyCooldown", deserialize_with = "duration::optional")]
    pub unknown_key_cooldown: Option<Duration>,
    /// How long keys are used when they can't be fetched again.
    #[serde(default, alias = "staleLimit", deserialize_with = "duration::optional")]
    pub stale_limit: Option<Duration>,
    /// The longest document, in bytes.
    #[serde(default, alias = "maxSize")]
    pub max_size: Option<usize>,
    /// The most keys in a document.
    #[serde(default, alias = "maxKeys")]
    pub max_keys: Option<usize>,
}

/// A URL and the cluster that leads there (`HttpUri`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpUri {
    /// An absolute `http` or `https` URL.
    pub uri: String,
    /// The Envoy cluster.
    pub cluster: String,
    /// For the whole fetch.
    #[serde(default, deserialize_with = "duration::optional")]
    pub timeout: Option<Duration>,
}

/// Keys written into the configuration (`DataSource`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalJwks {
    /// The JWK set.
    #[serde(alias = "inlineString")]
    pub inline_string: String,
}

/// A claim and the header that carries it (`JwtClaimToHeader`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The header.
    #[serde(alias = "headerName")]
    pub header_name: String,
    /// The claim.
    #[serde(alias = "claimName")]
    pub claim_name: String,
}

/// Which requests, and what they must bring (`RequirementRule`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests.
    pub r#match: RouteMatch,
    /// What they must bring; nothing when absent.
    #[serde(default)]
    pub requires: Option<Requirement>,
}

/// Paths (`RouteMatch`); exactly one field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMatch {
    /// Paths that begin so.
    #[serde(default)]
    pub prefix: Option<String>,
    /// One path.
    #[serde(default)]
    pub path: Option<String>,
}

/// A requirement (`JwtRequirement`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// A valid token of this provider.
    #[serde(alias = "providerName")]
    pub provider_name: String,
}

/// What the upstream is told about the caller.
#[derive(Debug, Deserialize)]
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
            issuer: identity::headers::ISSUER.into(),
            subject: identity::headers::SUBJECT.into(),
            name: identity::headers::NAME.into(),
        }
    }
}

/// The signed assertion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// The header that carries it.
    #[serde(default = "default_assertion_header")]
    pub header: String,
    /// The gateway's name (`iss`).
    #[serde(default = "default_gateway")]
    pub issuer: String,
    /// Who may believe it (`aud`).
    #[serde(default = "default_audience")]
    pub audience: String,
    /// How long it holds; at most 60 s.
    #[serde(default, deserialize_with = "duration::optional")]
    pub lifetime: Option<Duration>,
    /// The environment variable of the VM that holds the PKCS#8 PEM key.
    #[serde(default = "default_signing_key_env", alias = "signingKeyEnv")]
    pub signing_key_env: String,
    /// The claims that it carries; `*` stands for all.
    #[serde(default)]
    pub claims: Vec<String>,
}

/// What most issuers sign with; the rest is opted into.
fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
}

fn default_types() -> Vec<String> {
    vec!["JWT".into(), "at+jwt".into()]
}

/// As in jwt_authn.
fn default_clock_skew() -> u64 {
    60
}

fn default_assertion_header() -> String {
    identity::headers::ASSERTION.into()
}

fn default_gateway() -> String {
    identity::DEFAULT_GATEWAY.into()
}

fn default_audience() -> String {
    identity::DEFAULT_AUDIENCE.into()
}

fn default_signing_key_env() -> String {
    "IDENTITY_SIGNING_KEY".into()
}

impl Config {
    /// Reads the plugin configuration. References between fields are checked by [`Gate::new`](crate::Gate::new).
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let mut input = serde_json::Deserializer::from_slice(json);
        let config = serde_path_to_error::deserialize(&mut input)
            .map_err(|error| ConfigError::new(error.path().to_string(), error.inner().to_string()))?;
        input.end().map_err(|error| ConfigError::new(".", error.to_string()))?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        Config::parse(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn both_spellings_of_proto3_json_are_read() {
        for json in [
            r#"{"providers":{"p":{"issuer":"i","remote_jwks":{"http_uri":{"uri":"http://h/j","cluster":"c","timeout":"5s"},"cache_duration":"300s"}}},"rules":[]}"#,
            r#"{"providers":{"p":{"issuer":"i","remoteJwks":{"httpUri":{"uri":"http://h/j","cluster":"c","timeout":"5s"},"cacheDuration":"300s"}}},"rules":[]}"#,
        ] {
            let config = Config::parse(json.as_bytes()).unwrap();
            let remote = config.providers["p"].remote_jwks.as_ref().unwrap();
            assert_eq!(remote.cache_duration, Some(Duration::from_mins(5)));
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_its_path() {
        let message = error(r#"{"providers":{"p":{"issuer":"i","allow_everything":true}},"rules":[]}"#);
        assert!(message.starts_with("providers.p.allow_everything: unknown field"), "{message}");
        let message = error(r#"{"providers":{},"rules":[{"match":{"prefix":"/"},"requires":{"provider_nam":"p"}}]}"#);
        assert!(message.starts_with("rules[0].requires.provider_nam: unknown field"), "{message}");
    }

    #[test]
    fn bad_values_are_named_with_their_path() {
        let message = error(r#"{"providers":{"p":{"issuer":"i","max_lifetime":"5m"}},"rules":[]}"#);
        assert!(message.starts_with("providers.p.max_lifetime: \"5m\" is not a duration"), "{message}");
        let message = error(r#"{"providers":{},"rules":[],"allowed_algorithms":["HS256"]}"#);
        assert!(message.starts_with("allowed_algorithms[0]: unknown variant `HS256`"), "{message}");
        assert!(error("{} {}").contains("missing field"), "{}", error("{} {}"));
        assert!(error("").contains("EOF"));
    }
}
