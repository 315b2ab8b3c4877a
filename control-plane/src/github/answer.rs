//! What GitHub answers, read with bounds: whoever answers in its place must not fill the memory, and no redirection is
//! followed, so that credentials go to the configured host alone.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::header::ETAG;
use axum::http::{HeaderValue, Response, StatusCode};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::GithubError;

/// A page of a hundred runners with a hundred long labels each is smaller.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// An answer; no text if nothing has changed.
pub(super) struct Answer {
    pub(super) etag: Option<HeaderValue>,
    pub(super) text: Option<String>,
}

/// How GitHub says no.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Answer {
    /// Reads a response to its end; a refusal becomes an error of its kind, however odd its body is.
    pub(super) async fn of<B>(response: Response<B>, now: DateTime<Utc>) -> Result<Self, GithubError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let (head, body) = response.into_parts();
        let etag = head.headers.get(ETAG).cloned();
        if head.status == StatusCode::NOT_MODIFIED {
            return Ok(Self { etag, text: None });
        }
        if head.status.is_redirection() {
            return Err(GithubError::moved(head.status));
        }
        let body = to_bytes(Body::new(body), MAX_BYTES).await;
        if !head.status.is_success() {
            let message = message(&body.unwrap_or_default());
            return Err(GithubError::of_refusal(head.status, &message, &head.headers, now));
        }
        let body = body.map_err(|error| GithubError::lost(&crate::causes::causes(&error)))?;
        let text = String::from_utf8(body.into()).map_err(|_| GithubError::lost("it is no text"))?;
        Ok(Self { etag, text: Some(text) })
    }

    pub(super) fn parse<R: DeserializeOwned>(&self) -> Result<R, GithubError> {
        let text = self.text.as_deref().unwrap_or_default();
        serde_json::from_str(text).map_err(|error| GithubError::lost(&error.to_string()))
    }
}

/// GitHub's words; the start of a proxy's page, if it is one.
fn message(body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}
