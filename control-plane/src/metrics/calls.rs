//! Calls to GitHub.

use std::time::Instant;

use axum::http::{HeaderValue, StatusCode};
use prometheus::Registry;

use super::catalogue::{GITHUB_REQUESTS, GITHUB_SECONDS};
use super::{Counter, Durations};
use crate::trace::{self, Work};

/// What GitHub is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    AccessToken,
    DeleteRunner,
    FindRunner,
    JitConfig,
    ListRunners,
    ReadGroup,
    ReadRunner,
    RegistrationToken,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::DeleteRunner => "delete_runner",
            Self::FindRunner => "find_runner",
            Self::JitConfig => "jit_config",
            Self::ListRunners => "list_runners",
            Self::ReadGroup => "read_group",
            Self::ReadRunner => "read_runner",
            Self::RegistrationToken => "registration_token",
        }
    }
}

/// The calls of all clients.
#[derive(Clone)]
pub(crate) struct Calls {
    total: Counter,
    seconds: Durations,
}

impl Calls {
    pub(crate) fn new() -> prometheus::Result<Self> {
        Ok(Self { total: Counter::alone(&GITHUB_REQUESTS)?, seconds: Durations::alone(&GITHUB_SECONDS)? })
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.total.0.clone()))?;
        registry.register(Box::new(self.seconds.0.clone()))
    }

    /// A call begins. It is counted when this is dropped, so also if nobody waits for the answer any more.
    pub(crate) fn begin(&self, operation: Operation) -> UnderWay<'_> {
        let (operation, started) = (operation.as_str(), Instant::now());
        let work = trace::within().map(|span| Work::call(span, operation));
        UnderWay { calls: self, operation, started, status: "none", work }
    }
}

/// A call under way.
pub(crate) struct UnderWay<'a> {
    calls: &'a Calls,
    operation: &'static str,
    started: Instant,
    status: &'static str,
    /// Its span, if it belongs to a trace.
    work: Option<Work>,
}

impl UnderWay<'_> {
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = shown(status);
        if let Some(work) = &mut self.work {
            work.answered(status);
        }
    }

    /// What tells the other side of the trace that it belongs to.
    pub(crate) fn traceparent(&self) -> Option<HeaderValue> {
        self.work.as_ref()?.header()
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(work) = self.work.as_mut().filter(|_| self.status == "none") {
            work.failed();
        }
        self.calls.total.add(&[self.operation, self.status]);
        self.calls.seconds.observe(&[self.operation], self.started.elapsed());
    }
}

/// The statuses that GitHub documents for what we ask; of others, the class.
fn shown(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200 => "200",
        201 => "201",
        204 => "204",
        304 => "304",
        401 => "401",
        403 => "403",
        404 => "404",
        409 => "409",
        422 => "422",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => super::http::class(status),
    }
}
