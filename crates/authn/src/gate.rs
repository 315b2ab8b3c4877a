//! The decision about one request: a configured [`Gate`] is given what the request brings and says what to do.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::{self, Config, ConfigError};
use crate::hygiene::{OwnedHeaders, check_header_name, is_header_value};
use crate::jwk::{DEFAULT_LIMITS, KeySet, KeySetLimits};
use crate::keys::{KeySettings, KeySource};
use crate::path::Path;
use crate::refusal::Refusal;
use crate::token::UnverifiedToken;
use crate::verify::{Expectations, VerifiedClaims};

/// Everything that decides, built once from a configuration.
pub struct Gate {
    providers: Vec<Provider>,
    rules: Vec<Rule>,
    owned: OwnedHeaders,
    identity: Option<Identity>,
}

/// One issuer, its references resolved.
pub struct Provider {
    /// The name in the configuration.
    pub name: String,
    expected: Expectations,
    keys: Keys,
    forward: bool,
    claim_headers: Vec<config::ClaimToHeader>,
}

enum Keys {
    Local(String),
    Remote(config::RemoteJwks),
}

struct Rule {
    matches: Match,
    /// The index of the provider, or nothing for a public rule.
    provider: Option<usize>,
}

enum Match {
    Prefix(String),
    Path(String),
}

struct Identity {
    headers: config::IdentityHeaders,
    assertion: Option<Assertion>,
}

struct Assertion {
    signer: identity::Signer,
    header: String,
    lifetime: u64,
    claims: Vec<String>,
}

/// What a request on a protected path must bring, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The index of the provider that must have issued it.
    pub provider: usize,
    /// The token.
    pub token: String,
}

/// How a verified request goes on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Headers to remove.
    pub remove: Vec<&'static str>,
    /// Headers to set, each replacing all of its name.
    pub set: Vec<(String, String)>,
}

impl Gate {
    /// Checks the references between the fields of a configuration. `environment` looks a variable of the VM up.
    pub fn new(config: Config, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let names: Vec<String> = config.providers.keys().cloned().collect();
        let (algorithms, types) = (config.allowed_algorithms, config.accepted_types);
        if algorithms.is_empty() {
            return Err(ConfigError::new("allowed_algorithms", "empty: no token could ever be accepted"));
        }
        let providers = config
            .providers
            .into_iter()
            .map(|(name, provider)| Provider::new(name, provider, &algorithms, &types))
            .collect::<Result<Vec<_>, _>>()?;
        let rules = config
            .rules
            .into_iter()
            .enumerate()
            .map(|(index, rule)| Rule::new(&format!("rules[{index}]"), rule, &names))
            .collect::<Result<Vec<_>, _>>()?;
        let identity = config.identity.map(|identity| Identity::new(identity, environment)).transpose()?;
        let owned = OwnedHeaders::new(
            identity.iter().flat_map(Identity::header_names).chain(providers.iter().flat_map(Provider::header_names)),
        );
        Ok(Self { providers, rules, owned, identity })
    }

    /// The providers, in the order to which [`Credential::provider`] refers.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Names of client-supplied headers that must go before anything else happens, on every route.
    pub fn forged_headers<'h>(&self, headers: &'h [(String, Vec<u8>)]) -> Vec<&'h str> {
        self.owned.forged(headers)
    }

    /// What the request must bring: nothing on a public path, else its credential.
    pub fn credential(&self, path: &[u8], headers: &[(String, Vec<u8>)]) -> Result<Option<Credential>, Refusal> {
        let path = Path::parse(path).ok_or(Refusal::NoRule)?;
        let rule = self.rules.iter().find(|rule| rule.applies(&path)).ok_or(Refusal::NoRule)?;
        let Some(provider) = rule.provider else {
            return Ok(None);
        };
        Ok(Some(Credential { provider, token: bearer(headers)? }))
    }

    /// Judges a credential at `now` (Unix seconds) with the provider's keys, if there are any.
    /// [`Refusal::UnknownKey`] and [`Refusal::NoKeys`] may change with newer keys; no other refusal does.
    pub fn judge(&self, credential: &Credential, keys: Option<&KeySet>, now: u64) -> Result<Changes, Refusal> {
        let provider = self.providers.get(credential.provider).ok_or(Refusal::NoRule)?;
        let token = UnverifiedToken::parse(&credential.token)?;
        token.check_claims(&provider.expected, now)?;
        let verified = token.verify(keys.ok_or(Refusal::NoKeys)?, &provider.expected, now)?;
        self.changes(provider, verified, now)
    }

    fn changes(&self, provider: &Provider, verified: VerifiedClaims, now: u64) -> Result<Changes, Refusal> {
        let mut changes = Changes::default();
        if !provider.forward {
            changes.remove.push("authorization");
        }
        for one in &provider.claim_headers {
            if let Some(claim) = verified.claims.get(&one.claim_name) {
                changes.set.push((one.header_name.clone(), header_value(claim)?));
            }
        }
        if let Some(identity) = &self.identity {
            identity.state(verified, now, &mut changes)?;
        }
        let safe = changes.set.iter().all(|(_, value)| is_header_value(value));
        if safe { Ok(changes) } else { Err(Refusal::ClaimValue) }
    }
}

