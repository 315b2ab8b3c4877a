//! The HTTP surface: discovery (OpenID Connect Discovery 1.0, RFC 8414) and the key set with its faults.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{DiscoveryFault, JwksFault, Shared, token_endpoint};

const DISCOVERY: &str = "/.well-known/openid-configuration";
/// RFC 8414 section 3: the same document for OAuth 2.0 clients.
const METADATA: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/jwks";
const TOKEN: &str = "/token";
/// Enough to exceed any sane limit on the size of a key set.
const HUGE_BYTES: usize = 4 * 1024 * 1024;

pub(crate) fn jwks_uri(issuer: &str) -> String {
    format!("{issuer}{JWKS}")
}

pub(crate) fn token_endpoint(issuer: &str) -> String {
    format!("{issuer}{TOKEN}")
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(DISCOVERY, get(discovery))
        .route(METADATA, get(discovery))
        .route(JWKS, get(jwks))
        .route(TOKEN, post(token_endpoint::token))
        .with_state(shared)
}

async fn discovery(Extract(shared): Extract<Arc<Shared>>) -> Response {
    let (fault, algorithms) = shared.with(|state| {
        state.counts.discovery = state.counts.discovery.saturating_add(1);
        (state.discovery_fault.clone(), state.keys.algorithms())
    });
    let names: Vec<&str> = algorithms.into_iter().map(super::Algorithm::name).collect();
    let mut metadata = document(&shared.url, &names);
    match fault {
        DiscoveryFault::None => {}
        DiscoveryFault::Status(status) => return status_of(status).into_response(),
        DiscoveryFault::Issuer(other) => state(&mut metadata, "issuer", other),
        DiscoveryFault::JwksUri(other) => state(&mut metadata, "jwks_uri", other),
        DiscoveryFault::Garbage => return "<html>these are no metadata</html>".into_response(),
        DiscoveryFault::Huge => state(&mut metadata, "padding", "a".repeat(HUGE_BYTES)),
        DiscoveryFault::Slow(duration) => tokio::time::sleep(duration).await,
    }
    Json(metadata).into_response()
}

fn state(metadata: &mut Value, member: &str, text: String) {
    if let Some(members) = metadata.as_object_mut() {
        members.insert(member.to_owned(), text.into());
    }
}

fn document(url: &str, algorithms: &[&str]) -> Value {
    json!({
        "issuer": url,
        "jwks_uri": jwks_uri(url),
        "token_endpoint": token_endpoint(url),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "id_token_signing_alg_values_supported": algorithms,
        "access_token_signing_alg_values_supported": algorithms,
    })
}

async fn jwks(Extract(shared): Extract<Arc<Shared>>) -> Response {
    let (fault, keys, cache_control) = shared.with(|state| {
        state.counts.jwks = state.counts.jwks.saturating_add(1);
        (state.jwks_fault.clone(), state.keys.jwks(), state.cache_control.clone())
    });
    let body = match fault {
        JwksFault::None => keys.to_string(),
        JwksFault::Slow(duration) => {
            tokio::time::sleep(duration).await;
            keys.to_string()
        }
        JwksFault::Status(status) => return status_of(status).into_response(),
        JwksFault::Garbage => "<html>this is not a key set</html>".to_owned(),
        JwksFault::Huge => huge(&keys),
        JwksFault::Body(body) => body,
    };
    let mut response = ([(header::CONTENT_TYPE, "application/jwk-set+json")], body).into_response();
    if let Some(Ok(value)) = cache_control.map(TryInto::try_into) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}

/// The keys over and over until the body is too big for anyone.
fn huge(keys: &Value) -> String {
    let all: Vec<String> =
        keys.get("keys").and_then(Value::as_array).into_iter().flatten().map(Value::to_string).collect();
    let set = all.join(",");
    let times = HUGE_BYTES.checked_div(set.len()).unwrap_or_default().saturating_add(1);
    format!("{{\"keys\":[{}]}}", vec![set; times].join(","))
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
