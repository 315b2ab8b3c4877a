//! When a system may be used.

use std::time::{Duration, Instant};

use anyhow::bail;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::envoy::Issuer;
use super::process::MOMENT;

const AT_MOST: Duration = Duration::from_mins(1);

/// Waits until the edge answers `/health` through the filter and, if an issuer is given, has its keys: before, it
/// answers 503.
pub(super) async fn until_ready(edge_url: &str, keys_of: Option<&Issuer>, workers: u32) -> anyhow::Result<()> {
    let started = Instant::now();
    let unsigned = keys_of.map(unsigned_token);
    // A connection goes to any of the workers, and each has its own copy of the keys.
    let enough = if workers > 1 { workers.saturating_mul(4) } else { 1 };
    let mut in_a_row = 0;
    while in_a_row < enough {
        // A new client makes a new connection.
        let client = Client::builder().no_proxy().build()?;
        let healthy = status(client.get(format!("{edge_url}/health"))).await;
        let judged = match &unsigned {
            Some(token) => status(client.get(format!("{edge_url}/api/v1/runners")).bearer_auth(token)).await,
            None => Some(StatusCode::UNAUTHORIZED),
        };
        let ready = healthy == Some(StatusCode::OK) && judged == Some(StatusCode::UNAUTHORIZED);
        in_a_row = if ready { in_a_row.saturating_add(1) } else { 0 };
        if !ready && started.elapsed() > AT_MOST {
            bail!("the edge is not ready: it answers /health with {healthy:?}, an unsigned token with {judged:?}");
        }
        if !ready {
            tokio::time::sleep(MOMENT).await;
        }
    }
    Ok(())
}

async fn status(request: reqwest::RequestBuilder) -> Option<StatusCode> {
    request.send().await.ok().map(|answer| answer.status())
}

/// A token that no key signed: refused with 401 by an edge that has keys, with 503 by one that has none yet.
fn unsigned_token(issuer: &Issuer) -> String {
    let part = |json: Value| BASE64URL.encode(json.to_string());
    let expires_at = crate::clock::now().timestamp().saturating_add(300);
    let claims = json!({"iss": issuer.issuer, "aud": issuer.audience, "sub": "nobody", "exp": expires_at});
    let header = json!({"alg": "ES256", "typ": "JWT"});
    format!("{}.{}.{}", part(header), part(claims), BASE64URL.encode([0; 64]))
}
