//! The development issuer seen from outside: discovery, keys, tokens, rotation, faults.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, ES256PublicKey, ES384PublicKey, Ed25519PublicKey,
    EdDSAPublicKeyLike, JWTClaims, PS256PublicKey, PS384PublicKey, PS512PublicKey, RS256PublicKey, RS384PublicKey,
    RS512PublicKey, RSAPublicKeyLike, Token, VerificationOptions,
};
use serde_json::{Map, Value, json};
use testkit::issuer::{
    Algorithm, Client, DevIssuer, DiscoveryFault, IssuerConfig, JwksFault, KeyId, Mint, SignWith, When, hs256_token,
    raw_token,
};

const AUDIENCE: &str = "runner-tokens";

async fn start(algorithms: &[Algorithm]) -> anyhow::Result<DevIssuer> {
    let client = Client {
        algorithm: Algorithm::Es256,
        scopes: vec!["read".into(), "write".into()],
        claims: json!({"groups": ["a"]}).as_object().cloned().unwrap_or_default(),
        ..Client::new("ci system", "p:ss w", "machine-7", AUDIENCE)
    };
    let config = IssuerConfig { clients: vec![client], algorithms: algorithms.to_vec(), ..IssuerConfig::default() };
    DevIssuer::start(config).await
}

async fn get(url: &str) -> anyhow::Result<(u16, Value)> {
    let response = reqwest::get(url).await?;
    Ok((response.status().as_u16(), response.json().await.unwrap_or_default()))
}

async fn token_request(issuer: &DevIssuer, basic: bool, form: &[(&str, &str)]) -> anyhow::Result<(u16, Value)> {
    let mut request = reqwest::Client::new().post(issuer.token_endpoint()).form(form);
    if basic {
        // RFC 6749 section 2.3.1: each half form-encoded first.
        request = request.basic_auth("ci+system", Some("p%3Ass+w"));
    }
    let response = request.send().await?;
    anyhow::ensure!(response.headers().get("cache-control").is_some_and(|value| value == "no-store"));
    Ok((response.status().as_u16(), response.json().await?))
}

/// Verifies a token with the key that the published set names for it, and nothing else.
async fn verified(issuer: &DevIssuer, token: &str) -> anyhow::Result<JWTClaims<Map<String, Value>>> {
    let (_, jwks) = get(&issuer.jwks_uri()).await?;
    let header = Token::decode_metadata(token)?;
    let mut keys = jwks.get("keys").and_then(Value::as_array).context("no keys")?.iter();
    let jwk = keys.find(|jwk| jwk["kid"].as_str() == header.key_id()).context("unknown kid")?.to_string();
    let options = Some(VerificationOptions {
        allowed_issuers: Some(HashSet::from([issuer.issuer().to_owned()])),
        allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
        required_signature_type: Some("at+jwt".to_owned()),
        ..VerificationOptions::default()
    });
    Ok(match header.algorithm() {
        "RS256" => RS256PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "RS384" => RS384PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "RS512" => RS512PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "PS256" => PS256PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "PS384" => PS384PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "PS512" => PS512PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "ES256" => ES256PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "ES384" => ES384PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        "EdDSA" => Ed25519PublicKey::from_jwk(&jwk)?.verify_token(token, options)?,
        other => anyhow::bail!("{other}"),
    })
}

#[tokio::test]
async fn discovery_leads_to_the_keys_and_the_token_endpoint() {
    let issuer = start(&[Algorithm::Es256]).await.unwrap();
    let (status, document) = get(&format!("{}/.well-known/openid-configuration", issuer.issuer())).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(document["issuer"], issuer.issuer());
    assert_eq!(document["token_endpoint"], issuer.token_endpoint());
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let (_, jwks) = get(document["jwks_uri"].as_str().unwrap()).await.unwrap();
    assert_eq!(jwks, issuer.jwks());
    assert_eq!((issuer.counts().discovery, issuer.counts().jwks), (1, 1));
}

