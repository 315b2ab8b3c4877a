//! Stories of whole requests through a configured gate.

use super::*;
use crate::algorithm::Algorithm;
use crate::testing::{ISSUER, Issuer, NOW, claims};
use serde_json::json;

fn environment(name: &str) -> Option<String> {
    (name == "IDENTITY_SIGNING_KEY").then(|| identity::KeyPair::generate().unwrap().private_pem)
}

fn configuration(issuer: &Issuer) -> Value {
    json!({
        "providers": {"main": {
            "issuer": ISSUER,
            "audiences": ["runners"],
            "local_jwks": {"inline_string": json!({"keys": [issuer.jwk]}).to_string()},
            "claim_to_headers": [{"header_name": "x-claim-team", "claim_name": "team"}],
        }},
        "rules": [
            {"match": {"path": "/health"}},
            {"match": {"prefix": "/api/"}, "requires": {"provider_name": "main"}},
            {"match": {"prefix": "/public/"}},
        ],
        "identity": {"assertion": {"claims": ["*"]}},
    })
}

fn build(configuration: &Value) -> Result<Gate, ConfigError> {
    Gate::new(Config::parse(configuration.to_string().as_bytes())?, environment)
}

fn headers(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

fn pass(gate: &Gate, path: &str, token: &str) -> Result<Option<Changes>, Refusal> {
    let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    let Some(credential) = gate.credential(path.as_bytes(), &headers)? else {
        return Ok(None);
    };
    let source = gate.providers()[credential.provider].key_source().unwrap();
    gate.judge(&credential, source.keys(0), NOW).map(Some)
}

#[test]
fn a_verified_request_is_told_apart_from_what_its_client_said() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let gate = build(&configuration(&issuer)).unwrap();
    let mut claims = claims();
    claims["team"] = json!("blue");
    let changes = pass(&gate, "/api/v1/runners?x=1", &issuer.sign(&claims)).unwrap().unwrap();
    assert_eq!(changes.remove, ["authorization"]);
    let value = |name: &str| changes.set.iter().find(|(set, _)| set == name).map(|(_, value)| value.as_str());
    assert_eq!(value("x-auth-issuer"), Some(ISSUER));
    assert_eq!(value("x-auth-subject"), Some("machine-7"));
    assert_eq!(value("x-auth-identity"), Some("machine-7"));
    assert_eq!(value("x-claim-team"), Some("blue"));
    assert_eq!(value("x-identity-assertion").unwrap().split('.').count(), 3);
}

#[test]
fn every_header_that_the_gate_sets_is_first_taken_from_the_client() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let gate = build(&configuration(&issuer)).unwrap();
    let mut claims = claims();
    claims["team"] = json!("blue");
    let changes = pass(&gate, "/api/x", &issuer.sign(&claims)).unwrap().unwrap();
    for (name, _) in changes.set {
        assert_eq!(gate.forged_headers(&headers(&[(&name, "forged")])).len(), 1, "{name}");
    }
}

#[test]
fn public_paths_need_no_token_and_unknown_ones_are_denied() {
    let gate = build(&configuration(&Issuer::new(Algorithm::ES256, "k"))).unwrap();
    assert_eq!(gate.credential(b"/health", &[]), Ok(None));
    assert_eq!(gate.credential(b"/public/x", &[]), Ok(None));
    for path in ["/", "/healthz", "/health/", "/API/x", "/api", "", "*"] {
        assert_eq!(gate.credential(path.as_bytes(), &[]), Err(Refusal::NoRule), "{path}");
    }
}

#[test]
fn no_spelling_of_a_protected_path_reaches_a_public_rule() {
    let gate = build(&configuration(&Issuer::new(Algorithm::ES256, "k"))).unwrap();
    for path in
        ["/public/../api/x", "/public/%2e%2e/api/x", "/public/..%2fapi/x", "/public/..%5capi/x", "//api/x", "/%61pi/x"]
    {
        assert_eq!(gate.credential(path.as_bytes(), &[]), Err(Refusal::Missing), "{path}");
    }
    for path in ["/public/./x", "/public//x", "/public/%2fx", "/api/../health", "/public/%252e%252e/api/x"] {
        assert_eq!(gate.credential(path.as_bytes(), &[]), Err(Refusal::NoRule), "{path}");
    }
}

