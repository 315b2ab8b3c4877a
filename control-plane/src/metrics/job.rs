//! Jobs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::{IntGaugeVec, Opts, Registry};

use super::catalogue::{JOB_RUNS, JOB_SECONDS, JOB_SUCCESS};
use super::{Counter, Durations};
use crate::jobs::Job;

/// What this process has done on its own.
pub(crate) struct Jobs {
    runs: Counter,
    seconds: Durations,
    success: IntGaugeVec,
    /// Start of the newest run of each job in this process.
    newest: Mutex<HashMap<&'static str, DateTime<Utc>>>,
}

impl Jobs {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let success = IntGaugeVec::new(Opts::new(JOB_SUCCESS.name, JOB_SUCCESS.about), JOB_SUCCESS.labels)?;
        registry.register(Box::new(success.clone()))?;
        let (runs, seconds) = (Counter::new(&JOB_RUNS, registry)?, Durations::new(&JOB_SECONDS, registry)?);
        for job in Job::ALL {
            for outcome in ["success", "failure", "lost"] {
                runs.announce(&[job.name(), outcome]);
            }
        }
        Ok(Self { runs, seconds, success, newest: Mutex::default() })
    }

    /// A run came to its end.
    pub(crate) fn ended(&self, job: Job, started: DateTime<Utc>, took: Duration, succeeded: bool) {
        self.runs.add(&[job.name(), if succeeded { "success" } else { "failure" }]);
        self.seconds.observe(&[job.name()], took);
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(job.name(), started);
        if succeeded && let Ok(gauge) = self.success.get_metric_with_label_values(&[job.name()]) {
            gauge.set(started.timestamp());
        }
    }

    /// A run was cut short, for another replica may have the turn.
    pub(crate) fn lost(&self, job: Job) {
        self.runs.add(&[job.name(), "lost"]);
    }

    /// Whether the newest run of a job in this process is the one that started then.
    pub(super) fn did(&self, job: &str, started: DateTime<Utc>) -> bool {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(job) == Some(&started)
    }
}
