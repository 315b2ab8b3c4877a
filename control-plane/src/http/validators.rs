//! Validators of answers: whoever has one still, and asks whether it is as it was, is not sent it again.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use sha2::{Digest as _, Sha256};

/// Gives the answer to a `GET` an `ETag`, and leaves its body away if the client names that in `If-None-Match` (RFC 9110,
/// section 13.1.2). The work is done all the same: what a client may see, and that it looked, is settled each time.
pub(super) async fn validated(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let known = request.headers().typed_get::<IfNoneMatch>();
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK {
        return response;
    }
    let (head, body) = response.into_parts();
    // All of it is in memory already.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let Some(tag) = tag(&body) else { return Response::from_parts(head, Body::from(body)) };
    let mut response = if known.is_some_and(|known| !known.precondition_passes(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::from_parts(head, Body::from(body))
    };
    response.headers_mut().typed_insert(tag);
    response
}

fn tag(body: &[u8]) -> Option<ETag> {
    format!("\"{}\"", hex::encode(Sha256::digest(body))).parse().ok()
}
