//! What a connected machine does: comes, goes, takes a job and finishes it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Runner, World};
use crate::github::reply::Refusal;

/// A version that GitHub's own examples show.
const RUNNER_VERSION: &str = "2.323.0";

/// What a machine reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    Online,
    Offline,
    JobStart,
    JobFinish,
}

impl World {
    /// The runner that holds this credential, unless it was removed meanwhile.
    pub(crate) fn runner_with(&self, credential: &str) -> Result<u64, Refusal> {
        let found = self.runners.values().find(|runner| runner.credential == credential);
        let gone = || Refusal::new(401, "The runner registration has been deleted from the server");
        found.map(|runner| runner.id).ok_or_else(gone)
    }

    /// The runner after the event; `None` when it is gone with its job.
    pub(crate) fn happen(&mut self, id: u64, event: Event, now: DateTime<Utc>) -> Result<Option<&Runner>, Refusal> {
        self.let_time_pass(now);
        let runner = self.runners.get_mut(&id).ok_or_else(Refusal::not_found)?;
        match event {
            Event::Online => {
                runner.online = true;
                runner.version = Some(RUNNER_VERSION.to_owned());
                runner.os.get_or_insert_with(|| "Linux".to_owned());
            }
            Event::Offline => {
                runner.online = false;
                runner.offline_since = now;
            }
            Event::JobStart if runner.online && !runner.working => runner.working = true,
            Event::JobStart => return Err(Refusal::new(409, "Only an idle runner that is online takes a job")),
            Event::JobFinish if !runner.working => return Err(Refusal::new(409, "No job is running")),
            Event::JobFinish if runner.kind.ephemeral() => {
                self.runners.remove(&id);
                return Ok(None);
            }
            Event::JobFinish => runner.working = false,
        }
        Ok(self.runners.get(&id))
    }

    pub(crate) fn show(&self, id: u64) -> Option<&Runner> {
        self.runners.get(&id)
    }
}
