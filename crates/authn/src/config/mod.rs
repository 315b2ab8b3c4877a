//! The plugin configuration: field names and meaning of `envoy.extensions.filters.http.jwt_authn.v3`, in proto3
//! JSON (snake case or camel case), with the additions of this filter. A field that is unknown, or that the filter
//! does not do, is an error that names its path.

mod duration;
mod identity;
mod keys;
mod provider;
mod rule;
mod shape;
mod unsupported;

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use self::identity::{Assertion, Identity, IdentityHeaders};
pub use self::keys::{AsyncFetch, BackOff, DataSource, Discovery, HttpUri, RemoteJwks, RetryPolicy};
pub use self::provider::{ClaimToHeader, JwtCacheConfig, JwtHeader, PathSegment, Provider, Regex, StringMatcher};
pub use self::rule::{Empty, ProviderWithAudiences, Requirement, Requirements, RouteMatch, Rule};
pub use self::unsupported::{UNSUPPORTED, Unsupported};

use crate::algorithm::Algorithm;

/// What stands in Envoy's configuration beside the fields of jwt_authn's.
const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
/// A part of a name needs no more.
const MAX_STAT_PREFIX: usize = 100;

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

/// The whole configuration (`JwtAuthentication`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a configuration")]
pub struct Config {
    /// Issuers, by a name that rules refer to.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
    /// The first rule that matches a path decides; a path that none matches is denied.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Requirements by a name that rules refer to.
    #[serde(default, alias = "requirementMap")]
    pub requirement_map: BTreeMap<String, Requirement>,
    /// Lets CORS preflight requests pass without a token (and without an identity).
    #[serde(default, alias = "bypassCorsPreflight")]
    pub bypass_cors_preflight: bool,
    /// Answers refused requests without a body.
    #[serde(default, alias = "stripFailureResponse")]
    pub strip_failure_response: bool,
    /// A further part of the metrics' names, to tell several filters of one proxy apart.
    #[serde(default, alias = "statPrefix")]
    pub stat_prefix: String,
    /// What a configuration of jwt_authn has in Envoy's: it may stay where it is.
    #[serde(default, rename = "@type")]
    pub kind: Option<String>,
    /// What the upstream is told about the caller. Beyond jwt_authn.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// The algorithms that may sign, for providers that do not say. Beyond jwt_authn.
    #[serde(default = "default_algorithms", alias = "allowedAlgorithms")]
    pub allowed_algorithms: Vec<Algorithm>,
    /// The accepted `typ` values. Beyond jwt_authn.
    #[serde(default = "default_types", alias = "acceptedTypes")]
    pub accepted_types: Vec<String>,
    /// Lets the host check the signatures that it can (RS256 to RS512, ES256 to ES512). Beyond jwt_authn.
    #[serde(default = "yes", alias = "hostSignatures")]
    pub host_signatures: bool,
    /// Verifies and counts, but refuses nothing and says nothing to the upstream. Beyond jwt_authn.
    #[serde(default)]
    pub shadow: bool,
    /// SHA-256 of the text that all of it was read from.
    #[serde(skip)]
    pub(crate) digest: [u8; 32],
}

fn yes() -> bool {
    true
}

/// What most issuers sign with; the rest is opted into.
fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
}

/// An ID token or a plain JWT, and an access token (RFC 9068 section 2.1).
fn default_types() -> Vec<String> {
    vec!["JWT".into(), "at+jwt".into()]
}

impl Config {
    /// Reads the plugin configuration. References between fields are checked by [`Gate::new`](crate::Gate::new).
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let mut input = serde_json::Deserializer::from_slice(json);
        let mut config: Self = serde_path_to_error::deserialize(&mut input).map_err(|error| {
            let path = error.path().to_string();
            let problem = unsupported::explain(&path, &error.inner().to_string());
            ConfigError { path, problem }
        })?;
        input.end().map_err(|error| ConfigError::new(".", error.to_string()))?;
        shape::check(json)?;
        if config.kind.as_deref().is_some_and(|kind| kind != TYPE) {
            return Err(ConfigError::new("@type", format!("another configuration; this filter reads {TYPE}")));
        }
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if config.stat_prefix.len() > MAX_STAT_PREFIX || !config.stat_prefix.bytes().all(safe) {
            return Err(ConfigError::new("stat_prefix", "at most 100 letters, digits, dots, dashes and underscores"));
        }
        config.digest = Sha256::digest(json).into();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn error(json: &str) -> String {
        Config::parse(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn both_spellings_of_proto3_json_are_read() {
        for json in [
            r#"{"providers":{"p":{"issuer":"i","remote_jwks":{"http_uri":{"uri":"http://h/j","cluster":"c","timeout":"5s"},"cache_duration":"300s"}}}}"#,
            r#"{"providers":{"p":{"issuer":"i","remoteJwks":{"httpUri":{"uri":"http://h/j","cluster":"c","timeout":"5s"},"cacheDuration":"300s"}}}}"#,
        ] {
            let config = Config::parse(json.as_bytes()).unwrap();
            let remote = config.providers["p"].remote_jwks.as_ref().unwrap();
            assert_eq!(remote.cache_duration, Some(Duration::from_mins(5)));
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_its_path() {
        let message = error(r#"{"providers":{"p":{"issuer":"i","allow_everything":true}}}"#);
        assert!(message.starts_with("providers.p.allow_everything: unknown field"), "{message}");
        let message = error(r#"{"rules":[{"match":{"prefix":"/"},"requires":{"provider_nam":"p"}}]}"#);
        assert!(message.starts_with("rules[0].requires.provider_nam: unknown field"), "{message}");
    }

    #[test]
    fn a_field_that_the_filter_does_not_do_is_refused_with_the_reason() {
        let message = error(r#"{"filterStateRules":{}}"#);
        assert!(message.starts_with("filterStateRules: not supported: "), "{message}");
        let message = error(r#"{"providers":{"p":{"issuer":"i","payload_in_metadata":"x"}}}"#);
        assert!(message.starts_with("providers.p.payload_in_metadata: not supported: "), "{message}");
    }

    #[test]
    fn the_type_of_a_pasted_configuration_may_stay_and_another_type_is_refused() {
        assert!(Config::parse(format!("{{\"@type\":\"{TYPE}\"}}").as_bytes()).is_ok());
        for other in ["type.googleapis.com/google.protobuf.Struct", ""] {
            let message = error(&format!("{{\"@type\":\"{other}\"}}"));
            assert!(message.starts_with("@type: another configuration"), "{message}");
        }
    }

    #[test]
    fn bad_values_are_named_with_their_path() {
        let message = error(r#"{"providers":{"p":{"issuer":"i","max_lifetime":"5m"}}}"#);
        assert!(message.starts_with("providers.p.max_lifetime: \"5m\" is not a duration"), "{message}");
        let message = error(r#"{"allowed_algorithms":["HS256"]}"#);
        assert!(message.starts_with("allowed_algorithms[0]: unknown variant `HS256`"), "{message}");
        assert!(error("{} {}").contains("trailing"), "{}", error("{} {}"));
        assert!(error("").contains("EOF"));
        assert!(error(r#"{"providers":{},"providers":{}}"#).contains("duplicate"));
    }
}
