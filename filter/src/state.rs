//! What the root context and the streams of one worker share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use authn::{Ask, Backend, Changes, ConfigError, Denied, Gate, Headers, Host, PureRust, Refusal, Verdict, Worker};

use proxy_wasm::types::LogLevel;

use crate::fetching::Fetching;
use crate::host;
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
    /// Its headers, so that it can be judged again.
    map: Vec<u8>,
    /// The providers whose keys it waits for.
    providers: Vec<usize>,
    until: u64,
}

/// How a request goes on.
pub(crate) enum Next<'g> {
    Continue(Changes<'g>),
    Wait,
    Deny(Refusal),
}

impl State {
    pub(crate) fn new(gate: Gate) -> Result<Self, ConfigError> {
        let worker = gate.worker(backend(&gate))?;
        let metrics = Metrics::define(&gate.stat_prefix);
        Ok(Self { gate, worker, metrics, fetching: Fetching::default(), waiting: BTreeMap::new() })
    }

    /// Decides about a request; one that lacks a key may wait for it, and then its headers are kept.
    pub(crate) fn decide(&mut self, id: u32, headers: &Headers<'_>, map: &[u8]) -> Next<'_> {
        let now = host::millis(host::now());
        match self.gate.judge(headers, &mut self.worker, now) {
            Ok(verdict) => self.metrics.passed(verdict, self.gate.shadow),
            Err(denied) => {
                let may_wait = !self.gate.shadow && self.waiting.len() < MOST_WAITING;
                let providers = if may_wait { ask(&mut self.worker, &denied, now) } else { Vec::new() };
                if providers.is_empty() {
                    return self.metrics.deny(denied.refusal, self.gate.shadow);
                }
                self.metrics.waited();
                let until = now.saturating_add(LONGEST_WAIT);
                self.waiting.insert(id, Waiting { map: map.to_vec(), providers, until });
                Next::Wait
            }
        }
    }

    /// Decides again about a request that waited.
    pub(crate) fn decide_again(&mut self, headers: &Headers<'_>) -> Next<'_> {
        match self.gate.judge(headers, &mut self.worker, host::millis(host::now())) {
            Ok(verdict) => self.metrics.passed(verdict, self.gate.shadow),
            Err(denied) => self.metrics.deny(denied.refusal, self.gate.shadow),
        }
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
        self.metrics.tell();
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

/// Asks for the keys that were lacking. Gives the providers that may have them soon.
fn ask(worker: &mut Worker, denied: &Denied, now: u64) -> Vec<usize> {
    let mut providers = Vec::new();
    for (provider, key_id) in &denied.lacking {
        if let Some(source) = worker.sources.get_mut(*provider)
            && source.ask(key_id.as_deref(), now) == Ask::Wait
        {
            providers.push(*provider);
        }
    }
    providers
}

impl Waiting {
    /// Its headers.
    pub(crate) fn headers(&self) -> Option<Headers<'_>> {
        Headers::from_map(&self.map)
    }
}

impl Metrics {
    /// In shadow mode the upstream is told nothing.
    fn passed<'g>(&self, verdict: Verdict<'g>, shadow: bool) -> Next<'g> {
        match verdict {
            Verdict::Public => self.public(),
            Verdict::Verified(_) => self.allowed(),
        }
        Next::Continue(match verdict {
            Verdict::Verified(changes) if !shadow => changes,
            _ => Changes::default(),
        })
    }

    /// In shadow mode a refusal is counted and the request passes.
    fn deny<'g>(&self, refusal: Refusal, shadow: bool) -> Next<'g> {
        self.denied(refusal, shadow);
        if shadow { Next::Continue(Changes::default()) } else { Next::Deny(refusal) }
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