#[tokio::test]
async fn tokens_of_every_algorithm_verify_with_the_published_keys() {
    let issuer = start(&Algorithm::ALL).await.unwrap();
    // jwt-simple has no ES512; the whole-system tests verify those of this issuer.
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Es512) {
        let mint = Mint::new("machine-7", AUDIENCE).algorithm(algorithm).claim("groups", json!(["a", "b"]));
        let claims = verified(&issuer, &issuer.mint(&mint).unwrap()).await.unwrap();
        assert_eq!(claims.subject.as_deref(), Some("machine-7"), "{algorithm}");
        assert_eq!(claims.custom["groups"], json!(["a", "b"]));
    }
}

#[tokio::test]
async fn a_client_gets_an_access_token_both_ways() {
    let issuer = start(&[Algorithm::Es256]).await.unwrap();
    let grant = ("grant_type", "client_credentials");
    let (status, basic) = token_request(&issuer, true, &[grant, ("scope", "read")]).await.unwrap();
    assert_eq!((status, &basic["token_type"], &basic["scope"]), (200, &json!("Bearer"), &json!("read")));
    let claims = verified(&issuer, basic["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims.custom["client_id"], "ci system");
    assert_eq!((&claims.custom["scope"], &claims.custom["groups"]), (&json!("read"), &json!(["a"])));
    assert!(claims.jwt_id.is_some() && claims.issued_at.is_some());
    assert_eq!(claims.expires_at.unwrap().as_secs() - claims.issued_at.unwrap().as_secs(), 600);

    let post = [grant, ("client_id", "ci system"), ("client_secret", "p:ss w")];
    let (status, post) = token_request(&issuer, false, &post).await.unwrap();
    assert_eq!((status, &post["scope"]), (200, &json!("read write")));
    assert_eq!(issuer.counts().tokens, 2);
    assert_eq!(issuer.issued_tokens().len(), 2);
}

#[tokio::test]
async fn bad_token_requests_get_the_errors_of_the_rfc() {
    let issuer = start(&[Algorithm::Es256]).await.unwrap();
    let grant = ("grant_type", "client_credentials");
    let secret = ("client_secret", "p:ss w");
    for (basic, form, status, error) in [
        (false, vec![grant], 401, "invalid_client"),
        (false, vec![grant, ("client_id", "ci system"), ("client_secret", "wrong")], 401, "invalid_client"),
        (false, vec![grant, ("client_id", "another"), secret], 401, "invalid_client"),
        (true, vec![grant, secret], 400, "invalid_request"),
        (true, vec![grant, ("client_id", "another")], 400, "invalid_request"),
        (true, vec![], 400, "invalid_request"),
        (true, vec![grant, grant], 400, "invalid_request"),
        (true, vec![("grant_type", "password")], 400, "unsupported_grant_type"),
        (true, vec![grant, ("scope", "admin")], 400, "invalid_scope"),
    ] {
        let answer = token_request(&issuer, basic, &form).await.unwrap();
        assert_eq!((answer.0, answer.1["error"].as_str()), (status, Some(error)), "{form:?}");
    }
    let json = reqwest::Client::new().post(issuer.token_endpoint()).json(&json!({})).send().await.unwrap();
    assert_eq!(json.status(), 400);
}

#[tokio::test]
async fn after_a_rotation_old_tokens_hold_until_the_old_keys_are_retired() {
    let issuer = start(&[Algorithm::Es256]).await.unwrap();
    let mint = Mint::new("machine-7", AUDIENCE).algorithm(Algorithm::Es256);
    let old = issuer.mint(&mint).unwrap();
    issuer.rotate().unwrap();
    let new = issuer.mint(&mint).unwrap();
    assert!(verified(&issuer, &old).await.is_ok() && verified(&issuer, &new).await.is_ok());
    issuer.retire_old_keys();
    assert!(verified(&issuer, &old).await.is_err() && verified(&issuer, &new).await.is_ok());
    let late = Mint { sign_with: SignWith::Previous, ..mint };
    assert!(verified(&issuer, &issuer.mint(&late).unwrap()).await.is_err());
    assert_eq!(issuer.jwks_fetches(), 5);
}

#[tokio::test]
async fn dishonest_tokens_do_not_verify() {
    let issuer = start(&[Algorithm::Es256]).await.unwrap();
    let good = Mint::new("machine-7", AUDIENCE).algorithm(Algorithm::Es256);
    for bad in [
        Mint { sign_with: SignWith::Stranger, ..good.clone() },
        Mint { issuer: Some("https://elsewhere.example".into()), ..good.clone() },
        Mint { audiences: vec!["another".into()], ..good.clone() },
        Mint { expires: When::Ago(Duration::from_hours(1)), ..good.clone() },
        Mint { not_before: When::In(Duration::from_hours(1)), ..good.clone() },
        Mint { typ: None, ..good.clone() },
        Mint { key_id: KeyId::Absent, ..good.clone() },
        Mint { key_id: KeyId::Other("x".into()), ..good.clone() },
    ] {
        assert!(verified(&issuer, &issuer.mint(&bad).unwrap()).await.is_err(), "{bad:?}");
    }
    let pem = issuer.public_pem(Algorithm::Es256).unwrap();
    let kid = issuer.public_jwk(Algorithm::Es256).unwrap()["kid"].clone();
    let payload = json!({"iss": issuer.issuer(), "aud": AUDIENCE, "sub": "machine-7", "exp": 4_000_000_000_u64});
    let header = |alg: &str| json!({"alg": alg, "typ": "at+jwt", "kid": kid});
    assert!(verified(&issuer, &raw_token(&header("none"), &payload, b"")).await.is_err());
    let confused = hs256_token(&header("HS256"), &payload, pem.as_bytes()).unwrap();
    assert!(verified(&issuer, &confused).await.is_err());
    let raw = issuer.sign_raw(Algorithm::Es256, &header("ES256").to_string(), &payload.to_string()).unwrap();
    assert!(verified(&issuer, &raw).await.is_ok(), "a raw header can be honest too");
}

#[tokio::test]
async fn faults_of_the_key_set_and_of_discovery() {
    let issuer = start(&[Algorithm::Es256]).await.unwrap();
    let url = issuer.jwks_uri();
    issuer.set_fault(JwksFault::Status(503));
    assert_eq!(get(&url).await.unwrap(), (503, Value::Null));
    issuer.set_fault(JwksFault::Garbage);
    assert_eq!(get(&url).await.unwrap(), (200, Value::Null));
    issuer.set_fault(JwksFault::Body("{\"keys\":[]}".into()));
    assert_eq!(get(&url).await.unwrap(), (200, json!({"keys": []})));
    issuer.set_fault(JwksFault::Huge);
    assert!(reqwest::get(&url).await.unwrap().bytes().await.unwrap().len() > 4_000_000);
    issuer.set_fault(JwksFault::Slow(Duration::from_secs(30)));
    assert!(tokio::time::timeout(Duration::from_millis(200), get(&url)).await.is_err());
    issuer.set_fault(JwksFault::None);
    issuer.set_cache_control(Some("max-age=7"));
    assert_eq!(reqwest::get(&url).await.unwrap().headers()["cache-control"], "max-age=7");
    assert_eq!(issuer.jwks_fetches(), 6);

    let discovery = format!("{}/.well-known/openid-configuration", issuer.issuer());
    issuer.set_discovery_fault(DiscoveryFault::Issuer("https://elsewhere.example".into()));
    assert_eq!(get(&discovery).await.unwrap().1["issuer"], "https://elsewhere.example");
    issuer.set_discovery_fault(DiscoveryFault::Status(500));
    assert_eq!(get(&discovery).await.unwrap().0, 500);
}

#[tokio::test]
async fn a_stopped_issuer_frees_its_port_and_can_start_there_again() {
    let issuer = start(&[Algorithm::Es256]).await.unwrap();
    let (listen, url) = (issuer.address(), issuer.jwks_uri());
    issuer.stop().await;
    assert!(get(&url).await.is_err());
    let algorithms = vec![Algorithm::Es256];
    let again = IssuerConfig { listen, algorithms, ..IssuerConfig::default() };
    let again = DevIssuer::start(again).await.unwrap();
    assert_eq!(get(&url).await.unwrap().0, 200);
    drop(again);
    let gone = async { while get(&url).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
}
