//! The root context: configuration, the fetching of keys, and the requests that waited for them.

use std::collections::BTreeMap;
use std::time::Duration;

use authn::config::Config;
use authn::{ConfigError, FetchError, Gate, Refusal, max_age};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::host;
use crate::state::{Shared, State, Waiting};
use crate::stream::Stream;

/// How often due fetches and overdue requests are looked for.
const STEADY: Duration = Duration::from_millis(250);
/// The next turn of the event loop: a request waits.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(1);

/// One a worker.
pub(crate) struct Root {
    id: u32,
    shared: Shared,
    /// The requests under way, by their numbers.
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

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, shared: Shared::default(), requests: BTreeMap::new() }
    }

    fn configure(&self, json: &[u8]) -> Result<(), ConfigError> {
        let gate = Gate::new(Config::parse(json)?, |name| std::env::var(name).ok())?;
        let state = State::new(gate)?;
        self.shared.replace(Some(state));
        Ok(())
    }

    fn start_due_fetches(&mut self) {
        let mut shared = self.shared.borrow_mut();
        let Some(state) = shared.as_mut() else {
            return;
        };
        let now = host::millis(host::now());
        for (index, (provider, source)) in state.gate.providers().iter().zip(&mut state.sources).enumerate() {
            if !source.is_due(now) {
                continue;
            }
            source.started();
            let asks_for = match provider.remote() {
                Some(remote) if remote.discovers() => Document::Metadata,
                _ => Document::Keys,
            };
            match provider.remote().and_then(|remote| host::start(&remote.first()).ok()) {
                Some(number) => drop(self.requests.insert(number, Request { provider: index, asks_for })),
                None => report(&provider.name, source.finished(Err(FetchError::NoAnswer), now, host::random())),
            }
        }
    }

    /// Takes the answer to a request. Gives the requests that waited for it, unless another one must follow first.
    fn take_answer(&mut self, request: Request, body_size: usize) -> BTreeMap<u32, Waiting> {
        let mut shared = self.shared.borrow_mut();
        let Some(state) = shared.as_mut() else {
            return BTreeMap::new();
        };
        let index = request.provider;
        let (Some(provider), Some(source)) = (state.gate.providers().get(index), state.sources.get_mut(index)) else {
            return BTreeMap::new();
        };
        let mut answer = answer(body_size);
        if let (Document::Metadata, Ok((metadata, _))) = (request.asks_for, &answer) {
            let uri = provider.remote().and_then(|remote| remote.jwks_uri(metadata));
            let fetch = uri.as_deref().and_then(|uri| provider.remote().and_then(|remote| remote.second(uri)));
            if let Some(number) = fetch.and_then(|fetch| host::start(&fetch).ok()) {
                self.requests.insert(number, Request { provider: index, asks_for: Document::Keys });
                return BTreeMap::new();
            }
            answer = Err(FetchError::Metadata);
        }
        let answer = answer.as_ref().map(|(body, max_age)| (body.as_slice(), *max_age)).map_err(|error| *error);
        report(&provider.name, source.finished(answer, host::millis(host::now()), host::random()));
        state.take_waiting_for(index)
    }

    /// Lets the requests go on that waited, each in its own context, with the keys that there are now.
    fn settle(&self, waiting: BTreeMap<u32, Waiting>) {
        for (id, one) in waiting {
            if host::act_on(id).is_err() {
                continue;
            }
            let mut shared = self.shared.borrow_mut();
            let Some(state) = shared.as_mut() else {
                continue;
            };
            let refusal = match state.judge(&one.check) {
                Ok(changes) if host::apply(&changes).is_ok() && host::resume().is_ok() => continue,
                Ok(_) => Refusal::NoKeys,
                Err(denied) => denied.refusal,
            };
            host::send(&state.gate.answer(refusal, one.request_id.as_deref()));
        }
        if host::act_on(self.id).is_err() {
            host::log(LogLevel::Error, "could not return to the root context");
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, number: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let Some(request) = self.requests.remove(&number) else {
            return;
        };
        let waiting = self.take_answer(request, body_size);
        self.settle(waiting);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let json = host::configuration(size).unwrap_or_default();
        match self.configure(&json) {
            Ok(()) => {
                host::tick_every(AT_ONCE);
                true
            }
            Err(error) => {
                host::log(LogLevel::Critical, &format!("oidc filter: configuration refused: {error}"));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        host::tick_every(STEADY);
        self.start_due_fetches();
        let overdue = match self.shared.borrow_mut().as_mut() {
            Some(state) => state.take_overdue(host::millis(host::now())),
            None => return,
        };
        self.settle(overdue);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(id, self.id, self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// The answer to a fetch: its body and `max-age`, if it came and says 200.
fn answer(body_size: usize) -> Result<(Vec<u8>, Option<Duration>), FetchError> {
    let status = host::answer_header(":status").and_then(|status| status.parse().ok()).ok_or(FetchError::NoAnswer)?;
    if status != 200 {
        return Err(FetchError::Status(status));
    }
    let body = host::answer_body(body_size).ok_or(FetchError::NoAnswer)?;
    Ok((body, host::answer_header("cache-control").as_deref().and_then(max_age)))
}

fn report(provider: &str, finished: Result<(), FetchError>) {
    match finished {
        Ok(()) => host::log(LogLevel::Debug, &format!("oidc filter: fetched the keys of provider {provider}")),
        Err(error) => {
            let message = format!("oidc filter: could not fetch the keys of provider {provider}: {error}");
            host::log(LogLevel::Warn, &message);
        }
    }
}
