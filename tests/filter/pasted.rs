//! A configuration of jwt_authn, as Envoy itself prints it, is one of this filter's and tells the upstream the same.

use anyhow::Context as _;
use authn::Gate;
use authn::config::Config;
use serde_json::{Value, json};
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig, Mint};
use testkit::system::edge::{Edge, Listener, Paths, native, ours, to_upstream};

use crate::echo;
use crate::wire::{Answer, Client, Request};

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
/// The headers that both filters set.
const HEADERS: [&str; 7] = ["x-payload", "x-team", "x-number", "x-flag", "x-nested", "x-dotted", "x-absent"];

/// Every field that both filters do, and none of this filter alone.
fn configuration(issuer: &DevIssuer) -> Value {
    let claim = |header: &str, name: &str| json!({"header_name": header, "claim_name": name});
    let path = json!([{"key": "example.com/pod"}, {"key": "name"}]);
    let remote = json!({
        "http_uri": {"uri": issuer.jwks_uri(), "cluster": "idp", "timeout": "1.5s"}, "cache_duration": "300s",
        "async_fetch": {"fast_listener": true, "failed_refetch_duration": "2s"},
        "retry_policy": {"num_retries": 3, "retry_back_off": {"base_interval": "0.01s", "max_interval": "1s"}},
    });
    let any = json!({"requires_any": {"requirements": [{"provider_name": "local"}, {"allow_missing": {}}]}});
    let all = json!({"requires_all": {"requirements": [{"provider_name": "local"}, any]}});
    json!({
        "providers": {
            "local": {
                "issuer": issuer.issuer(), "audiences": ["runners", "others"], "subjects": {"prefix": "team-"},
                "require_expiration": true, "max_lifetime": "3600s", "clock_skew_seconds": 30,
                "local_jwks": {"inline_string": issuer.jwks().to_string()},
                "forward": true, "from_headers": [{"name": "x-jwt", "value_prefix": "jwt="}],
                "from_params": ["jwt"], "from_cookies": ["session"],
                "forward_payload_header": "x-payload", "pad_forward_payload_header": true,
                "claim_to_headers": [
                    claim("x-team", "team"), claim("x-number", "number"), claim("x-flag", "flag"),
                    claim("x-nested", "a.b.c"), claim("x-absent", "nowhere"),
                    {"header_name": "x-dotted", "claim_path": path},
                ],
                "clear_route_cache": true, "jwt_cache_config": {"jwt_cache_size": 500, "jwt_max_token_size": 8192},
            },
            "remote": {"issuer": "https://other.example", "remote_jwks": remote},
        },
        "rules": [
            {"match": {"path": "/healthz"}},
            {"match": {"safe_regex": {"google_re2": {}, "regex": "/v[0-9]+/.*"}}, "requires": all},
            {"match": {"path_separated_prefix": "/other"}, "requirement_name": "other"},
            {"match": {"prefix": "/Admin", "case_sensitive": false},
                "requires": {"provider_and_audiences": {"provider_name": "local", "audiences": ["admin"]}}},
            {"match": {"prefix": "/"}, "requires": {"provider_name": "local"}},
        ],
        "requirement_map": {"other": {"allow_missing_or_failed": {}}},
        "bypass_cors_preflight": true, "strip_failure_response": true, "stat_prefix": "api",
    })
}

/// The configuration of jwt_authn somewhere in what Envoy prints.
fn printed(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(members) if members.get("@type") == Some(&json!(TYPE)) => Some(value),
        Value::Object(members) => members.values().find_map(printed),
        Value::Array(items) => items.iter().find_map(printed),
        _ => None,
    }
}

