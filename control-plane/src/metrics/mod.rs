//! Metrics for Prometheus, on a port of their own (`METRICS_ADDR`).
//!
//! What happens is counted as it happens; what is so now is read when somebody asks, and left out if it can't be read.

mod calls;
mod catalogue;
mod http;
mod job;
mod scrape;
mod server;

pub use catalogue::{Kind, METRICS, Metric};
pub use server::serve;

pub(crate) use calls::{Calls, Operation, UnderWay};
pub(crate) use http::{Http, known};
pub(crate) use job::Jobs;

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Upper bounds, in seconds: from an answer out of memory to a job that reads a large organisation.
const BOUNDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// What this process counts.
pub struct Metrics {
    registry: Registry,
    pub(crate) http: Http,
    pub(crate) jobs: Jobs,
    policy_failures: Counter,
    scrape_failures: Counter,
}

impl Metrics {
    /// Nothing is counted yet, but for what these calls have seen.
    pub(crate) fn new(calls: &Calls) -> prometheus::Result<Self> {
        let registry = Registry::new();
        calls.register(&registry)?;
        let metrics = Self {
            http: Http::new(&registry)?,
            jobs: Jobs::new(&registry)?,
            policy_failures: Counter::new(&catalogue::POLICY_FAILURES, &registry)?,
            scrape_failures: Counter::new(&catalogue::SCRAPE_FAILURES, &registry)?,
            registry,
        };
        metrics.policy_failures.announce(&[]);
        for reading in scrape::READINGS {
            metrics.scrape_failures.announce(&[reading]);
        }
        Ok(metrics)
    }

    /// The policy file was changed to one that can't be used.
    pub(crate) fn policy_refused(&self) {
        self.policy_failures.add(&[]);
    }
}

/// A counter for each combination of labels. One with other labels than the catalogue says counts nothing.
#[derive(Clone)]
struct Counter(IntCounterVec);

impl Counter {
    fn new(metric: &Metric, registry: &Registry) -> prometheus::Result<Self> {
        let counter = Self::alone(metric)?;
        registry.register(Box::new(counter.0.clone()))?;
        Ok(counter)
    }

    fn alone(metric: &Metric) -> prometheus::Result<Self> {
        IntCounterVec::new(Opts::new(metric.name, metric.about), metric.labels).map(Self)
    }

    fn add(&self, labels: &[&str]) {
        if let Ok(counter) = self.0.get_metric_with_label_values(labels) {
            counter.inc();
        }
    }

    /// Shows 0 from the start: an increase from nothing is none to Prometheus.
    fn announce(&self, labels: &[&str]) {
        let _ = self.0.get_metric_with_label_values(labels);
    }
}

/// A histogram of durations for each combination of labels.
#[derive(Clone)]
struct Durations(HistogramVec);

impl Durations {
    fn new(metric: &Metric, registry: &Registry) -> prometheus::Result<Self> {
        let durations = Self::alone(metric)?;
        registry.register(Box::new(durations.0.clone()))?;
        Ok(durations)
    }

    fn alone(metric: &Metric) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(metric.name, metric.about).buckets(BOUNDS.to_vec());
        HistogramVec::new(options, metric.labels).map(Self)
    }

    fn observe(&self, labels: &[&str], took: Duration) {
        if let Ok(histogram) = self.0.get_metric_with_label_values(labels) {
            histogram.observe(took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod documented_tests;