#[test]
fn exactly_one_bearer_token_is_taken() {
    let gate = build(&configuration(&Issuer::new(Algorithm::ES256, "k"))).unwrap();
    let refusal = |list: &[(&str, &str)]| gate.credential(b"/api/x", &headers(list)).unwrap_err();
    assert_eq!(refusal(&[]), Refusal::Missing);
    assert_eq!(refusal(&[("authorization", "Basic QQ==")]), Refusal::Missing);
    assert_eq!(refusal(&[("authorization", "Bearer")]), Refusal::Missing);
    assert_eq!(refusal(&[("authorization", "Bearer a"), ("Authorization", "Bearer b")]), Refusal::Ambiguous);
    let bytes = vec![("authorization".to_owned(), b"Bearer \xff".to_vec())];
    assert_eq!(gate.credential(b"/api/x", &bytes), Err(Refusal::Malformed));
    for spelling in ["Bearer t", "bearer t", "BEARER  t "] {
        let credential = gate.credential(b"/api/x", &headers(&[("authorization", spelling)])).unwrap().unwrap();
        assert_eq!(credential.token, "t", "{spelling}");
    }
}

#[test]
fn a_claim_that_can_not_be_a_header_refuses_the_request() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let gate = build(&configuration(&issuer)).unwrap();
    for (name, value) in [
        ("team", json!("a\r\nx-auth-subject: admin")),
        ("team", json!(["a"])),
        ("team", json!(null)),
        ("sub", json!("admin ")),
        ("sub", json!("a\nb")),
        ("email", json!("a@example.com\0")),
    ] {
        let mut claims = claims();
        claims[name] = value;
        assert_eq!(pass(&gate, "/api/x", &issuer.sign(&claims)), Err(Refusal::ClaimValue), "{claims}");
    }
}

#[test]
fn without_keys_a_good_token_waits_and_a_bad_one_is_refused() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let gate = build(&configuration(&issuer)).unwrap();
    let judge = |claims: &Value| gate.judge(&Credential { provider: 0, token: issuer.sign(claims) }, None, NOW);
    assert_eq!(judge(&claims()), Err(Refusal::NoKeys));
    let mut expired = claims();
    expired["exp"] = json!(1);
    assert_eq!(judge(&expired), Err(Refusal::Expired));
}

#[test]
fn forwarded_claims_are_those_configured() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let pair = identity::KeyPair::generate().unwrap();
    let mut configuration = configuration(&issuer);
    configuration["identity"]["assertion"]["claims"] = json!(["team"]);
    let config = Config::parse(configuration.to_string().as_bytes()).unwrap();
    let gate = Gate::new(config, |_| Some(pair.private_pem.clone())).unwrap();
    let mut claims = claims();
    claims["team"] = json!("blue");
    let changes = pass(&gate, "/api/x", &issuer.sign(&claims)).unwrap().unwrap();
    let assertion = &changes.set.iter().find(|(name, _)| name == "x-identity-assertion").unwrap().1;
    let caller = identity::Verifier::new(&pair.public_pem, "runner-tokens").unwrap().verify(assertion, NOW).unwrap();
    assert_eq!(Value::Object(caller.claims), json!({"team": "blue"}));
    assert_eq!(caller.principal.issuer, ISSUER);
}

#[test]
fn a_configuration_that_can_not_hold_is_refused_with_its_path() {
    type Change<'c> = &'c dyn Fn(&mut Value);
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let path = |change: &dyn Fn(&mut Value)| {
        let mut configuration = configuration(&issuer);
        change(&mut configuration);
        build(&configuration).err().map(|error| error.path)
    };
    let cases: [(&str, Change<'_>); 10] = [
        ("providers.main.issuer", &|all| all["providers"]["main"]["issuer"] = json!("")),
        ("providers.main.remote_jwks", &|all| {
            drop(all["providers"]["main"].as_object_mut().unwrap().remove("local_jwks"));
        }),
        ("providers.main.local_jwks.inline_string", &|all| {
            all["providers"]["main"]["local_jwks"]["inline_string"] = json!("{}");
        }),
        ("providers.main.claim_to_headers[0].header_name", &|all| {
            all["providers"]["main"]["claim_to_headers"][0]["header_name"] = json!(":path");
        }),
        ("rules[0].match", &|all| all["rules"][0]["match"]["prefix"] = json!("/")),
        ("rules[1].requires.provider_name", &|all| all["rules"][1]["requires"]["provider_name"] = json!("nobody")),
        ("identity.headers.subject", &|all| all["identity"]["headers"] = json!({"subject": "Host"})),
        ("identity.assertion.lifetime", &|all| all["identity"]["assertion"]["lifetime"] = json!("61s")),
        ("identity.assertion.signing_key_env", &|all| all["identity"]["assertion"]["signing_key_env"] = json!("OTHER")),
        ("allowed_algorithms", &|all| all["allowed_algorithms"] = json!([])),
    ];
    for (expected, change) in cases {
        assert_eq!(path(change).as_deref(), Some(expected));
    }
}
