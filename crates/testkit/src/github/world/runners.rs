//! Runners: made, shown, deleted, and forgotten when nobody uses them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::accounts::after;
use super::auth::Access;
use super::{Request, World};
use crate::github::faults::Fault;
use crate::github::reply::{Refusal, Reply};

/// GitHub removes an ephemeral runner that was offline so long.
const EPHEMERAL_OFFLINE: TimeDelta = TimeDelta::days(1);
/// GitHub removes any other runner that was offline so long.
const OFFLINE: TimeDelta = TimeDelta::days(14);
const RUNNERS_DOCUMENTATION: &str = "https://docs.github.com/rest/actions/self-hosted-runners";

/// How a runner came to be, and with that how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerKind {
    /// Registered by `config.sh`; stays.
    Persistent,
    /// Registered by `config.sh --ephemeral`; goes after one job.
    Ephemeral,
    /// Made by a JIT config; goes after one job, and has no labels but its own.
    Jit,
}

impl RunnerKind {
    /// Whether it goes after one job.
    pub fn ephemeral(self) -> bool {
        self != Self::Persistent
    }
}

/// A runner's record.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(crate) id: u64,
    /// Its organisation or repository in lower case.
    pub(crate) target: String,
    pub(crate) name: String,
    pub(crate) group_id: u64,
    pub(crate) kind: RunnerKind,
    /// Labels with whether they are custom.
    pub(crate) labels: Vec<(String, bool)>,
    /// Unknown until the machine has connected once.
    pub(crate) os: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) online: bool,
    pub(crate) working: bool,
    /// What the machine shows to open a session.
    pub(crate) credential: String,
    pub(super) phantom_busy_until: Option<DateTime<Utc>>,
    pub(super) hidden_until: Option<DateTime<Utc>>,
    vanishes_at: Option<DateTime<Utc>>,
    pub(super) offline_since: DateTime<Utc>,
}

impl Runner {
    pub(super) fn busy(&self, now: DateTime<Utc>) -> bool {
        self.working || self.phantom_busy_until.is_some_and(|until| now < until)
    }

    fn forgotten(&self, now: DateTime<Utc>) -> bool {
        if self.vanishes_at.is_some_and(|end| now >= end) {
            return true;
        }
        let patience = if self.kind.ephemeral() { EPHEMERAL_OFFLINE } else { OFFLINE };
        !self.online && now.signed_duration_since(self.offline_since) >= patience
    }
}

/// A runner to be made.
#[derive(Debug)]
pub(crate) struct NewRunner {
    pub(crate) target: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) group_id: u64,
    pub(crate) kind: RunnerKind,
}

impl World {
    /// Automatic removal: ephemeral runners after a day offline, others after two weeks.
    pub(super) fn let_time_pass(&mut self, now: DateTime<Utc>) {
        self.runners.retain(|_, runner| !runner.forgotten(now));
    }

    pub(crate) fn add_runner(&mut self, new: NewRunner, fault: Option<&Fault>, now: DateTime<Utc>) -> u64 {
        let id = self.next_id();
        let credential = self.random.hex(40);
        self.secrets.push(credential.clone());
        let mut labels: Vec<(String, bool)> = Vec::new();
        let jit = new.kind == RunnerKind::Jit;
        let defaults = if jit { [].as_slice() } else { ["self-hosted", "Linux", "X64"].as_slice() };
        let own = new.labels.into_iter().map(|label| (label, true));
        for (label, custom) in defaults.iter().map(|label| ((*label).to_owned(), false)).chain(own) {
            if !labels.iter().any(|(known, _)| known.eq_ignore_ascii_case(&label)) {
                labels.push((label, custom));
            }
        }
        let runner = Runner {
            id,
            target: new.target,
            name: new.name,
            group_id: new.group_id,
            kind: new.kind,
            labels,
            os: (!jit).then(|| "Linux".to_owned()),
            version: None,
            online: false,
            working: false,
            credential,
            phantom_busy_until: None,
            hidden_until: None,
            vanishes_at: None,
            offline_since: now,
        };
        self.runners.insert(id, runner);
        match fault {
            Some(Fault::ReplicationLag(lag)) => self.hide(id, *lag, now),
            Some(Fault::PhantomBusy(length)) => self.make_phantom_busy(id, *length, now),
            Some(Fault::VanishesEarly(life)) => self.vanish(id, after(now, *life)),
            _ => {}
        }
        id
    }

    pub(crate) fn hide(&mut self, id: u64, length: Duration, now: DateTime<Utc>) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.hidden_until = Some(after(now, length));
        }
    }

    fn vanish(&mut self, id: u64, at: DateTime<Utc>) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.vanishes_at = Some(at);
        }
    }

    /// Changes a runner from outside the API, as a person in the web pages would.
    pub(crate) fn change_runner(&mut self, id: u64, labels: Option<&[&str]>, group_id: Option<u64>) {
        if let Some(runner) = self.runners.get_mut(&id) {
            if let Some(labels) = labels {
                runner.labels.retain(|(_, custom)| !custom);
                runner.labels.extend(labels.iter().map(|label| ((*label).to_owned(), true)));
            }
            runner.group_id = group_id.unwrap_or(runner.group_id);
        }
    }

    /// Lets a runner count as busy though no job runs.
    pub(crate) fn make_phantom_busy(&mut self, id: u64, length: Duration, now: DateTime<Utc>) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.phantom_busy_until = Some(after(now, length));
        }
    }

    /// Removes a runner from outside the API, as a person in the web pages would.
    pub(crate) fn remove_runner(&mut self, id: u64) -> bool {
        self.runners.remove(&id).is_some()
    }

    pub(crate) fn all_runners(&mut self, now: DateTime<Utc>) -> impl Iterator<Item = &Runner> {
        self.let_time_pass(now);
        self.runners.values()
    }

    /// Names are unique on a target; case does not tell them apart.
    pub(super) fn runner_named(&self, target: &str, name: &str) -> Option<u64> {
        let lower = name.to_lowercase();
        let same = |runner: &&Runner| runner.target == target && runner.name.to_lowercase() == lower;
        self.runners.values().find(same).map(|runner| runner.id)
    }

    pub(super) fn runner_of(&self, request: &Request, target: &str) -> Result<&Runner, Refusal> {
        let runner = self.runners.get(&request.id()?).filter(|runner| runner.target == target);
        runner.ok_or_else(|| Refusal::not_found().documented_at(RUNNERS_DOCUMENTATION))
    }

    pub(super) fn show_runner(&mut self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let target = self.require_runners(request, Access::Read, now)?;
        let runner = self.runner_of(request, &target)?.clone();
        self.number_labels(&runner);
        Ok(Reply::new(200, self.runner(&runner, now)))
    }

    pub(super) fn delete_runner(&mut self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let target = self.require_runners(request, Access::Write, now)?;
        let id = self.runner_of(request, &target)?.id;
        if let Some(Fault::PhantomBusy(length)) = request.fault {
            self.make_phantom_busy(id, length, now);
        }
        let runner = self.runner_of(request, &target)?;
        if runner.busy(now) {
            let message = format!("Bad request - Runner \"{}\" is still running a job", runner.name);
            return Err(Refusal::new(422, message).documented_at(RUNNERS_DOCUMENTATION));
        }
        self.runners.remove(&id);
        Ok(Reply::empty(204))
    }
}
