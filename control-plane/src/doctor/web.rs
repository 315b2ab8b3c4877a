//! Requests by the HTTP client that is there for GitHub. It follows no redirection.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, DATE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Utc};
use octocrab::Octocrab;
use secrecy::{ExposeSecret as _, SecretString};

use crate::causes::causes;

const TIMEOUT: Duration = Duration::from_secs(10);
/// A key set is smaller.
const MAX_BYTES: usize = 1024 * 1024;

pub(super) struct Page {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Page {
    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc2822(self.text(&DATE)?).ok().map(|date| date.to_utc())
    }

    pub(super) fn challenge(&self) -> Option<&str> {
        self.text(&WWW_AUTHENTICATE)
    }
}

pub(super) async fn get(url: &str) -> Result<Page, String> {
    get_with(url, HeaderMap::new()).await
}

/// The header with a caller's token.
pub(super) fn bearer(token: &SecretString) -> Result<HeaderMap, String> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
    let mut value = value.map_err(|_| "the token has characters that no token has".to_owned())?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

pub(super) async fn get_with(url: &str, headers: HeaderMap) -> Result<Page, String> {
    let client = Octocrab::builder().build().map_err(|error| causes(&error))?;
    let ask = async {
        let response = client._get_with_headers(url, Some(headers)).await.map_err(|error| causes(&error))?;
        let (head, body) = response.into_parts();
        let body = to_bytes(Body::new(body), MAX_BYTES).await.map_err(|error| causes(&error))?;
        Ok(Page { status: head.status.as_u16(), headers: head.headers, body: body.into() })
    };
    tokio::time::timeout(TIMEOUT, ask).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
