//! What a collector gets to know of a span: what metrics have in their labels, and ids. No path, name or text of anybody's.

use std::time::SystemTime;

use axum::http::{Method, StatusCode};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Span, export};
use crate::clock::Clock;
use crate::metrics::known;

/// A span under way. It is recorded when this is dropped, so also if nobody waits for its end any more.
#[derive(Debug)]
pub(crate) struct Work {
    span: Span,
    /// Nothing if nobody collects it.
    record: Option<Record>,
}

#[derive(Debug)]
struct Record {
    kind: SpanKind,
    name: String,
    began: SystemTime,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Work {
    /// A request to us.
    pub(crate) fn request(span: Span, method: &Method, route: Option<&str>, request_id: &str) -> Self {
        let (method, route) = (known(method), route.unwrap_or("unmatched"));
        let mut work = Self::begin(span, SpanKind::Server, || format!("{method} {route}"));
        if let Some(record) = &mut work.record {
            record.set("http.request.method", method);
            record.set("http.route", route.to_owned());
            record.set("request_id", request_id.to_owned());
        }
        work
    }

    /// A call to GitHub.
    pub(crate) fn call(span: Span, operation: &'static str) -> Self {
        Self::begin(span, SpanKind::Client, || format!("github {operation}"))
    }

    /// A run of a job.
    pub(crate) fn job(span: Span, job: &'static str) -> Self {
        Self::begin(span, SpanKind::Internal, || format!("job {job}"))
    }

    fn begin(span: Span, kind: SpanKind, name: impl FnOnce() -> String) -> Self {
        let record = || Record { kind, name: name(), began: now(), attributes: Vec::new(), status: Status::Unset };
        Self { span, record: (span.sampled && export::is_on()).then(record) }
    }

    /// A status from 400 to 499 is a failure of whoever asked, which for a request to us is the client.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let Some(record) = &mut self.record else { return };
        record.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() || (record.kind == SpanKind::Client && status.is_client_error()) {
            self.failed();
        }
    }

    /// It came to nothing.
    pub(crate) fn failed(&mut self) {
        if let Some(record) = &mut self.record {
            record.status = Status::error("");
        }
    }

    /// What tells the other side of it.
    pub(crate) fn header(&self) -> Option<axum::http::HeaderValue> {
        self.span.header()
    }
}

impl Record {
    fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let Some(Record { kind, name, began, attributes, status }) = self.record.take() else { return };
        let Span { trace, id, parent, is_remote, .. } = self.span;
        let span = |id: u64| SpanId::from_bytes(id.to_be_bytes());
        let trace = TraceId::from_bytes(trace.to_be_bytes());
        export::record(SpanData {
            span_context: SpanContext::new(trace, span(id), TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent.map_or(SpanId::INVALID, span),
            parent_span_is_remote: is_remote,
            span_kind: kind,
            name: name.into(),
            start_time: began,
            end_time: now(),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: InstrumentationScope::builder("runner-tokens").build(),
        });
    }
}

fn now() -> SystemTime {
    Clock::system().now().into()
}
