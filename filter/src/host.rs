//! Host calls, with values as bytes: the SDK's text variants panic on a header that is not UTF-8.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, UNIX_EPOCH};

use authn::{Answer, Changes, Fetch, VERIFY_SIGNATURE};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, Status};

use crate::abi;

/// Time since the Unix epoch. At the epoch, if the host has no clock: then every token is refused as not yet valid
/// or its keys as not there.
pub(crate) fn now() -> Duration {
    hostcalls::get_current_time().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A number that no other worker has.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

pub(crate) fn log(level: LogLevel, message: &str) {
    // A log line that can't be written must not fail a request.
    let _ = hostcalls::log(level, message);
}

/// The request's headers, for [`authn::Headers::from_map`]. Not by the SDK, which allocates twice a header.
pub(crate) fn request_headers() -> Option<Vec<u8>> {
    abi::header_map(MapType::HttpRequestHeaders)
}

pub(crate) fn remove_request_header(name: &str) -> Result<(), Status> {
    hostcalls::remove_map_value(MapType::HttpRequestHeaders, name)
}

pub(crate) fn apply(changes: &Changes<'_>) -> Result<(), Status> {
    for name in &changes.remove {
        remove_request_header(name)?;
    }
    for (name, value) in &changes.rest {
        hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value))?;
    }
    for (name, value) in &changes.set {
        hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value.as_bytes()))?;
    }
    if changes.clear_route_cache {
        // Envoy's own; where a host has none, changed headers choose the route anew anyway.
        let _ = hostcalls::call_foreign_function("clear_route_cache", None);
    }
    Ok(())
}

/// The host's foreign function of this name, if it has one.
pub(crate) fn verify_signature(request: &[u8]) -> Option<Vec<u8>> {
    hostcalls::call_foreign_function(VERIFY_SIGNATURE, Some(request)).ok().map(Option::unwrap_or_default)
}

pub(crate) fn send(answer: Answer) {
    let sent = hostcalls::send_http_response(answer.status, answer.headers, Some(answer.body.as_bytes()));
    if sent.is_err() {
        // Without an answer the request stays paused and runs into the host's time-out: denied all the same.
        log(LogLevel::Error, "could not send an answer");
    }
}

/// Acts on a stream, or on the root context, until told otherwise.
pub(crate) fn act_on(context_id: u32) -> Result<(), Status> {
    hostcalls::set_effective_context(context_id)
}

pub(crate) fn resume() -> Result<(), Status> {
    hostcalls::resume_http_request()
}

pub(crate) fn tick_every(period: Duration) {
    if hostcalls::set_tick_period(period).is_err() {
        log(LogLevel::Error, "could not set the timer");
    }
}

/// Starts a fetch; gives the number under which the answer comes.
pub(crate) fn start(fetch: &Fetch<'_>) -> Option<u32> {
    let headers = vec![
        (":method", "GET"),
        (":scheme", fetch.scheme),
        (":authority", fetch.authority),
        (":path", fetch.path),
        // A Kubernetes API server serves its keys under the second type alone.
        ("accept", "application/json, application/jwk-set+json, */*;q=0.1"),
        ("user-agent", concat!("oidc-filter/", env!("CARGO_PKG_VERSION"))),
    ];
    hostcalls::dispatch_http_call(fetch.cluster, headers, None, vec![], fetch.timeout).ok()
}

/// A record in the data that the workers share, and its version.
pub(crate) fn shared(name: &str) -> (Option<Vec<u8>>, Option<u32>) {
    hostcalls::get_shared_data(name).unwrap_or_default()
}

/// Writes a record, if nobody has since this version. Without shared data every worker is on its own.
pub(crate) fn share(name: &str, value: &[u8], version: Option<u32>) -> bool {
    !matches!(hostcalls::set_shared_data(name, Some(value), version), Err(Status::CasMismatch))
}

/// Writes the first version of a record; whether the host keeps it.
pub(crate) fn share_first(name: &str, value: &[u8]) -> bool {
    share(name, value, None) && shared(name).1.is_some()
}

/// A header of the answer to a fetch, when it is text.
pub(crate) fn answer_header(name: &str) -> Option<String> {
    let value = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, name).ok()??;
    String::from_utf8(value).ok()
}

pub(crate) fn answer_body(length: usize) -> Option<Vec<u8>> {
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, length).ok()?
}

pub(crate) fn configuration(length: usize) -> Option<Vec<u8>> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, length).ok()?
}
