//! Answers put on the wire with the headers that GitHub puts on every one.

use std::io;

use axum::body::{Body, Bytes};
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::reply::Reply;

/// What happens to an answer on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing.
    None,
    /// Another body arrives.
    Body(String),
    /// A body arrives that does not end.
    Endless,
    /// The connection closes after the first bytes.
    CutOff,
}

/// A weak entity tag, as GitHub's are.
pub(crate) fn etag(body: &Value) -> String {
    format!("W/\"{}\"", hex::encode(Sha256::digest(body.to_string())))
}

pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// `call` makes the request id, which support is told and logs are searched for.
pub(crate) fn response(reply: Reply, damage: Damage, date: DateTime<Utc>, call: usize) -> Response {
    let text = reply.body.map(|body| body.to_string());
    let has_body = text.is_some();
    let body = match damage {
        Damage::None => text.map_or_else(Body::empty, Body::from),
        Damage::Body(other) => Body::from(other),
        Damage::Endless => Body::from_stream(stream::repeat(Bytes::from(vec![b' '; 64 * 1024])).map(io::Result::Ok)),
        Damage::CutOff => cut_off(&text.unwrap_or_default()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    // RFC 9110 section 5.6.7: the servers' own idea of the time, by which they judge an App's JWT.
    if let Ok(date) = HeaderValue::from_str(&date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        headers.insert(header::DATE, date);
    }
    headers.insert("x-github-media-type", HeaderValue::from_static("github.v3; format=json"));
    if let Ok(id) = HeaderValue::from_str(&format!("FAKE:{call:08X}")) {
        headers.insert("x-github-request-id", id);
    }
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    response
}

fn cut_off(text: &str) -> Body {
    let first = Bytes::from(text.chars().take(1).collect::<String>());
    Body::from_stream(stream::iter([Ok(first), Err(io::Error::from(io::ErrorKind::ConnectionReset))]))
}
