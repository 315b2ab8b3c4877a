//! One configuration, given to both filters, and the requests that it lets through.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig};

/// Who signs tokens of a provider, and what they say.
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) audience: &'static str,
    pub(crate) subject: &'static str,
}

/// Providers whose tokens the cases are made of. All but the last share keys, so that only `iss` tells them apart.
pub(crate) const PROVIDERS: [Provider; 5] = [
    provider("main", "https://main.example", "runners", "team-blue"),
    provider("open", "https://open.example", "anything", "team-blue"),
    provider("bounded", "https://bounded.example", "runners", "team-blue"),
    provider("placed", "https://placed.example", "runners", "team-blue"),
    provider("other", "https://other.example", "runners", "team-blue"),
];

const fn provider(name: &'static str, issuer: &'static str, audience: &'static str, subject: &'static str) -> Provider {
    Provider { name, issuer, audience, subject }
}

/// A protected path, and the providers whose tokens a request there brings.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) brings: &'static [&'static str],
}

/// Where cases start from: each of these requests passes both filters.
pub(crate) const ROUTES: [Route; 19] = [
    route("/main/x", &["main"]),
    route("/main/x", &["main"]),
    route("/main/x", &["main"]),
    route("/exact", &["main"]),
    route("/separated/x", &["main"]),
    route("/regex/abc/12", &["main"]),
    route("/Insensitive/x", &["main"]),
    route("/open/x", &["open"]),
    route("/bounded/x", &["bounded"]),
    route("/placed/x", &["placed"]),
    route("/placed/x", &["placed"]),
    route("/audiences/x", &["main"]),
    route("/any/x", &["open"]),
    route("/all/x", &["main", "other"]),
    route("/named/x", &["placed"]),
    route("/optional/x", &["main"]),
    route("/tolerant/x", &["main"]),
    route("/missing/x", &["main"]),
    route("/failed/x", &["main"]),
];

const fn route(path: &'static str, brings: &'static [&'static str]) -> Route {
    Route { path, brings }
}

/// Where both filters have the keys from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// `local_jwks`.
    Local,
    /// `remote_jwks`.
    Remote,
}

/// The signers behind the providers.
pub(crate) struct Issuers {
    shared: DevIssuer,
    other: DevIssuer,
}

impl Issuers {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let config = |algorithms: &[Algorithm]| IssuerConfig { algorithms: algorithms.into(), ..Default::default() };
        let shared = DevIssuer::start(config(&Algorithm::ALL)).await?;
        Ok(Self { shared, other: DevIssuer::start(config(&[Algorithm::Es256, Algorithm::EdDsa])).await? })
    }

    /// The clusters of `remote_jwks`.
    pub(crate) fn clusters(&self) -> [(&'static str, SocketAddr); 2] {
        [("shared", self.shared.address()), ("other", self.other.address())]
    }

    /// Who signs for a provider.
    pub(crate) fn of(&self, provider: &str) -> &DevIssuer {
        if provider == "other" { &self.other } else { &self.shared }
    }

    /// The id of the key with which a provider's tokens are signed.
    pub(crate) fn key_id(&self, provider: &str, algorithm: Algorithm) -> anyhow::Result<String> {
        let jwk = self.of(provider).public_jwk(algorithm)?;
        Ok(jwk.get("kid").and_then(Value::as_str).context("the key has an id")?.to_owned())
    }

    /// The configuration, for this project's filter.
    pub(crate) fn configuration(&self, keys: Keys, catch_all: bool) -> Value {
        let claim = |provider: &str| json!([{"header_name": format!("x-{provider}-sub"), "claim_name": "sub"}]);
        let with = |name: &str, more: Value| {
            let issuer = format!("https://{name}.example");
            let mut all = json!({"issuer": issuer, "claim_to_headers": claim(name)});
            if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
                let (field, value) = self.keys(keys, name);
                all.insert(field.into(), value);
                all.extend(more.clone());
            }
            (name.to_owned(), all)
        };
        let providers: BTreeMap<String, Value> = [
            with("main", json!({"audiences": ["runners", "also-ours"]})),
            with("open", json!({"forward": true})),
            with("bounded", json!({
                "audiences": ["runners"], "max_lifetime": "1200s", "require_expiration": true,
                "clock_skew_seconds": 5, "subjects": {"prefix": "team-"},
            })),
            with("placed", json!({
                "audiences": ["runners"], "from_headers": [{"name": "x-jwt", "value_prefix": "jwt="}, {"name": "x-raw"}],
                "from_params": ["jwt"], "from_cookies": ["session"],
            })),
            with("other", json!({"audiences": ["runners"], "from_headers": [{"name": "x-other"}]})),
        ]
        .into();
        let requirement_map = json!({"either": any(json!([named("placed"), named("bounded")]))});
        json!({
            "providers": providers,
            "rules": rules(catch_all),
            "requirement_map": requirement_map,
            "bypass_cors_preflight": true,
            "allowed_algorithms": Algorithm::ALL.map(Algorithm::name),
        })
    }
}

