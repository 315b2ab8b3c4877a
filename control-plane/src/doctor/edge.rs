//! The deployment as a caller sees it, through the edge.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use identity::headers;
use secrecy::SecretString;

use super::web::Page;
use super::{Finding, web};

const CHECK: &str = "edge";
const SPOOF_CHECK: &str = "edge-identity";
/// Whoever comes through without a token did not come through the filter.
const OPEN: &str =
    "see that the filter is in front of every route to the control plane, and that nothing else reaches it";

/// Asks the edge for health, and for runners: without a token, with one, and as somebody who claims an identity in the
/// headers that only the edge may set. `assertion` is one that the service takes, if the edge's key is known.
pub async fn check_edge(url: Option<&str>, token: Option<&SecretString>, assertion: Option<&str>) -> Vec<Finding> {
    let Some(url) = url.map(|url| url.trim_end_matches('/')) else {
        return vec![Finding::skipped(CHECK, "not asked", "give --edge https://HOST to look through the edge")];
    };
    let runners = format!("{url}/api/v1/runners");
    let mut findings = vec![health(url).await, anonymous(&runners).await];
    if let Some(token) = token {
        findings.push(with_token(&runners, token).await);
    }
    findings.push(spoofed(&runners, assertion).await);
    findings
}

async fn health(url: &str) -> Finding {
    let fix = "see that Envoy runs, that it reaches the control plane, and what GET /health/ready says";
    match web::get(&format!("{url}/health/ready")).await {
        Ok(page) if page.status == 200 => Finding::ok(CHECK, "the service is ready behind it"),
        Ok(page) => Finding::error(CHECK, format!("/health/ready answers with status {}", page.status), fix),
        Err(error) => Finding::error(CHECK, format!("{url} can't be reached: {error}"), fix),
    }
}

/// As the edge refuses who has no token: with a realm, which the service behind it does not name.
fn is_challenged(page: &Page) -> bool {
    page.status == 401 && page.challenge().is_some_and(|challenge| challenge.contains("realm="))
}

/// What came instead.
fn instead(page: &Page) -> String {
    match page.status {
        401 => "reaches the service, which refuses it by itself".to_owned(),
        status => format!("gets status {status} instead of 401"),
    }
}

async fn anonymous(runners: &str) -> Finding {
    match web::get(runners).await {
        Ok(page) if is_challenged(&page) => Finding::ok(CHECK, "a request without a token is refused"),
        Ok(page) => Finding::error(CHECK, format!("a request without a token {}", instead(&page)), OPEN),
        Err(error) => Finding::error(CHECK, error, OPEN),
    }
}

async fn with_token(runners: &str, token: &SecretString) -> Finding {
    let answer = match web::bearer(token) {
        Ok(headers) => web::get_with(runners, headers).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(page) if page.status == 200 => Finding::ok(CHECK, "the token is taken"),
        Ok(page) if page.status == 401 && page.challenge().is_some_and(|text| text.contains("invalid_token")) => {
            Finding::error(CHECK, "the edge refuses the token", "see oidc-token for the check that fails")
        }
        Ok(page) => {
            let what = format!("a request with the token gets status {}", page.status);
            Finding::error(CHECK, what, "see identity-keys, and what the service's log says of this moment")
        }
        Err(error) => Finding::error(CHECK, error, "see that Envoy runs"),
    }
}

/// Whether who sets the edge's own headers is somebody without a token all the same.
async fn spoofed(runners: &str, assertion: Option<&str>) -> Finding {
    let kind = if assertion.is_some() { "signed with the edge's own key" } else { "made up" };
    match web::get_with(runners, claimed(assertion.unwrap_or("made.up.here"))).await {
        Ok(page) if is_challenged(&page) => {
            Finding::ok(SPOOF_CHECK, format!("who claims an identity in a header is refused; the claim was {kind}"))
        }
        Ok(page) => {
            let what = format!("a request that claims an identity in a header, {kind}, {}", instead(&page));
            Finding::error(SPOOF_CHECK, what, OPEN)
        }
        Err(error) => Finding::error(SPOOF_CHECK, error, "see that Envoy runs"),
    }
}

/// Every header that only the edge may set, by a caller.
fn claimed(assertion: &str) -> HeaderMap {
    let plain = [headers::ISSUER, headers::SUBJECT, headers::NAME].map(|name| (name, "runner-tokens-doctor"));
    let all = plain.into_iter().chain([(headers::ASSERTION, assertion)]);
    all.filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))).collect()
}
