//! Where a provider's keys are fetched from: a URL, or the issuer's metadata that names one.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::config::{self, ConfigError};
use crate::json;
use crate::jwk::KeySetLimits;
use crate::keys::{KeySettings, RetryPauses};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// No fetch takes longer: it would hold up all others of its provider.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(5);
/// Shorter pauses would have strangers make an issuer's load.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How a provider's keys are fetched.
pub struct Remote {
    pub(crate) settings: KeySettings,
    issuer: String,
    /// Where this configuration's records lie in shared data.
    namespace: String,
    first: Url,
    /// The cluster of the keys, when the first answer is the metadata that says where they are.
    discovers: Option<String>,
}

struct Url {
    scheme: String,
    authority: String,
    path: String,
    cluster: String,
    timeout: Duration,
}

/// A GET request to be sent through a cluster.
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

impl Remote {
    pub(crate) fn new(at: &str, issuer: &str, namespace: &str, from: config::RemoteJwks) -> Result<Self, ConfigError> {
        let settings = settings(at, &from)?;
        let (uri, discovery, field) = match (from.http_uri, from.discovery) {
            (Some(uri), None) => (uri, None, "http_uri"),
            (None, Some(discovery)) => (discovery.http_uri.clone(), Some(discovery), "discovery.http_uri"),
            _ => return Err(ConfigError::new(at, "give exactly one of http_uri and discovery")),
        };
        let (scheme, authority, path) = split_url(&uri.uri)
            .ok_or_else(|| ConfigError::new(format!("{at}.{field}.uri"), "not an absolute http or https URL"))?;
        let timeout = uri.timeout.unwrap_or(DEFAULT_TIMEOUT);
        if timeout < Duration::from_millis(1) || timeout > LONGEST_TIMEOUT {
            return Err(ConfigError::new(format!("{at}.{field}.timeout"), "between 0.001s and 300s"));
        }
        let first = Url {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            cluster: uri.cluster.clone(),
            timeout,
        };
        let jwks_cluster = discovery.map(|discovery| discovery.jwks_cluster.unwrap_or(uri.cluster));
        let (issuer, namespace) = (issuer.to_owned(), namespace.to_owned());
        Ok(Self { settings, issuer, namespace, first, discovers: jwks_cluster })
    }

    /// A name for what the workers share about these keys. Providers with the same issuer and URL may share them.
    pub fn shared_name(&self) -> String {
        let Url { scheme, authority, path, cluster, .. } = &self.first;
        let discovers = self.discovers.as_deref().unwrap_or_default();
        let whole = [self.namespace.as_str(), &self.issuer, scheme, authority, path, cluster, discovers].join("\n");
        format!("oidc-filter:{}", hex::encode(Sha256::digest(whole.as_bytes())))
    }

    /// The longest answer that is read, in bytes.
    pub fn max_size(&self) -> usize {
        self.settings.limits.bytes
    }

    /// How long a fetch may take in all.
    pub fn longest_fetch(&self) -> Duration {
        self.first.timeout.saturating_mul(2).saturating_add(Duration::from_secs(1))
    }

    /// The first request: for the metadata when the keys are to be discovered, else for the keys.
    pub fn first(&self) -> Fetch<'_> {
        let Url { scheme, authority, path, cluster, timeout } = &self.first;
        Fetch { cluster, scheme, authority, path, timeout: *timeout }
    }

    /// Whether the answer to the first request is the issuer's metadata.
    pub fn discovers(&self) -> bool {
        self.discovers.is_some()
    }

    /// `jwks_uri` of this issuer's metadata. Nothing for another's: "The issuer value returned MUST be identical to
    /// the Issuer URL that was used" (OpenID Connect Discovery section 4.3).
    pub fn jwks_uri(&self, metadata: &[u8]) -> Option<String> {
        let metadata = json::object(metadata)?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str);
        (text("issuer")? == self.issuer).then(|| text("jwks_uri").map(str::to_owned)).flatten()
    }

    /// The second request, for the keys that the metadata named. Nothing for a URL that can't be trusted: keys
    /// fetched in the clear for an issuer with TLS would be anybody's.
    pub fn second<'d>(&'d self, jwks_uri: &'d str) -> Option<Fetch<'d>> {
        let cluster = self.discovers.as_deref()?;
        let (scheme, authority, path) = split_url(jwks_uri)?;
        let in_the_clear = self.first.scheme == "https" && scheme != "https";
        (!in_the_clear).then_some(Fetch { cluster, scheme, authority, path, timeout: self.first.timeout })
    }
}

fn settings(at: &str, from: &config::RemoteJwks) -> Result<KeySettings, ConfigError> {
    let default = KeySettings::default();
    let refetch = from.async_fetch.as_ref().and_then(|fetch| fetch.failed_refetch_duration);
    let cache = from.cache_duration.unwrap_or(default.cache);
    let settings = KeySettings {
        cache,
        cooldown: from.unknown_key_cooldown.unwrap_or(default.cooldown),
        refetch: refetch.unwrap_or(default.refetch),
        retry: from.retry_policy.as_ref().map_or(Ok(default.retry), |policy| retry(at, policy))?,
        stale_limit: from.stale_limit.unwrap_or(default.stale_limit.max(cache)),
        limits: KeySetLimits {
            bytes: from.max_size.unwrap_or(default.limits.bytes),
            keys: from.max_keys.unwrap_or(default.limits.keys),
        },
    };
    let refuse = |field: &str, problem: &str| Err(ConfigError::new(format!("{at}.{field}"), problem));
    if settings.cooldown < SHORTEST_PAUSE {
        return refuse("unknown_key_cooldown", "at least 0.1s: anybody can invent a key");
    }
    if settings.refetch < SHORTEST_PAUSE {
        return refuse("async_fetch.failed_refetch_duration", "at least 0.1s");
    }
    if settings.stale_limit < settings.cache {
        return refuse("stale_limit", "at least cache_duration, or keys would be too old before they are renewed");
    }
    if settings.limits.bytes == 0 {
        return refuse("max_size", "0: no key set could be read");
    }
    if settings.limits.keys == 0 {
        return refuse("max_keys", "0: no key set could be read");
    }
    Ok(settings)
}