impl Issuers {
    /// The field that says where a provider's keys are.
    fn keys(&self, keys: Keys, provider: &str) -> (&'static str, Value) {
        let issuer = self.of(provider);
        if keys == Keys::Local {
            return ("local_jwks", json!({"inline_string": issuer.jwks().to_string()}));
        }
        let cluster = if provider == "other" { "other" } else { "shared" };
        let uri = json!({"uri": issuer.jwks_uri(), "cluster": cluster, "timeout": "5s"});
        ("remote_jwks", json!({"http_uri": uri, "cache_duration": "300s"}))
    }
}

/// The same configuration for jwt_authn: without the fields that it does not have.
pub(crate) fn for_jwt_authn(configuration: &Value) -> Value {
    let mut configuration = configuration.clone();
    if let Some(members) = configuration.as_object_mut() {
        members.remove("allowed_algorithms");
    }
    configuration
}

fn rules(catch_all: bool) -> Value {
    let prefix = |path: &str, requires: Value| json!({"match": {"prefix": path}, "requires": requires});
    let (missing, failed) = (json!({"allow_missing": {}}), json!({"allow_missing_or_failed": {}}));
    let audiences = json!({"provider_and_audiences": {"provider_name": "main", "audiences": ["runners", "special"]}});
    let mut rules = vec![
        json!({"match": {"prefix": "/public"}}),
        json!({"match": {"path": "/health"}}),
        prefix("/main", named("main")),
        json!({"match": {"path": "/exact"}, "requires": named("main")}),
        json!({"match": {"path_separated_prefix": "/separated"}, "requires": named("main")}),
        json!({"match": {"safe_regex": {"regex": "/regex/[a-z]+/[0-9]{1,3}"}}, "requires": named("main")}),
        json!({"match": {"prefix": "/insensitive", "case_sensitive": false}, "requires": named("main")}),
        prefix("/open", named("open")),
        prefix("/bounded", named("bounded")),
        prefix("/placed", named("placed")),
        prefix("/audiences", audiences),
        prefix("/any", any(json!([named("main"), named("open")]))),
        prefix("/all", json!({"requires_all": {"requirements": [named("main"), named("other")]}})),
        json!({"match": {"prefix": "/named"}, "requirement_name": "either"}),
        prefix("/optional", any(json!([named("main"), missing]))),
        prefix("/tolerant", any(json!([named("main"), failed]))),
        prefix("/missing", missing),
        prefix("/failed", failed),
    ];
    if catch_all {
        rules.push(prefix("/", named("main")));
    }
    json!(rules)
}

fn named(provider: &str) -> Value {
    json!({"provider_name": provider})
}

fn any(requirements: Value) -> Value {
    json!({"requires_any": {"requirements": requirements}})
}
