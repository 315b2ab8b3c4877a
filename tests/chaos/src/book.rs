//! What the clients saw and hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use testkit::ledger::Ledger;

use crate::answers::Outcome;

/// How far a runner has come, by what its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its secret was given out; GitHub has it if that was a JIT config.
    Issued { jit: bool },
    /// Its machine is on line.
    OnLine,
}

/// Counted during one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) succeeded: u64,
    /// What is as it should be, such as a limit that is reached, by kind.
    pub(crate) refused: BTreeMap<String, u64>,
    /// What only a fault explains, by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Requests without a good token, all of them refused.
    pub(crate) hostile: u64,
}

/// Shared by all clients.
#[derive(Default)]
pub(crate) struct Book(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    tally: Tally,
    broken: BTreeSet<String>,
    ledger: Ledger,
    /// Runners that nobody asked to delete and whose job has not ended.
    live: BTreeMap<String, Stage>,
    /// Bodies of errors, to look for secrets in them.
    bodies: Vec<String>,
}

/// Refusals that need no fault.
const ORDINARY: [&str; 5] =
    ["403 limit-reached", "429 limit-reached", "404 runner-not-found", "409 runner-busy", "409 provision-in-progress"];

impl Book {
    fn with<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what came of a request of a client with a good token.
    pub(crate) fn note(&self, outcome: &Outcome) {
        self.with(|entries| {
            entries.tally.requests += 1;
            let kind = match outcome {
                Ok(answer) if answer.status.is_success() => {
                    entries.tally.succeeded += 1;
                    return;
                }
                Ok(answer) => {
                    entries.broken.extend(answer.leaves_in_the_dark());
                    entries.bodies.push(answer.body.to_string());
                    answer.kind()
                }
                Err(kind) => (*kind).to_owned(),
            };
            let tally = &mut entries.tally;
            let counts = if ORDINARY.contains(&kind.as_str()) { &mut tally.refused } else { &mut tally.errors };
            *counts.entry(kind).or_default() += 1;
        });
    }

    /// Notes what came of a request without a good token: nothing may.
    pub(crate) fn note_hostile(&self, what: &str, outcome: &Outcome) {
        self.with(|entries| {
            entries.tally.hostile += 1;
            if let Ok(answer) = outcome {
                entries.broken.extend(answer.leaves_in_the_dark());
                entries.bodies.push(answer.body.to_string());
                if !answer.status.is_client_error() && !answer.status.is_server_error() {
                    entries.broken.insert(format!("let in with {what}: {}", answer.status));
                }
            }
        });
    }

    /// Notes what must not be.
    pub(crate) fn broken(&self, what: String) {
        self.with(|entries| entries.broken.insert(what));
    }

    /// Notes a secret that a client was given.
    pub(crate) fn issued(&self, body: &Value, jit: bool) {
        self.with(|entries| {
            entries.ledger.note(body);
            let name = body.get("runner_name").and_then(Value::as_str).unwrap_or_default();
            entries.live.insert(name.to_owned(), Stage::Issued { jit });
        });
    }

    /// Notes that a runner's machine is on line.
    pub(crate) fn on_line(&self, name: &str) {
        self.with(|entries| entries.live.insert(name.to_owned(), Stage::OnLine));
    }

    /// Notes that a runner may go from now on.
    pub(crate) fn may_go(&self, name: &str) {
        self.with(|entries| entries.live.remove(name));
    }

    /// Notes a runner that came to GitHub by other means.
    pub(crate) fn stranger(&self, id: u64) {
        self.with(|entries| entries.ledger.strangers.insert(id));
    }

    /// The count since the last time.
    pub(crate) fn take_tally(&self) -> Tally {
        self.with(|entries| std::mem::take(&mut entries.tally))
    }

    /// What must not be and was, since the last time.
    pub(crate) fn take_broken(&self) -> BTreeSet<String> {
        self.with(|entries| std::mem::take(&mut entries.broken))
    }

    /// Bodies of errors so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.with(|entries| entries.bodies.clone())
    }

    /// What clients were given so far.
    pub(crate) fn ledger(&self) -> Ledger {
        self.with(|entries| entries.ledger.clone())
    }

    /// The runners that must be there.
    pub(crate) fn live(&self) -> BTreeMap<String, Stage> {
        self.with(|entries| entries.live.clone())
    }
}
