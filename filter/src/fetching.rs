//! Fetching keys: one worker for all, in the background, in the root context.

use std::collections::BTreeMap;
use std::time::Duration;

use authn::{FetchError, Gate, KeySource, Lease, Provider, Remote, SharedKeys, Turn, max_age};
use proxy_wasm::types::LogLevel;

use crate::host;
use crate::metrics::Metrics;

/// What a fetch brought: a document and its `max-age`.
type Answered = Result<(Vec<u8>, Option<Duration>), FetchError>;

/// The requests for keys that this worker has under way.
#[derive(Default)]
pub(crate) struct Fetching {
    requests: BTreeMap<u32, Request>,
}

/// A request for a provider's keys.
#[derive(Clone, Copy)]
struct Request {
    provider: usize,
    asks_for: Document,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Document {
    Metadata,
    Keys,
}

/// How a look at one provider's keys ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    /// Whoever waited for these keys may be judged again.
    Settled,
    /// There will be an answer, to this worker or to another.
    Waiting,
}

/// What came of a look at all providers.
pub(crate) struct Round {
    /// Providers whose waiting requests may be judged again.
    pub(crate) settled: Vec<usize>,
    /// Whether another worker's fetch is awaited.
    pub(crate) following: bool,
}

impl Fetching {
    /// Looks after every provider whose keys are due.
    pub(crate) fn look(&mut self, gate: &Gate, sources: &mut [KeySource], metrics: &Metrics) -> Round {
        let now = host::millis(host::now());
        let mut round = Round { settled: Vec::new(), following: false };
        for (index, (provider, source)) in gate.providers().iter().zip(sources).enumerate() {
            if !source.is_due(now) {
                continue;
            }
            match self.take_turn(index, provider, source, now, metrics) {
                Looked::Settled => round.settled.push(index),
                Looked::Waiting => round.following |= source.is_due(now),
            }
        }
        round
    }

    fn take_turn(
        &mut self,
        index: usize,
        provider: &Provider,
        source: &mut KeySource,
        now: u64,
        metrics: &Metrics,
    ) -> Looked {
        let Some(remote) = provider.remote() else {
            return Looked::Waiting;
        };
        let (keys_name, lease_name) = names(&remote.shared_name());
        let (keys, _) = host::shared(&keys_name);
        let (lease, version) = host::shared(&lease_name);
        match Turn::take(source, keys.as_deref(), lease.as_deref(), now, host::random()) {
            Turn::Adopted | Turn::Failed => Looked::Settled,
            Turn::Follow => Looked::Waiting,
            // A first write can't be compared with what was there; the next look can. A host that then still has
            // nothing has no shared data: each worker is on its own there.
            Turn::Lead if version.is_none() && host::share_first(&lease_name, &Lease::Fetching(0).encode()) => {
                Looked::Waiting
            }
            Turn::Lead => {
                let until = now.saturating_add(host::millis(remote.longest_fetch()));
                if !host::share(&lease_name, &Lease::Fetching(until).encode(), version) {
                    return Looked::Waiting;
                }
                source.started();
                let asks_for = if remote.discovers() { Document::Metadata } else { Document::Keys };
                if let Some(number) = host::start(&remote.first()) {
                    self.requests.insert(number, Request { provider: index, asks_for });
                    return Looked::Waiting;
                }
                end(provider, source, &Err(FetchError::NoAnswer), metrics);
                Looked::Settled
            }
        }
    }

    /// Takes the answer to a request of this number. Gives the provider whose waiting requests may be judged again,
    /// unless another request must follow first.
    pub(crate) fn answered(
        &mut self,
        number: u32,
        body_size: usize,
        gate: &Gate,
        sources: &mut [KeySource],
        metrics: &Metrics,
    ) -> Option<usize> {
        let request = self.requests.remove(&number)?;
        let (provider, source) = (gate.providers().get(request.provider)?, sources.get_mut(request.provider)?);
        let remote = provider.remote()?;
        let mut answer = answer(body_size, remote);
        if let (Document::Metadata, Ok((metadata, _))) = (request.asks_for, &answer) {
            let uri = remote.jwks_uri(metadata);
            if let Some(number) =
                uri.as_deref().and_then(|uri| remote.second(uri)).and_then(|fetch| host::start(&fetch))
            {
                self.requests.insert(number, Request { asks_for: Document::Keys, ..request });
                return None;
            }
            answer = Err(FetchError::Metadata);
        }
        end(provider, source, &answer, metrics);
        Some(request.provider)
    }
}

/// Takes the end of a fetch and tells the other workers.
fn end(provider: &Provider, source: &mut KeySource, answer: &Answered, metrics: &Metrics) {
    let now = host::millis(host::now());
    let given = answer.as_ref().map(|(body, max_age)| (body.as_slice(), *max_age)).map_err(|error| *error);
    let finished = source.finished(given, now, host::random());
    metrics.fetched(finished.is_ok());
    let Some(remote) = provider.remote() else {
        return;
    };
    let (keys_name, lease_name) = names(&remote.shared_name());
    let lease = match (finished, answer) {
        (Ok(()), Ok((document, max_age))) => {
            let keys = SharedKeys { fetched_at: now, max_age: *max_age, document };
            host::share(&keys_name, &keys.encode(), None);
            host::log(LogLevel::Debug, &format!("oidc filter: fetched the keys of provider {}", provider.name));
            Lease::Fetching(0)
        }
        (Err(error), _) | (Ok(()), &Err(error)) => {
            let name = &provider.name;
            host::log(LogLevel::Warn, &format!("oidc filter: no keys for provider {name}: {error}"));
            Lease::Failed(source.due_at())
        }
    };
    host::share(&lease_name, &lease.encode(), None);
}

fn names(shared: &str) -> (String, String) {
    (format!("{shared}:keys"), format!("{shared}:lease"))
}

/// The answer to a request: its body and `max-age`, if it came, says 200 and is not too large to be read.
fn answer(body_size: usize, remote: &Remote) -> Answered {
    let status = host::answer_header(":status").and_then(|status| status.parse().ok()).ok_or(FetchError::NoAnswer)?;
    if status != 200 {
        return Err(FetchError::Status(status));
    }
    if body_size > remote.max_size() {
        return Err(FetchError::TooLarge);
    }
    let body = host::answer_body(body_size).ok_or(FetchError::NoAnswer)?;
    Ok((body, host::answer_header("cache-control").as_deref().and_then(max_age)))
}
