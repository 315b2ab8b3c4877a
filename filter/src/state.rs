//! What the root context and the streams of one worker share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use authn::{Admission, Ask, Backend, Changes, Check, ConfigError, Denied, Gate, Host, PureRust, Refusal, Worker};

use proxy_wasm::types::LogLevel;

use crate::fetching::Fetching;
use crate::host::{self, Headers};
use crate::metrics::Metrics;

/// More paused requests than this are refused: they hold memory, and a caller can make them.
const MOST_WAITING: usize = 1000;
/// How long a request waits for keys, in milliseconds.
const LONGEST_WAIT: u64 = 3000;

/// Shared between the contexts of one worker; a worker is one thread.
pub(crate) type Shared = Rc<RefCell<Option<State>>>;

/// The configured gate with its keys and the requests that wait for some.
pub(crate) struct State {
    pub(crate) gate: Gate,
    worker: Worker,
    metrics: Metrics,
    fetching: Fetching,
    waiting: BTreeMap<u32, Waiting>,
}

/// A paused request.
pub(crate) struct Waiting {
    pub(crate) check: Check,
    pub(crate) request_id: Option<Vec<u8>>,
    /// The providers whose keys it waits for.
    providers: Vec<usize>,
    until: u64,
}

/// How a request goes on.
pub(crate) enum Next {
    Continue(Changes),
    Wait,
    Deny(Refusal),
}

impl State {
    pub(crate) fn new(gate: Gate) -> Result<Self, ConfigError> {
        let worker = gate.worker(backend(&gate))?;
        Ok(Self { gate, worker, metrics: Metrics::define(), fetching: Fetching::default(), waiting: BTreeMap::new() })
    }

    /// Decides about a request; one that lacks a key may wait for it.
    pub(crate) fn decide(&mut self, id: u32, headers: &Headers) -> Next {
        let check = match self.gate.admit(headers) {
            Ok(Admission::Public) => {
                self.metrics.public();
                return Next::Continue(Changes::default());
            }
            Ok(Admission::Check(check)) => check,
            Err(refusal) => return self.deny(refusal),
        };
        match self.evaluate(&check) {
            Ok(changes) => self.allow(changes),
            Err(denied) if self.gate.shadow => self.deny(denied.refusal),
            Err(denied) => self.wait_or_deny(id, check, headers, &denied),
        }
    }

    /// Decides again about a request that waited.
    pub(crate) fn decide_again(&mut self, check: &Check) -> Next {
        match self.evaluate(check) {
            Ok(changes) => self.allow(changes),
            Err(denied) => self.deny(denied.refusal),
        }
    }

    fn evaluate(&mut self, check: &Check) -> Result<Changes, Denied> {
        self.gate.judge(check, &mut self.worker, host::millis(host::now()))
    }

    /// In shadow mode the upstream is told nothing.
    fn allow(&self, changes: Changes) -> Next {
        self.metrics.allowed();
        Next::Continue(if self.gate.shadow { Changes::default() } else { changes })
    }

    /// In shadow mode a refusal is counted and the request passes.
    fn deny(&self, refusal: Refusal) -> Next {
        self.metrics.denied(refusal, self.gate.shadow);
        if self.gate.shadow { Next::Continue(Changes::default()) } else { Next::Deny(refusal) }
    }

    fn wait_or_deny(&mut self, id: u32, check: Check, headers: &Headers, denied: &Denied) -> Next {
        if self.waiting.len() >= MOST_WAITING {
            return self.deny(denied.refusal);
        }
        let now = host::millis(host::now());
        let mut providers = Vec::new();
        for (provider, key_id) in &denied.lacking {
            if let Some(source) = self.worker.sources.get_mut(*provider)
                && source.ask(key_id.as_deref(), now) == Ask::Wait
            {
                providers.push(*provider);
            }
        }
        if providers.is_empty() {
            return self.deny(denied.refusal);
        }
        let request_id = host::header(headers, "x-request-id").map(<[u8]>::to_vec);
        self.metrics.waited();
        self.waiting.insert(id, Waiting { check, request_id, providers, until: now.saturating_add(LONGEST_WAIT) });
        Next::Wait
    }

    /// A stream has gone, waiting or not.
    pub(crate) fn forget(&mut self, id: u32) {
        self.waiting.remove(&id);
    }

    /// Looks after keys that are due and requests that have waited long enough. Gives the requests to decide again
    /// about, and whether to look again soon.
    pub(crate) fn tick(&mut self) -> (BTreeMap<u32, Waiting>, bool) {
        let round = self.fetching.look(&self.gate, &mut self.worker.sources, &self.metrics);
        let now = host::millis(host::now());
        self.metrics.looked_up(self.worker.memory.take_counts());
        self.metrics.keys(&self.worker.sources, now);
        let due =
            |waiting: &Waiting| now >= waiting.until || round.settled.iter().any(|one| waiting.providers.contains(one));
        (self.take(due), round.following)
    }

    /// Takes the answer to a fetch. Gives the requests to decide again about.
    pub(crate) fn answered(&mut self, number: u32, body_size: usize) -> BTreeMap<u32, Waiting> {
        let answered = self.fetching.answered(number, body_size, &self.gate, &mut self.worker.sources, &self.metrics);
        answered.map_or_else(BTreeMap::new, |provider| self.take(|waiting| waiting.providers.contains(&provider)))
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> BTreeMap<u32, Waiting> {
        self.waiting.extract_if(.., |_, waiting| which(waiting)).collect()
    }
}

/// The host checks signatures where it has shown that it can.
fn backend(gate: &Gate) -> Box<dyn Backend> {
    if !gate.host_signatures {
        return Box::new(PureRust);
    }
    let host = Host::probe(host::verify_signature);
    let names: Vec<_> = host.usable().iter().map(|algorithm| algorithm.name()).collect();
    host::log(LogLevel::Info, &format!("oidc filter: the host checks signatures of: {}", names.join(" ")));
    Box::new(host)
}
