//! Requests.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::Registry;

use super::catalogue::{HTTP_PROBLEMS, HTTP_REQUESTS, HTTP_SECONDS};
use super::{Counter, Durations};

/// What stands for paths that are no route's.
const UNMATCHED: &str = "unmatched";

/// What was asked of this process.
pub(crate) struct Http {
    requests: Counter,
    seconds: Durations,
    problems: Counter,
}

impl Http {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            requests: Counter::new(&HTTP_REQUESTS, registry)?,
            seconds: Durations::new(&HTTP_SECONDS, registry)?,
            problems: Counter::new(&HTTP_PROBLEMS, registry)?,
        })
    }

    /// A request was answered. `route` is the template that the router found.
    pub(crate) fn answered(&self, route: Option<&str>, method: &Method, status: StatusCode, took: Duration) {
        let (route, method) = (route.unwrap_or(UNMATCHED), known(method));
        self.requests.add(&[route, method, class(status)]);
        self.seconds.observe(&[route, method], took);
    }

    /// The answer was a problem of this type.
    pub(crate) fn problem(&self, slug: &'static str) {
        self.problems.add(&[slug]);
    }
}

/// Callers may invent methods.
pub(crate) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The class of a status (RFC 9110 section 15).
pub(super) fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
