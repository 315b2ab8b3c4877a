//! What the root context and the streams of one worker share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use authn::{Admission, Ask, Changes, Check, ConfigError, Denied, Gate, KeySource, Memory, Refusal};

use crate::host::{self, Headers};

/// More paused requests than this are refused: they hold memory, and a caller can make them.
const MOST_WAITING: usize = 1000;
/// How long a request waits for keys, in milliseconds.
const LONGEST_WAIT: u64 = 3000;

/// Shared between the contexts of one worker; a worker is one thread.
pub(crate) type Shared = Rc<RefCell<Option<State>>>;

/// The configured gate with its keys and the requests that wait for some.
pub(crate) struct State {
    pub(crate) gate: Gate,
    pub(crate) sources: Vec<KeySource>,
    memory: Memory,
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
        let sources = gate.providers().iter().map(authn::Provider::key_source).collect::<Result<_, _>>()?;
        let memory = Memory::new(gate.providers());
        Ok(Self { gate, sources, memory, waiting: BTreeMap::new() })
    }

    /// Decides about a request; one that lacks a key may wait for it.
    pub(crate) fn decide(&mut self, id: u32, headers: &Headers) -> Next {
        let check = match self.gate.admit(headers) {
            Ok(Admission::Public) => return Next::Continue(Changes::default()),
            Ok(Admission::Check(check)) => check,
            Err(_) if self.gate.shadow => return Next::Continue(Changes::default()),
            Err(refusal) => return Next::Deny(refusal),
        };
        match self.judge(&check) {
            Ok(changes) => Next::Continue(changes),
            Err(denied) => self.wait_or_deny(id, check, headers, &denied),
        }
    }

    /// Judges a request's tokens with the keys that there are. In shadow mode every request passes unchanged.
    pub(crate) fn judge(&mut self, check: &Check) -> Result<Changes, Denied> {
        let judged = self.gate.judge(check, &self.sources, &mut self.memory, host::millis(host::now()));
        if self.gate.shadow { Ok(Changes::default()) } else { judged }
    }

    fn wait_or_deny(&mut self, id: u32, check: Check, headers: &Headers, denied: &Denied) -> Next {
        if self.waiting.len() >= MOST_WAITING {
            return Next::Deny(denied.refusal);
        }
        let now = host::millis(host::now());
        let mut providers = Vec::new();
        for (provider, key_id) in &denied.lacking {
            if let Some(source) = self.sources.get_mut(*provider)
                && source.ask(key_id.as_deref(), now) == Ask::Wait
            {
                providers.push(*provider);
            }
        }
        if providers.is_empty() {
            return Next::Deny(denied.refusal);
        }
        let request_id = host::header(headers, "x-request-id").map(<[u8]>::to_vec);
        self.waiting.insert(id, Waiting { check, request_id, providers, until: now.saturating_add(LONGEST_WAIT) });
        Next::Wait
    }

    /// A stream has gone, waiting or not.
    pub(crate) fn forget(&mut self, id: u32) {
        self.waiting.remove(&id);
    }

    /// Takes out the requests that waited for this provider's keys.
    pub(crate) fn take_waiting_for(&mut self, provider: usize) -> BTreeMap<u32, Waiting> {
        self.take(|waiting| waiting.providers.contains(&provider))
    }

    /// Takes out the requests that have waited long enough.
    pub(crate) fn take_overdue(&mut self, now: u64) -> BTreeMap<u32, Waiting> {
        self.take(|waiting| now >= waiting.until)
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> BTreeMap<u32, Waiting> {
        self.waiting.extract_if(.., |_, waiting| which(waiting)).collect()
    }
}