impl Provider {
    fn new(
        name: String,
        from: config::Provider,
        algorithms: &[crate::Algorithm],
        types: &[String],
    ) -> Result<Self, ConfigError> {
        let at = |field: &str| format!("providers.{name}.{field}");
        if from.issuer.is_empty() {
            return Err(ConfigError::new(at("issuer"), "empty: an identity is an issuer and a subject"));
        }
        let keys = match (from.remote_jwks, from.local_jwks) {
            (Some(remote), None) => Keys::Remote(remote),
            (None, Some(local)) => {
                KeySet::parse(local.inline_string.as_bytes(), DEFAULT_LIMITS)
                    .map_err(|error| ConfigError::new(at("local_jwks.inline_string"), error.to_string()))?;
                Keys::Local(local.inline_string)
            }
            _ => return Err(ConfigError::new(at("remote_jwks"), "give exactly one of remote_jwks and local_jwks")),
        };
        if let Keys::Remote(remote) = &keys {
            split_url(&remote.http_uri.uri)
                .ok_or_else(|| ConfigError::new(at("remote_jwks.http_uri.uri"), "not an absolute http or https URL"))?;
        }
        for (index, one) in from.claim_to_headers.iter().enumerate() {
            check_header_name(&one.header_name)
                .map_err(|problem| ConfigError::new(at(&format!("claim_to_headers[{index}].header_name")), problem))?;
        }
        let expected = Expectations {
            issuer: from.issuer,
            audiences: from.audiences,
            algorithms: algorithms.to_vec(),
            types: types.to_vec(),
            leeway: from.clock_skew_seconds,
            max_lifetime: from.max_lifetime.map(|lifetime| lifetime.as_secs()),
        };
        Ok(Self { name, expected, keys, forward: from.forward, claim_headers: from.claim_to_headers })
    }

    fn header_names(&self) -> impl Iterator<Item = String> {
        self.claim_headers.iter().map(|one| one.header_name.clone())
    }

    /// Where its keys live before anything happened.
    pub fn key_source(&self) -> Result<KeySource, ConfigError> {
        match &self.keys {
            Keys::Local(document) => KeySet::parse(document.as_bytes(), DEFAULT_LIMITS)
                .map(KeySource::fixed)
                .map_err(|error| ConfigError::new(format!("providers.{}.local_jwks", self.name), error.to_string())),
            Keys::Remote(remote) => Ok(KeySource::remote(settings(remote))),
        }
    }

    /// How to fetch its keys, when they are remote.
    pub fn fetch(&self) -> Option<Fetch<'_>> {
        let Keys::Remote(remote) = &self.keys else {
            return None;
        };
        let (scheme, authority, path) = split_url(&remote.http_uri.uri)?;
        let timeout = remote.http_uri.timeout.unwrap_or(Duration::from_secs(5));
        Some(Fetch { cluster: &remote.http_uri.cluster, scheme, authority, path, timeout })
    }
}

/// A GET request for a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch<'p> {
    /// The Envoy cluster.
    pub cluster: &'p str,
    /// `:scheme`.
    pub scheme: &'p str,
    /// `:authority`.
    pub authority: &'p str,
    /// `:path`.
    pub path: &'p str,
    /// For the whole exchange.
    pub timeout: Duration,
}

fn split_url(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "/"),
    };
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic());
    let known = matches!(scheme, "http" | "https");
    (known && !authority.is_empty() && plain(rest)).then_some((scheme, authority, path))
}

fn settings(remote: &config::RemoteJwks) -> KeySettings {
    let default = KeySettings::default();
    KeySettings {
        cache: remote.cache_duration.unwrap_or(default.cache),
        cooldown: remote.unknown_key_cooldown.unwrap_or(default.cooldown),
        stale_limit: remote.stale_limit.unwrap_or(default.stale_limit),
        limits: KeySetLimits {
            bytes: remote.max_size.unwrap_or(default.limits.bytes),
            keys: remote.max_keys.unwrap_or(default.limits.keys),
        },
    }
}

