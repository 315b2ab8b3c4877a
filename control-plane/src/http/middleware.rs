//! Around every request: its id, its span in the logs, the form of its errors, the headers of every answer.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::Web;
use super::problem::Problem;
use crate::clock::Clock;
use crate::metrics::Http;
use crate::trace::{Span, Work};

/// Ties the edge's log, ours, the audit log and the answer together.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 128;
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The id of the request at hand.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

/// Gives the request an id and a span, turns errors into problems, and finishes the answer.
pub(super) async fn frame(State(web): State<Arc<Web>>, mut request: Request, next: Next) -> Response {
    let (started, method) = (Instant::now(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = Span::of_request(request.headers());
    // At the highest level, so that every line that there is has it.
    let logged = tracing::error_span!(
        "request", request_id = id, trace_id = span.trace_id(), span_id = span.span_id(), method = %request.method(),
        path = request.uri().path(),
    );
    let mut work = Work::request(span, &method, route.as_ref().map(MatchedPath::as_str), &id);
    let response = async {
        let response = next.run(request).await;
        tracing::info!(status = response.status().as_u16(), "answered");
        response
    };
    let metrics = &web.app.metrics.http;
    let response = finish(span.scope(response).instrument(logged).await, &id, metrics);
    work.answered(response.status());
    metrics.answered(route.as_ref().map(MatchedPath::as_str), &method, response.status(), started.elapsed());
    response
}

/// The id that came with the request, if it is harmless; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let given = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    let harmless = |id: &&str| {
        (1..=MAX_REQUEST_ID).contains(&id.len())
            && id.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '_' | '.'))
    };
    given.filter(harmless).map_or_else(|| Clock::system().new_id().to_string(), str::to_owned)
}

fn finish(mut response: Response, id: &str, metrics: &Http) -> Response {
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    if problem.is_some() || status.is_client_error() || status.is_server_error() {
        let problem = problem.unwrap_or_else(|| Problem::of_status(status));
        metrics.problem(problem.slug());
        let headers = std::mem::take(response.headers_mut());
        response = (problem.status, Json(problem.body(id))).into_response();
        // The body is another one now; what the error said beside it stays (`allow`).
        let kept = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
        response.headers_mut().extend(kept.filter(|(name, _)| !name.as_str().starts_with("content-")));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(problem.wait().map(|wait| (RETRY_AFTER, wait)));
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    // Answers hold secrets or facts about one caller; none is for a cache, but for the files that say so themselves.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Nothing here is a page, but for the one that says so itself.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(values: &[&'static str]) -> String {
        request_id(&values.iter().map(|value| (REQUEST_ID, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn a_harmless_id_is_kept_and_any_other_replaced() {
        assert_eq!(id_for(&["8f0c-1.a_b"]), "8f0c-1.a_b");
        for bad in [&["a b"][..], &[""], &["a", "a"], &["\"}{"], &[]] {
            assert_eq!(id_for(bad).len(), 36, "{bad:?}");
        }
    }
}
