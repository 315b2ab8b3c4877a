//! One issuer.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::keys::{DataSource, RemoteJwks};
use crate::algorithm::Algorithm;

/// One issuer (`JwtProvider`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of jwt_authn")]
pub struct Provider {
    /// `iss` of its tokens; required here, since an identity is an issuer and a subject.
    pub issuer: String,
    /// A token must be meant for one of these; with none, `aud` is not looked at.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Which subjects it may vouch for; all when absent.
    #[serde(default)]
    pub subjects: Option<StringMatcher>,
    /// Accepted for compatibility: `exp` is always required.
    #[serde(default, alias = "requireExpiration")]
    pub require_expiration: bool,
    /// The longest remaining life of an accepted token.
    #[serde(default, alias = "maxLifetime", deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub max_lifetime: Option<Duration>,
    /// Keys fetched through a cluster.
    #[serde(default, alias = "remoteJwks")]
    pub remote_jwks: Option<RemoteJwks>,
    /// Keys written here.
    #[serde(default, alias = "localJwks")]
    pub local_jwks: Option<DataSource>,
    /// Whether the upstream gets the token too.
    #[serde(default)]
    pub forward: bool,
    /// Headers that may carry the token; with no place named, `Authorization: Bearer`.
    #[serde(default, alias = "fromHeaders")]
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that may carry the token.
    #[serde(default, alias = "fromParams")]
    pub from_params: Vec<String>,
    /// Cookies that may carry the token.
    #[serde(default, alias = "fromCookies")]
    pub from_cookies: Vec<String>,
    /// A header that carries the verified payload, base64url.
    #[serde(default, alias = "forwardPayloadHeader")]
    pub forward_payload_header: Option<String>,
    /// Pads that header with `=`.
    #[serde(default, alias = "padForwardPayloadHeader")]
    pub pad_forward_payload_header: bool,
    /// Claims that become headers.
    #[serde(default, alias = "claimToHeaders")]
    pub claim_to_headers: Vec<ClaimToHeader>,
    /// Has Envoy choose the route again when claims became headers.
    #[serde(default, alias = "clearRouteCache")]
    pub clear_route_cache: bool,
    /// How far clocks may differ, in seconds.
    #[serde(default = "default_clock_skew", alias = "clockSkewSeconds")]
    pub clock_skew_seconds: u32,
    /// How many verified tokens a worker remembers.
    #[serde(default, alias = "jwtCacheConfig")]
    pub jwt_cache_config: Option<JwtCacheConfig>,
    /// The algorithms that may sign for this provider. Beyond jwt_authn.
    #[serde(default, alias = "allowedAlgorithms")]
    pub allowed_algorithms: Option<Vec<Algorithm>>,
}

/// As in jwt_authn.
fn default_clock_skew() -> u32 {
    60
}

/// A header that may carry the token (`JwtHeader`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JwtHeader {
    /// The header.
    pub name: String,
    /// What stands before the token, as in `"Bearer "`.
    #[serde(default, alias = "valuePrefix")]
    pub value_prefix: String,
}

/// A claim and the header that carries it (`JwtClaimToHeader`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The header.
    #[serde(alias = "headerName")]
    pub header_name: String,
    /// The claim; dots lead into nested objects. This or `claim_path`.
    #[serde(default, alias = "claimName")]
    pub claim_name: String,
    /// The names that lead to the claim, each to the letter. This or `claim_name`.
    #[serde(default, alias = "claimPath")]
    pub claim_path: Vec<PathSegment>,
    /// Leaves the header out when the claim can't be one, instead of refusing the request. Beyond jwt_authn.
    #[serde(default, alias = "omitInvalid")]
    pub omit_invalid: bool,
}

/// One step into nested objects (`JwtClaimToHeader.PathSegment`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PathSegment {
    /// The name of a member.
    pub key: String,
}

/// How many verified tokens a worker remembers (`JwtCacheConfig`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JwtCacheConfig {
    /// The number of tokens (100, as in jwt_authn); 0 turns the cache off.
    #[serde(default = "default_cache_size", alias = "jwtCacheSize")]
    pub jwt_cache_size: u32,
    /// Longer tokens are verified each time; when absent or 0, every token that is accepted may be remembered.
    #[serde(default, alias = "jwtMaxTokenSize")]
    pub jwt_max_token_size: u32,
}

/// As in jwt_authn, whose printed form leaves the default out.
fn default_cache_size() -> u32 {
    100
}

/// A condition on a string (`envoy.type.matcher.v3.StringMatcher`); exactly one of the first five.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct StringMatcher {
    /// The whole string.
    pub exact: Option<String>,
    /// Its beginning.
    pub prefix: Option<String>,
    /// Its end.
    pub suffix: Option<String>,
    /// A part of it.
    pub contains: Option<String>,
    /// A regular expression for the whole string.
    #[serde(alias = "safeRegex")]
    pub safe_regex: Option<Regex>,
    /// Compares without regard to ASCII case; not with `safe_regex`.
    #[serde(alias = "ignoreCase")]
    pub ignore_case: bool,
}

/// A regular expression (`envoy.type.matcher.v3.RegexMatcher`), for the whole string and in linear time.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Regex {
    /// The expression.
    pub regex: String,
    /// Accepted for compatibility; every engine here is of this kind.
    #[serde(default, alias = "googleRe2")]
    pub google_re2: Option<super::Empty>,
}
