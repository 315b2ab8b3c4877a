//! The root context: configuration, the timer, answers to fetches, and the requests that waited for keys.

use std::collections::BTreeMap;
use std::time::Duration;

use authn::config::Config;
use authn::{ConfigError, Gate, Refusal};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::host;
use crate::state::{Next, Shared, State, Waiting};
use crate::stream::Stream;

/// How often due fetches and overdue requests are looked for.
const STEADY: Duration = Duration::from_millis(250);
/// How often, while another worker fetches keys that this one needs.
const SOON: Duration = Duration::from_millis(20);
/// The next turn of the event loop: a request waits.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(1);

/// One a worker.
pub(crate) struct Root {
    id: u32,
    shared: Shared,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, shared: Shared::default() }
    }

    fn configure(&self, json: &[u8]) -> Result<(), ConfigError> {
        let gate = Gate::new(Config::parse(json)?, |name| std::env::var(name).ok())?;
        self.shared.replace(Some(State::new(gate)?));
        Ok(())
    }

    /// Decides again about requests that waited, each in its own context.
    fn settle(&self, waiting: BTreeMap<u32, Waiting>) {
        if waiting.is_empty() {
            return;
        }
        for (id, one) in waiting {
            let mut shared = self.shared.borrow_mut();
            let (Ok(()), Some(state)) = (host::act_on(id), shared.as_mut()) else {
                continue;
            };
            let headers = one.headers();
            let next = headers.as_ref().map_or(Next::Deny(Refusal::Malformed), |headers| state.decide_again(headers));
            let refusal = match next {
                Next::Continue(changes) if host::apply(&changes).is_ok() && host::resume().is_ok() => continue,
                Next::Continue(_) | Next::Wait => Refusal::NoKeys,
                Next::Deny(refusal) => refusal,
            };
            host::log(LogLevel::Debug, &format!("oidc filter: refused: {}", refusal.code()));
            let request_id = headers.as_ref().and_then(|headers| headers.first("x-request-id"));
            host::send(state.gate.answer(refusal, request_id));
        }
        if host::act_on(self.id).is_err() {
            host::log(LogLevel::Error, "oidc filter: could not return to the root context");
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, number: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let waiting = self.shared.borrow_mut().as_mut().map(|state| state.answered(number, body_size));
        self.settle(waiting.unwrap_or_default());
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
        let ticked = self.shared.borrow_mut().as_mut().map(State::tick);
        let (waiting, following) = ticked.unwrap_or_default();
        host::tick_every(if following { SOON } else { STEADY });
        self.settle(waiting);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(id, self.id, self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