fn listener(name: &str, filter: Value, then: Value) -> Listener {
    Listener { name: name.into(), paths: Paths::AsTheyCame, filters: vec![filter], then }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_prints_of_jwt_authn_may_be_pasted_and_means_the_same() -> anyhow::Result<()> {
    let issuer = DevIssuer::start(IssuerConfig { algorithms: vec![Algorithm::Es256], ..Default::default() }).await?;
    let (upstream, clusters) = (echo::start().await?, [("idp", issuer.address())]);
    let written = configuration(&issuer);
    let one = Edge::start_with(&[listener("native", native(&written), to_upstream())], upstream, &clusters).await?;
    let dump = one.configuration().await?;
    let pasted = printed(&dump).context("Envoy prints no jwt_authn")?;
    Gate::new(Config::parse(pasted.to_string().as_bytes())?, |_| None)?;

    let both = [("native", native(&written)), ("ours", ours("ours", pasted))];
    let edge = Edge::start_with(&both.map(|(name, filter)| listener(name, filter, to_upstream())), upstream, &clusters)
        .await?;
    let claims = [("team", json!("blue")), ("number", json!(42)), ("flag", json!(true))];
    let deep = [("a", json!({"b": {"c": "deep"}})), ("example.com/pod", json!({"name": "pod-7"}))];
    let mint = claims
        .into_iter()
        .chain(deep)
        .fold(Mint::new("team-blue", "runners").algorithm(Algorithm::Es256), |mint, (name, value)| {
            mint.claim(name, value)
        });
    let token = issuer.mint(&mint)?;
    for target in ["/v1/orders", "/", "/other/x"] {
        let request = Request::get(target).header("x-jwt", format!("jwt={token}"));
        let mut answers = Vec::new();
        for name in ["native", "ours"] {
            answers.push(Client::new(edge.address(name).await?).send(&request).await?);
        }
        let told = |answer: &Answer| HEADERS.map(|name| answer.arrived(name).concat());
        assert_eq!(told(&answers[1]), told(&answers[0]), "{target}");
        assert_eq!(answers[1].arrived("x-dotted"), ["pod-7"], "{target}: {}", answers[1].body);
    }
    edge.until_stats("oidc_filter.*allowed", "wasmcustom.oidc_filter.api.allowed: 3").await
}

/// The way from jwt_authn to this filter that docs/filter.md describes, step by step.
#[tokio::test(flavor = "multi_thread")]
async fn in_front_of_jwt_authn_it_first_counts_and_then_decides() -> anyhow::Result<()> {
    let issuer = DevIssuer::start(IssuerConfig { algorithms: vec![Algorithm::Es256], ..Default::default() }).await?;
    let old = json!({
        "providers": {"idp": {
            "issuer": issuer.issuer(), "local_jwks": {"inline_string": issuer.jwks().to_string()},
            "claim_to_headers": [{"header_name": "x-subject", "claim_name": "sub"}],
        }},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
    });
    let with = |place: &str, field: &str| {
        let mut changed = old.clone();
        if let Some(members) = changed.pointer_mut(place).and_then(Value::as_object_mut) {
            members.insert(field.into(), json!(true));
        }
        changed
    };
    let (shadow, forwarding) = (with("", "shadow"), with("/providers/idp", "forward"));
    let chain = |name: &str, filters: Vec<Value>| Listener {
        name: name.into(),
        paths: Paths::AsTheyCame,
        filters,
        then: to_upstream(),
    };
    let listeners = [
        chain("counting", vec![ours("counting", &shadow), native(&old)]),
        chain("deciding", vec![ours("deciding", &forwarding), native(&old)]),
        chain("alone", vec![ours("alone", &old)]),
    ];
    let edge = Edge::start(&listeners, echo::start().await?).await?;
    let mint = Mint::new("team-blue", "runners").algorithm(Algorithm::Es256);
    let (good, bound) = (issuer.mint(&mint)?, issuer.mint(&mint.claim("cnf", json!({"jkt": "x"})))?);
    // The second token is one that only this filter refuses.
    for (name, expected) in [("counting", [200, 401, 200]), ("deciding", [200, 401, 401]), ("alone", [200, 401, 401])] {
        let mut client = Client::new(edge.address(name).await?);
        for (bearer, status) in [good.as_str(), "a.b.c", bound.as_str()].into_iter().zip(expected) {
            let request = Request::get("/").header("authorization", format!("Bearer {bearer}"));
            let answer = client.send(&request.header("x-subject", "admin")).await?;
            assert_eq!(answer.status, status, "{name}: {}", answer.body);
            if status == 200 {
                assert_eq!(answer.arrived("x-subject"), ["team-blue"], "{name}: {}", answer.body);
            }
        }
    }
    edge.until_stats("oidc_filter.shadow_denied", "wasmcustom.oidc_filter.shadow_denied: 2").await
}

/// Whatever the client said: its own header is removed before the route is chosen anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_can_choose_the_route() -> anyhow::Result<()> {
    let issuer = DevIssuer::start(IssuerConfig { algorithms: vec![Algorithm::Es256], ..Default::default() }).await?;
    let configuration = json!({
        "providers": {"idp": {
            "issuer": issuer.issuer(), "local_jwks": {"inline_string": issuer.jwks().to_string()},
            "claim_to_headers": [{"header_name": "x-cluster", "claim_name": "cluster"}], "clear_route_cache": true,
        }},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
    });
    let by_header = json!({"route": {"cluster_header": "x-cluster"}});
    let listeners = [listener("ours", ours("ours", &configuration), by_header)];
    let edge = Edge::start(&listeners, echo::start().await?).await?;
    let mut client = Client::new(edge.address("ours").await?);
    for (claim, passes) in [("upstream", true), ("nowhere", false)] {
        let mint = Mint::new("team-blue", "runners").algorithm(Algorithm::Es256).claim("cluster", claim);
        let bearer = format!("Bearer {}", issuer.mint(&mint)?);
        let request = Request::get("/").header("authorization", bearer).header("x-cluster", "upstream");
        assert_eq!(client.send(&request).await?.passed(), passes, "{claim}");
    }
    Ok(())
}
