//! Which requests must bring what.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::provider::Regex;

/// Which requests, and what they must bring (`RequirementRule`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests.
    pub r#match: RouteMatch,
    /// What they must bring; nothing when both this and `requirement_name` are absent.
    #[serde(default)]
    pub requires: Option<Requirement>,
    /// What they must bring, by its name in `requirement_map`.
    #[serde(default, alias = "requirementName")]
    pub requirement_name: Option<String>,
    /// Claims that the token must have: equal, or for a list-valued claim among its members. Beyond jwt_authn.
    #[serde(default, alias = "requiredClaims")]
    pub required_claims: BTreeMap<String, Value>,
    /// Scopes that the token must have (`scope`, space-delimited, or the list `scp`). Beyond jwt_authn.
    #[serde(default, alias = "requiredScopes")]
    pub required_scopes: Vec<String>,
}

/// Paths (`envoy.config.route.v3.RouteMatch`); exactly one of the first four.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RouteMatch {
    /// Paths that begin so.
    pub prefix: Option<String>,
    /// One path.
    pub path: Option<String>,
    /// A regular expression for the whole path.
    #[serde(alias = "safeRegex")]
    pub safe_regex: Option<Regex>,
    /// This path and those below it.
    #[serde(alias = "pathSeparatedPrefix")]
    pub path_separated_prefix: Option<String>,
    /// Whether case counts (true); not with `safe_regex`.
    #[serde(alias = "caseSensitive")]
    pub case_sensitive: Option<bool>,
}

/// A requirement (`JwtRequirement`); at most one field, and nothing is required with none.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Requirement {
    /// A valid token of this provider.
    #[serde(alias = "providerName")]
    pub provider_name: Option<String>,
    /// The same, for other audiences.
    #[serde(alias = "providerAndAudiences")]
    pub provider_and_audiences: Option<ProviderWithAudiences>,
    /// One of these.
    #[serde(alias = "requiresAny")]
    pub requires_any: Option<Requirements>,
    /// All of these.
    #[serde(alias = "requiresAll")]
    pub requires_all: Option<Requirements>,
    /// Holds always; a valid token makes an identity.
    #[serde(alias = "allowMissingOrFailed")]
    pub allow_missing_or_failed: Option<Empty>,
    /// Holds without a token, but not with a bad one.
    #[serde(alias = "allowMissing")]
    pub allow_missing: Option<Empty>,
}

/// A provider and other audiences than its own (`ProviderWithAudiences`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProviderWithAudiences {
    /// The provider.
    #[serde(alias = "providerName")]
    pub provider_name: String,
    /// In place of the provider's own.
    #[serde(default)]
    pub audiences: Vec<String>,
}

/// Several requirements (`JwtRequirementOrList`, `JwtRequirementAndList`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// At least two.
    pub requirements: Vec<Requirement>,
}

/// `{}` (`google.protobuf.Empty`).
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Empty {}