fn retry(at: &str, from: &config::RetryPolicy) -> Result<RetryPauses, ConfigError> {
    let pauses = from.retry_back_off.as_ref();
    let first = pauses.map_or(Duration::from_secs(1), |pauses| pauses.base_interval);
    let longest = pauses.and_then(|pauses| pauses.max_interval).unwrap_or(first.saturating_mul(10));
    let at = format!("{at}.retry_policy.retry_back_off");
    if first.is_zero() {
        return Err(ConfigError::new(format!("{at}.base_interval"), "more than 0s"));
    }
    if longest < first {
        return Err(ConfigError::new(format!("{at}.max_interval"), "at least base_interval"));
    }
    Ok(RetryPauses { count: from.num_retries.unwrap_or(1), first, longest })
}

/// Scheme, authority, and path with query of an absolute URL. User information and fragments are refused.
fn split_url(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "/"),
    };
    let plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let known = matches!(scheme, "http" | "https") && !authority.is_empty() && !authority.contains('@');
    (known && plain && path.starts_with('/')).then_some((scheme, authority, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn build(remote: Value) -> Result<Remote, ConfigError> {
        Remote::new("at", "https://idp.example", "", serde_json::from_value(remote).unwrap())
    }

    fn discovering() -> Remote {
        build(json!({"discovery": {
            "http_uri": {"uri": "https://idp.example/.well-known/openid-configuration", "cluster": "idp"},
            "jwks_cluster": "keys",
        }}))
        .unwrap()
    }

    #[test]
    fn urls_are_taken_apart_and_odd_ones_refused() {
        assert_eq!(split_url("https://h:8/a/b?c"), Some(("https", "h:8", "/a/b?c")));
        assert_eq!(split_url("http://h"), Some(("http", "h", "/")));
        for bad in ["h/a", "ftp://h/a", "https:///a", "https://u@h/a", "https://h/a b", "https://h?a", "https://h/a#b"]
        {
            assert_eq!(split_url(bad), None, "{bad}");
        }
    }

    /// OpenID Connect Discovery section 4.3.
    #[test]
    fn the_metadata_of_another_issuer_leads_nowhere() {
        let remote = discovering();
        assert_eq!((remote.first().cluster, remote.first().path), ("idp", "/.well-known/openid-configuration"));
        let uri = |issuer: &str| {
            let metadata = json!({"issuer": issuer, "jwks_uri": "https://keys.example/jwks"}).to_string();
            remote.jwks_uri(metadata.as_bytes())
        };
        assert_eq!(uri("https://idp.example").as_deref(), Some("https://keys.example/jwks"));
        assert_eq!(uri("https://idp.example/"), None);
        assert_eq!(remote.jwks_uri(b"<html>"), None);
    }

    #[test]
    fn discovered_keys_are_fetched_through_their_own_cluster_and_never_in_the_clear() {
        let remote = discovering();
        let fetch = remote.second("https://keys.example/jwks").unwrap();
        assert_eq!((fetch.cluster, fetch.authority, fetch.path), ("keys", "keys.example", "/jwks"));
        assert_eq!(remote.second("http://keys.example/jwks"), None);
        assert_eq!(remote.second("file:///etc/passwd"), None);
    }

    #[test]
    fn settings_that_can_not_work_or_would_harm_the_issuer_are_refused() {
        let uri = json!({"uri": "https://h/j", "cluster": "c"});
        for (field, value, at) in [
            ("unknown_key_cooldown", json!("0s"), "at.unknown_key_cooldown"),
            ("async_fetch", json!({"failed_refetch_duration": "0.01s"}), "at.async_fetch.failed_refetch_duration"),
            ("stale_limit", json!("599s"), "at.stale_limit"),
            ("max_size", json!(0), "at.max_size"),
            ("max_keys", json!(0), "at.max_keys"),
            (
                "retry_policy",
                json!({"retry_back_off": {"base_interval": "0s"}}),
                "at.retry_policy.retry_back_off.base_interval",
            ),
            (
                "retry_policy",
                json!({"retry_back_off": {"base_interval": "2s", "max_interval": "1s"}}),
                "at.retry_policy.retry_back_off.max_interval",
            ),
            ("http_uri", json!({"uri": "https://h/j", "cluster": "c", "timeout": "0s"}), "at.http_uri.timeout"),
            ("http_uri", json!({"uri": "https://h/j", "cluster": "c", "timeout": "301s"}), "at.http_uri.timeout"),
        ] {
            let mut remote = json!({"http_uri": uri});
            remote[field] = value;
            assert_eq!(build(remote.clone()).err().unwrap().path, at, "{remote}");
        }
        let slow = build(json!({"http_uri": uri, "cache_duration": "172800s"})).unwrap();
        assert_eq!(slow.settings.stale_limit, slow.settings.cache, "the default gives way");
    }

    #[test]
    fn keys_come_from_exactly_one_place() {
        let uri = json!({"uri": "https://h/j", "cluster": "c"});
        for remote in [json!({}), json!({"http_uri": uri, "discovery": {"http_uri": uri}})] {
            assert_eq!(build(remote).err().unwrap().path, "at");
        }
        let bad = build(json!({"http_uri": {"uri": "/j", "cluster": "c"}})).err().unwrap();
        assert_eq!(bad.path, "at.http_uri.uri");
    }
}
