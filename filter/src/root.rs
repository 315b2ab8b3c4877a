//! The root context: configuration, the fetching of keys, and the requests that waited for them.

use std::collections::BTreeMap;
use std::time::Duration;

use authn::config::Config;
use authn::{Answer, ConfigError, FetchError, Gate, Refusal, max_age};
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
    /// Providers by the number of the fetch under way.
    fetches: BTreeMap<u32, usize>,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, shared: Shared::default(), fetches: BTreeMap::new() }
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
            let started = provider
                .fetch()
                .ok_or(FetchError::NoAnswer)
                .and_then(|fetch| host::start(&fetch).map_err(|_| FetchError::NoAnswer));
            match started {
                Ok(number) => drop(self.fetches.insert(number, index)),
                Err(error) => report(&provider.name, source.finished(Err(error), now, 0)),
            }
        }
    }

    /// Lets the requests go on that waited, each in its own context, with the keys that there are now.
    fn settle(&self, waiting: BTreeMap<u32, Waiting>) {
        for (id, one) in waiting {
            if host::act_on(id).is_err() {
                continue;
            }
            let judged = match self.shared.borrow().as_ref() {
                Some(state) => state.judge(&one.credential),
                None => Err(Refusal::NoKeys),
            };
            match judged {
                Ok(changes) if host::apply(&changes).is_ok() && host::resume().is_ok() => {}
                Ok(_) => host::send(&Answer::to(Refusal::NoKeys, one.request_id.as_deref())),
                Err(refusal) => host::send(&Answer::to(refusal, one.request_id.as_deref())),
            }
        }
        if host::act_on(self.id).is_err() {
            host::log(LogLevel::Error, "could not return to the root context");
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, number: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let Some(index) = self.fetches.remove(&number) else {
            return;
        };
        let waiting = {
            let mut shared = self.shared.borrow_mut();
            let Some(state) = shared.as_mut() else {
                return;
            };
            let (Some(provider), Some(source)) = (state.gate.providers().get(index), state.sources.get_mut(index))
            else {
                return;
            };
            let body = answer(body_size);
            let answer = body.as_ref().map(|(body, max_age)| (body.as_slice(), *max_age)).map_err(|error| *error);
            let finished = source.finished(answer, host::millis(host::now()), host::random());
            report(&provider.name, finished);
            state.take_waiting_for(index)
        };
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
