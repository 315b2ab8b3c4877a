//! The page at `/ui`: files that are part of this program, and what the page must know to sign people in.
//!
//! They are for everybody: they hold nothing but text. What the page shows, it asks the API for, like any client. They
//! are no part of the API, so its description leaves them out.

mod files;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::{ApiError, Web};
use crate::config::UiConfig;
use files::{File, INDEX};

/// A browser may keep the files, but asks each time whether they are still the same.
const ASK_EACH_TIME: HeaderValue = HeaderValue::from_static("no-cache");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

/// The page as it is served.
pub(super) struct Ui {
    config: UiConfig,
    /// What a browser may do with the page: run and show what is of this origin, and ask the issuer.
    policy: HeaderValue,
}

impl Ui {
    /// None if there is no such policy; [`UiConfig`] has no issuer for which this is so.
    pub(super) fn new(config: UiConfig) -> Option<Self> {
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types 'none'",
            config.issuer.origin()
        );
        Some(Self { policy: policy.parse().ok()?, config })
    }
}

/// Everything below `/ui`.
pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/ui", get(index))
        .route("/ui/", get(async || Redirect::permanent("/ui")))
        .route("/ui/config.json", get(config))
        .route("/ui/{*file}", get(file))
}

async fn index(State(web): State<Arc<Web>>, headers: HeaderMap) -> Result<Response, ApiError> {
    serve(&web, INDEX, &headers)
}

async fn file(State(web): State<Arc<Web>>, Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    serve(&web, &name, &headers)
}

/// What the page must know before anybody has signed in.
async fn config(State(web): State<Arc<Web>>) -> Result<Json<UiConfig>, ApiError> {
    web.ui.as_ref().map(|ui| Json(ui.config.clone())).ok_or(ApiError::NotFound)
}

fn serve(web: &Web, name: &str, asked: &HeaderMap) -> Result<Response, ApiError> {
    let (Some(ui), Some(file)) = (&web.ui, File::named(name)) else { return Err(ApiError::NotFound) };
    let headers = [
        (CACHE_CONTROL, ASK_EACH_TIME),
        (CONTENT_SECURITY_POLICY, ui.policy.clone()),
        (ETAG, file.tag.clone()),
        (HeaderName::from_static("cross-origin-opener-policy"), SAME_ORIGIN),
        (HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN),
    ];
    if has(asked, &file.tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(CONTENT_TYPE, HeaderValue::from_static(file.kind))], file.content).into_response())
}

/// Whether the client has this version of the file (RFC 9110 section 13.1.2).
fn has(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|each| each == "*" || each.strip_prefix("W/").unwrap_or(each) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_a_file_if_one_of_its_tags_is_the_files() {
        let tag = HeaderValue::from_static("\"abc\"");
        for (value, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"abcd\"", false),
            ("abc", false),
        ] {
            let headers = [(IF_NONE_MATCH, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(has(&headers, &tag), expected, "{value}");
        }
        assert!(!has(&HeaderMap::new(), &tag));
    }
}
