//! One issuer of the configuration, its references resolved.

use std::collections::BTreeSet;

use base64::Engine as _;

use crate::algorithm::Algorithm;
use crate::config::{self, ConfigError};
use crate::jwk::{DEFAULT_LIMITS, KeySet};
use crate::keys::KeySource;
use crate::places::Places;
use crate::remote::Remote;
use crate::statement::Claims;
use crate::text::TextMatch;
use crate::token::MAX_TOKEN_LENGTH;
use crate::verify::Expectations;

/// How many verified tokens of one provider a worker remembers, unless configured: about a megabyte.
const DEFAULT_REMEMBERED: usize = 1000;

/// More would let tokens count that expired long ago.
const MAX_CLOCK_SKEW: u32 = 3600;

/// One issuer.
pub struct Provider {
    /// The name in the configuration.
    pub name: String,
    pub(crate) expected: Expectations,
    pub(crate) places: Places,
    pub(crate) forward: bool,
    pub(crate) claims: Claims,
    pub(crate) clear_route_cache: bool,
    pub(crate) remembered: usize,
    /// The longest token that is remembered, in bytes.
    longest_remembered: usize,
    keys: Keys,
}

enum Keys {
    Local(String),
    Remote(Box<Remote>),
}

/// What all providers have in common.
pub(crate) struct Defaults<'d> {
    pub(crate) algorithms: &'d [Algorithm],
    pub(crate) types: &'d [String],
    pub(crate) environment: &'d dyn Fn(&str) -> Option<String>,
    /// Where the workers share keys.
    pub(crate) namespace: &'d str,
}

impl Provider {
    pub(crate) fn new(name: String, from: config::Provider, defaults: &Defaults<'_>) -> Result<Self, ConfigError> {
        let at = format!("providers.{name}");
        if from.issuer.is_empty() {
            return Err(ConfigError::new(format!("{at}.issuer"), "empty: an identity is an issuer and a subject"));
        }
        let keys = match (from.remote_jwks, from.local_jwks) {
            (Some(remote), None) => {
                let at = format!("{at}.remote_jwks");
                Keys::Remote(Box::new(Remote::new(&at, &from.issuer, defaults.namespace, remote)?))
            }
            (None, Some(local)) => local_keys(&format!("{at}.local_jwks"), local, defaults.environment)?,
            _ => return Err(ConfigError::new(at, "give exactly one of remote_jwks and local_jwks")),
        };
        let algorithms = from.allowed_algorithms.unwrap_or_else(|| defaults.algorithms.to_vec());
        if algorithms.is_empty() {
            return Err(ConfigError::new(format!("{at}.allowed_algorithms"), "empty: no token could be accepted"));
        }
        if from.clock_skew_seconds > MAX_CLOCK_SKEW {
            return Err(ConfigError::new(format!("{at}.clock_skew_seconds"), "at most 3600: mend the clocks"));
        }
        check_distinct(&at, &from.claim_to_headers, from.forward_payload_header.as_deref())?;
        let subjects = from.subjects.map(|matcher| TextMatch::new(&format!("{at}.subjects"), matcher)).transpose()?;
        let expected = Expectations {
            issuer: from.issuer.into(),
            audiences: from.audiences,
            subjects,
            algorithms,
            types: defaults.types.to_vec(),
            leeway: from.clock_skew_seconds.into(),
            max_lifetime: from.max_lifetime.map(|lifetime| lifetime.as_secs()),
        };
        let payload = from.forward_payload_header;
        let (remembered, longest_remembered) = match from.jwt_cache_config {
            None => (DEFAULT_REMEMBERED, MAX_TOKEN_LENGTH),
            Some(cache) => (bound(cache.jwt_cache_size), longest_of(cache.jwt_max_token_size)),
        };
        Ok(Self {
            expected,
            places: Places::new(&at, from.from_headers, from.from_params, from.from_cookies)?,
            forward: from.forward,
            claims: Claims::new(&at, from.claim_to_headers, payload, from.pad_forward_payload_header)?,
            clear_route_cache: from.clear_route_cache,
            remembered,
            longest_remembered,
            keys,
            name,
        })
    }

    /// Whether a token, once verified, is remembered.
    pub(crate) fn remembers(&self, token: &str) -> bool {
        self.remembered > 0 && token.len() <= self.longest_remembered
    }

    /// Its keys as they are before anything happened.
    pub fn key_source(&self) -> Result<KeySource, ConfigError> {
        match &self.keys {
            Keys::Local(document) => KeySet::parse(document.as_bytes(), DEFAULT_LIMITS)
                .map(KeySource::fixed)
                .map_err(|error| ConfigError::new(format!("providers.{}.local_jwks", self.name), error.to_string())),
            Keys::Remote(remote) => Ok(KeySource::remote(remote.settings)),
        }
    }

    /// Where its keys are fetched from, when they are remote.
    pub fn remote(&self) -> Option<&Remote> {
        match &self.keys {
            Keys::Local(_) => None,
            Keys::Remote(remote) => Some(remote),
        }
    }
}

/// Two values for one header, in whichever spelling: which of them would count?
fn check_distinct(at: &str, claims: &[config::ClaimToHeader], payload: Option<&str>) -> Result<(), ConfigError> {
    let spelling = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let mut seen: BTreeSet<String> = payload.map(spelling).into_iter().collect();
    match claims.iter().position(|claim| !seen.insert(spelling(&claim.header_name))) {
        None => Ok(()),
        Some(index) => {
            let at = format!("{at}.claim_to_headers[{index}].header_name");
            Err(ConfigError::new(at, "this header has another value already"))
        }
    }
}

fn bound(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// As in jwt_authn, 0 stands for no choice.
fn longest_of(size: u32) -> usize {
    if size == 0 { MAX_TOKEN_LENGTH } else { bound(size) }
}

fn local_keys(
    at: &str,
    from: config::DataSource,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Keys, ConfigError> {
    let document = match (from.inline_string, from.inline_bytes, from.environment_variable) {
        (Some(text), None, None) => text,
        (None, Some(base64), None) => base64::prelude::BASE64_STANDARD
            .decode(base64)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| ConfigError::new(format!("{at}.inline_bytes"), "not UTF-8 text in base64"))?,
        (None, None, Some(name)) => environment(&name).ok_or_else(|| {
            ConfigError::new(format!("{at}.environment_variable"), format!("the VM has no variable {name}"))
        })?,
        _ => return Err(ConfigError::new(at, "give exactly one of inline_string, inline_bytes, environment_variable")),
    };
    KeySet::parse(document.as_bytes(), DEFAULT_LIMITS).map_err(|error| ConfigError::new(at, error.to_string()))?;
    Ok(Keys::Local(document))
}
