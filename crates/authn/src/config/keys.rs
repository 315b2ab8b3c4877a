//! Where a provider's keys come from.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// Keys fetched through an Envoy cluster (`RemoteJwks`); exactly one of `http_uri` and `discovery`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RemoteJwks {
    /// Where the keys are.
    #[serde(alias = "httpUri")]
    pub http_uri: Option<HttpUri>,
    /// Where the issuer says where its keys are (OpenID Connect Discovery). Beyond jwt_authn.
    pub discovery: Option<Discovery>,
    /// How long keys are used before they are fetched again (10 min); the answer's `Cache-Control` may shorten it.
    #[serde(alias = "cacheDuration", deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cache_duration: Option<Duration>,
    /// When to try again after a failed fetch. Keys are always fetched in the background.
    #[serde(alias = "asyncFetch")]
    pub async_fetch: Option<AsyncFetch>,
    /// Quicker tries after a failed fetch.
    #[serde(alias = "retryPolicy")]
    pub retry_policy: Option<RetryPolicy>,
    /// The pause after a fetch, good or bad, before an unknown `kid` may cause another (5 s). Beyond jwt_authn.
    #[serde(alias = "unknownKeyCooldown", deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub unknown_key_cooldown: Option<Duration>,
    /// How long keys are used when they can't be fetched again (24 h). Beyond jwt_authn.
    #[serde(alias = "staleLimit", deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub stale_limit: Option<Duration>,
    /// The longest document, in bytes (1 MiB). Beyond jwt_authn.
    #[serde(alias = "maxSize")]
    pub max_size: Option<usize>,
    /// The most keys in a document (200). Beyond jwt_authn.
    #[serde(alias = "maxKeys")]
    pub max_keys: Option<usize>,
}

/// A URL and the cluster that leads there (`envoy.config.core.v3.HttpUri`).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpUri {
    /// An absolute `http` or `https` URL.
    pub uri: String,
    /// The Envoy cluster.
    pub cluster: String,
    /// For the whole exchange (5 s).
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub timeout: Option<Duration>,
}

/// Finds the keys through the issuer's metadata, whose `issuer` must equal the provider's.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// The metadata, as in `https://idp.example.com/.well-known/openid-configuration`.
    #[serde(alias = "httpUri")]
    pub http_uri: HttpUri,
    /// The cluster of the keys, when their host is another.
    #[serde(default, alias = "jwksCluster")]
    pub jwks_cluster: Option<String>,
}

/// When to try again after a failed fetch (`JwksAsyncFetch`).
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AsyncFetch {
    /// Accepted for compatibility: the listener never waits; the first requests do, up to 3 s.
    #[serde(alias = "fastListener")]
    pub fast_listener: bool,
    /// The pause after a failed fetch, once the quick tries are used up (5 s).
    #[serde(alias = "failedRefetchDuration", deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub failed_refetch_duration: Option<Duration>,
}

/// Quicker tries after a failed fetch (`envoy.config.core.v3.RetryPolicy`).
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// How many (1).
    #[serde(alias = "numRetries")]
    pub num_retries: Option<u32>,
    /// The pauses before them.
    #[serde(alias = "retryBackOff")]
    pub retry_back_off: Option<BackOff>,
}

/// Growing pauses (`envoy.config.core.v3.BackoffStrategy`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BackOff {
    /// The first pause.
    #[serde(alias = "baseInterval", deserialize_with = "duration::required")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub base_interval: Duration,
    /// The longest pause (10 times the first).
    #[serde(default, alias = "maxInterval", deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub max_interval: Option<Duration>,
}

/// Keys at hand (`envoy.config.core.v3.DataSource`); exactly one field.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DataSource {
    /// The JWK set.
    #[serde(alias = "inlineString")]
    pub inline_string: Option<String>,
    /// The JWK set in base64.
    #[serde(alias = "inlineBytes")]
    pub inline_bytes: Option<String>,
    /// The environment variable of the VM that holds the JWK set.
    #[serde(alias = "environmentVariable")]
    pub environment_variable: Option<String>,
}
