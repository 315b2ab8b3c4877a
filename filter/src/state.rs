//! What the root context and the streams of one worker share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use authn::{Ask, Changes, ConfigError, Credential, Gate, KeySource, Refusal};

use crate::host;

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
    waiting: BTreeMap<u32, Waiting>,
}

/// A paused request.
pub(crate) struct Waiting {
    pub(crate) credential: Credential,
    pub(crate) request_id: Option<Vec<u8>>,
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
        Ok(Self { gate, sources, waiting: BTreeMap::new() })
    }

    /// Judges a credential with the keys that there are.
    pub(crate) fn judge(&self, credential: &Credential) -> Result<Changes, Refusal> {
        let now = host::now();
        let keys = self.sources.get(credential.provider).and_then(|source| source.keys(host::millis(now)));
        self.gate.judge(credential, keys, now.as_secs())
    }

    /// Judges a credential; one whose key is not there yet may wait for it.
    pub(crate) fn judge_or_wait(&mut self, id: u32, credential: Credential, request_id: Option<Vec<u8>>) -> Next {
        let refusal = match self.judge(&credential) {
            Ok(changes) => return Next::Continue(changes),
            Err(refusal @ (Refusal::UnknownKey | Refusal::NoKeys)) => refusal,
            Err(refusal) => return Next::Deny(refusal),
        };
        let now = host::millis(host::now());
        let Some(source) = self.sources.get_mut(credential.provider) else {
            return Next::Deny(refusal);
        };
        if self.waiting.len() >= MOST_WAITING || source.ask(now) == Ask::Refuse {
            return Next::Deny(refusal);
        }
        let until = now.saturating_add(LONGEST_WAIT);
        self.waiting.insert(id, Waiting { credential, request_id, until });
        Next::Wait
    }

    /// A stream has gone, waiting or not.
    pub(crate) fn forget(&mut self, id: u32) {
        self.waiting.remove(&id);
    }

    /// Takes out the requests that waited for this provider's keys.
    pub(crate) fn take_waiting_for(&mut self, provider: usize) -> BTreeMap<u32, Waiting> {
        self.take(|waiting| waiting.credential.provider == provider)
    }

    /// Takes out the requests that have waited long enough.
    pub(crate) fn take_overdue(&mut self, now: u64) -> BTreeMap<u32, Waiting> {
        self.take(|waiting| now >= waiting.until)
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> BTreeMap<u32, Waiting> {
        self.waiting.extract_if(.., |_, waiting| which(waiting)).collect()
    }
}