impl Rule {
    fn new(at: &str, from: config::Rule, providers: &[String]) -> Result<Self, ConfigError> {
        let matches = match (from.r#match.prefix, from.r#match.path) {
            (Some(prefix), None) => Match::Prefix(prefix),
            (None, Some(path)) => Match::Path(path),
            _ => return Err(ConfigError::new(format!("{at}.match"), "give exactly one of prefix and path")),
        };
        let (Match::Prefix(text) | Match::Path(text)) = &matches;
        if !text.starts_with('/') {
            return Err(ConfigError::new(format!("{at}.match"), "a path begins with a slash"));
        }
        let provider = from
            .requires
            .map(|requirement| {
                let known = providers.iter().position(|name| *name == requirement.provider_name);
                known.ok_or_else(|| ConfigError::new(format!("{at}.requires.provider_name"), "no such provider"))
            })
            .transpose()?;
        Ok(Self { matches, provider })
    }

    /// A path with two readings is judged by the protected rules alone.
    fn applies(&self, path: &Path) -> bool {
        if path.doubtful && self.provider.is_none() {
            return false;
        }
        match &self.matches {
            Match::Prefix(prefix) => path.normalised.starts_with(prefix),
            Match::Path(exact) => path.normalised == *exact,
        }
    }
}

impl Identity {
    fn new(from: config::Identity, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let names = [
            ("headers.issuer", &from.headers.issuer),
            ("headers.subject", &from.headers.subject),
            ("headers.name", &from.headers.name),
        ];
        for (field, name) in names {
            check_header_name(name).map_err(|problem| ConfigError::new(format!("identity.{field}"), problem))?;
        }
        let assertion = from.assertion.map(|assertion| Assertion::new(assertion, environment)).transpose()?;
        Ok(Self { headers: from.headers, assertion })
    }

    fn header_names(&self) -> Vec<String> {
        let assertion = self.assertion.as_ref().map(|assertion| &assertion.header);
        [&self.headers.issuer, &self.headers.subject, &self.headers.name]
            .into_iter()
            .chain(assertion)
            .cloned()
            .collect()
    }

    fn state(&self, verified: VerifiedClaims, now: u64, changes: &mut Changes) -> Result<(), Refusal> {
        let name = identity::display_name(&verified.subject, &verified.claims);
        changes.set.push((self.headers.issuer.clone(), verified.issuer.clone()));
        changes.set.push((self.headers.subject.clone(), verified.subject.clone()));
        changes.set.push((self.headers.name.clone(), name.clone()));
        if let Some(assertion) = &self.assertion {
            let caller = identity::Identity {
                principal: identity::Principal { issuer: verified.issuer, subject: verified.subject },
                name,
                claims: assertion.forwarded(verified.claims),
                token_sha256: verified.token_sha256,
            };
            let signed = assertion.signer.sign(&caller, now, assertion.lifetime).map_err(|_| Refusal::ClaimValue)?;
            changes.set.push((assertion.header.clone(), signed));
        }
        Ok(())
    }
}

impl Assertion {
    fn new(from: config::Assertion, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let at = |field: &str| format!("identity.assertion.{field}");
        check_header_name(&from.header).map_err(|problem| ConfigError::new(at("header"), problem))?;
        let lifetime = from.lifetime.map_or(identity::MAX_LIFETIME_SECONDS, |lifetime| lifetime.as_secs());
        if lifetime == 0 || lifetime > identity::MAX_LIFETIME_SECONDS {
            return Err(ConfigError::new(at("lifetime"), "between 1s and 60s"));
        }
        let key = environment(&from.signing_key_env).ok_or_else(|| {
            let problem = format!(
                "the VM has no environment variable {}; see vm_config.environment_variables",
                from.signing_key_env
            );
            ConfigError::new(at("signing_key_env"), problem)
        })?;
        let signer = identity::Signer::new(&key, &from.issuer, &from.audience)
            .map_err(|error| ConfigError::new(at("signing_key_env"), error.to_string()))?;
        Ok(Self { signer, header: from.header, lifetime, claims: from.claims })
    }

    fn forwarded(&self, claims: Map<String, Value>) -> Map<String, Value> {
        if self.claims.iter().any(|claim| claim == "*") {
            return claims;
        }
        claims.into_iter().filter(|(name, _)| self.claims.contains(name)).collect()
    }
}

/// The token of the one `Authorization` header with the scheme `Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &[(String, Vec<u8>)]) -> Result<String, Refusal> {
    let mut all = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let (_, value) = all.next().ok_or(Refusal::Missing)?;
    if all.next().is_some() {
        return Err(Refusal::Ambiguous);
    }
    let value = std::str::from_utf8(value).map_err(|_| Refusal::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Missing);
    }
    Ok(token.trim_matches(' ').to_owned())
}

/// A claim as the text of a header: strings as they are, other values as JSON.
fn header_value(claim: &Value) -> Result<String, Refusal> {
    let text = match claim {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => claim.to_string(),
        _ => return Err(Refusal::ClaimValue),
    };
    if is_header_value(&text) { Ok(text) } else { Err(Refusal::ClaimValue) }
}

#[cfg(test)]
mod tests;
