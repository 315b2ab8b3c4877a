//! Traces over several services (W3C Trace Context): each request, each run of a job and each call to GitHub for them is
//! a span of one.
//!
//! The span at hand goes with the task, not with the log: a log that is turned off must not break a trace.

mod export;
mod work;

pub(crate) use export::{end, start};
pub(crate) use work::Work;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument as _;

use crate::clock::Clock;

/// The header that carries a trace from service to service.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `00-<trace>-<parent>-<flags>`; versions to come may say more after that.
const LENGTH: usize = 55;
/// Of the flags: whoever called has the trace recorded.
const SAMPLED: u8 = 1;

tokio::task_local! {
    static CURRENT: Span;
}

/// A piece of work within a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    /// The parent is that of another service.
    is_remote: bool,
    sampled: bool,
}

impl Span {
    /// The first of a new trace, which is recorded if there is a collector.
    pub(crate) fn first() -> Self {
        let (trace, id) = (Clock::system().new_id().as_u128(), new_id());
        Self { trace, id, parent: None, is_remote: false, sampled: export::is_on() }
    }

    /// That of a request: in the trace of whoever called if its header is in order, else in a new one.
    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let given = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(parse),
            _ => None,
        };
        given.map_or_else(Self::first, |parent| Self { is_remote: true, ..parent.child() })
    }

    fn child(&self) -> Self {
        Self { id: new_id(), parent: Some(self.id), is_remote: false, ..*self }
    }

    /// What tells the next service of it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let flags = u8::from(self.sampled);
        HeaderValue::from_str(&format!("00-{:032x}-{:016x}-{flags:02x}", self.trace, self.id)).ok()
    }

    /// The trace, as headers and logs write it.
    pub(crate) fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The span, likewise.
    pub(crate) fn span_id(&self) -> String {
        format!("{:016x}", self.id)
    }

    /// Does some work as this span.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }
}

/// The span at hand, if there is one.
pub(crate) fn current() -> Option<Span> {
    CURRENT.try_with(|span| *span).ok()
}

/// A span for something that is done within the one at hand, if there is one.
pub(crate) fn within() -> Option<Span> {
    CURRENT.try_with(Span::child).ok()
}

/// Has work that goes on in a task of its own keep the trace at hand, and its place in the log.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let (current, work) = (current(), work.in_current_span());
    async move {
        match current {
            Some(span) => span.scope(work).await,
            None => work.await,
        }
    }
}

/// The end of a version 7 UUID is random but for its first bits, which are never all zero.
fn new_id() -> u64 {
    Clock::system().new_id().as_u64_pair().1
}

/// The span that a header names. Anything that is not exactly as the standard has it is nothing.
fn parse(header: &str) -> Option<Span> {
    let (known, more) = header.split_at_checked(LENGTH)?;
    let mut parts = known.split('-');
    let mut next = |length| parts.next().filter(|part| part.len() == length && is_lower_hex(part));
    let (version, trace, id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    // Version 00 ends here; others, but for ff, which is none, may go on after a dash.
    let fits = match version {
        "00" => more.is_empty(),
        "ff" => false,
        _ => more.is_empty() || more.starts_with('-'),
    };
    let (trace, id) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(id, 16).ok()?);
    let sampled = u8::from_str_radix(flags, 16).ok()? & SAMPLED == SAMPLED;
    (fits && trace != 0 && id != 0).then_some(Span { trace, id, parent: None, is_remote: true, sampled })
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|each| matches!(each, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&'static str]) -> Span {
        Span::of_request(&values.iter().map(|value| (TRACEPARENT, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn a_request_goes_on_with_the_trace_that_it_came_with() {
        let span = of(&[GIVEN]);
        assert_eq!(span.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((span.parent, span.is_remote, span.sampled), (Some(0x00f0_67aa_0ba9_02b7), true, true));
        assert_eq!(span.header().unwrap(), format!("00-{}-{}-01", span.trace_id(), span.span_id()).as_str());
        assert!(!of(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe"]).sampled);
        for later in [
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-may-come",
        ] {
            assert_eq!(of(&[later]).trace, span.trace, "{later}");
            assert!(of(&[later]).header().unwrap().as_bytes().starts_with(b"00-"), "{later}");
        }
    }

    #[test]
    fn whatever_is_not_as_the_standard_has_it_begins_a_trace_of_its_own() {
        for bad in [
            &[][..],
            &[""],
            &[GIVEN, GIVEN],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x"],
            &["00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"],
            &["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &[" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"],
            &[
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ],
        ] {
            let (span, again) = (of(bad), of(bad));
            assert!(span.parent.is_none() && span.trace != again.trace && span.id != again.id, "{bad:?}");
            assert!(span.trace != 0 && span.id != 0 && !format!("{span:?}").contains("4bf92f"), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn work_in_a_task_of_its_own_keeps_the_trace() {
        let span = of(&[GIVEN]);
        let (here, spawned, outside) = span
            .scope(async {
                let spawned = tokio::spawn(carried(async { within() }));
                (within(), spawned.await.unwrap(), tokio::spawn(async { within() }).await.unwrap())
            })
            .await;
        for child in [here.unwrap(), spawned.unwrap()] {
            assert!(
                child.trace == span.trace && child.parent == Some(span.id) && !child.is_remote && child.id != span.id
            );
        }
        assert_eq!((outside, within()), (None, None));
    }
}
