//! The deployment as a caller sees it, through the edge.

use super::{Finding, web};

const CHECK: &str = "edge";

/// Asks the edge for health, and for runners without a token and with one.
pub async fn check_edge(url: Option<&str>, token: Option<&str>) -> Vec<Finding> {
    let Some(url) = url.map(|url| url.trim_end_matches('/')) else {
        return vec![Finding::skipped(CHECK, "not asked", "give --edge https://HOST to look through the edge")];
    };
    let runners = format!("{url}/api/v1/runners");
    let mut findings = vec![health(url).await, anonymous(&runners).await];
    if let Some(token) = token {
        findings.push(with_token(&runners, token).await);
    }
    findings
}

async fn health(url: &str) -> Finding {
    let fix = "see that Envoy runs, that it reaches the control plane, and what GET /health/ready says";
    match web::get(&format!("{url}/health/ready"), None).await {
        Ok(page) if page.status == 200 => Finding::ok(CHECK, "the service is ready behind it"),
        Ok(page) => Finding::error(CHECK, format!("/health/ready answers with status {}", page.status), fix),
        Err(error) => Finding::error(CHECK, format!("{url} can't be reached: {error}"), fix),
    }
}

async fn anonymous(runners: &str) -> Finding {
    let fix = "see that the filter is in front of every route to the control plane, and that nothing else reaches it";
    match web::get(runners, None).await {
        Ok(page) if page.status == 401 && page.challenge().is_some() => {
            Finding::ok(CHECK, "a request without a token is refused")
        }
        Ok(page) => {
            let what = format!("a request without a token gets status {} instead of 401 with a challenge", page.status);
            Finding::error(CHECK, what, fix)
        }
        Err(error) => Finding::error(CHECK, error, fix),
    }
}

async fn with_token(runners: &str, token: &str) -> Finding {
    match web::get(runners, Some(token)).await {
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
