//! Counters and gauges of the host. Their number is fixed; their names hold nothing of a request, and of the
//! configuration the one part that is meant for it. A host without metrics loses them and nothing else.

use std::cell::Cell;

use authn::{KeySource, Refusal};
use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

/// What the filter counts. Counts are told to the host with the timer: a host call a request would cost more than many
/// a decision.
pub(crate) struct Metrics {
    allowed: Counter,
    public: Counter,
    waited: Counter,
    denied: Vec<(Refusal, Counter)>,
    shadow_denied: Counter,
    cache_hits: Counter,
    cache_misses: Counter,
    fetches: Counter,
    failed_fetches: Counter,
    skipped_keys: Option<u32>,
    key_age: Option<u32>,
}

/// A counter of the host, and what it was not told yet.
struct Counter {
    metric: Option<u32>,
    untold: Cell<i64>,
}

impl Metrics {
    /// `prefix` is a further part of the names, if it is not empty.
    pub(crate) fn define(prefix: &str) -> Self {
        let dot = if prefix.is_empty() { "" } else { "." };
        let define =
            |kind, name: &str| hostcalls::define_metric(kind, &format!("oidc_filter.{prefix}{dot}{name}")).ok();
        let counter = |name: &str| Counter { metric: define(MetricType::Counter, name), untold: Cell::new(0) };
        let gauge = |name: &str| define(MetricType::Gauge, name);
        let denied = |refusal: Refusal| (refusal, counter(&format!("denied.{}", refusal.code())));
        Self {
            allowed: counter("allowed"),
            public: counter("public"),
            waited: counter("waited"),
            denied: Refusal::ALL.into_iter().map(denied).collect(),
            shadow_denied: counter("shadow_denied"),
            cache_hits: counter("cache.hits"),
            cache_misses: counter("cache.misses"),
            fetches: counter("keys.fetches"),
            failed_fetches: counter("keys.failed_fetches"),
            skipped_keys: gauge("keys.skipped"),
            key_age: gauge("keys.age_seconds"),
        }
    }

    pub(crate) fn allowed(&self) {
        self.allowed.add(1);
    }

    pub(crate) fn public(&self) {
        self.public.add(1);
    }

    pub(crate) fn waited(&self) {
        self.waited.add(1);
    }

    pub(crate) fn denied(&self, refusal: Refusal, shadow: bool) {
        if shadow {
            self.shadow_denied.add(1);
        }
        if let Some((_, counter)) = self.denied.iter().find(|(one, _)| *one == refusal) {
            counter.add(1);
        }
    }

    pub(crate) fn fetched(&self, ok: bool) {
        if ok { &self.fetches } else { &self.failed_fetches }.add(1);
    }

    /// Takes over what was remembered and what not since the last call.
    pub(crate) fn looked_up(&self, (hits, misses): (i64, i64)) {
        self.cache_hits.add(hits);
        self.cache_misses.add(misses);
    }

    /// Tells the host what was counted since the last call.
    pub(crate) fn tell(&self) {
        let outcomes = [&self.allowed, &self.public, &self.waited, &self.shadow_denied];
        let work = [&self.cache_hits, &self.cache_misses, &self.fetches, &self.failed_fetches];
        let denied = self.denied.iter().map(|(_, counter)| counter);
        outcomes.into_iter().chain(work).chain(denied).for_each(Counter::tell);
    }

    /// The state of all keys: entries passed over, and the age of the oldest set.
    pub(crate) fn keys(&self, sources: &[KeySource], now: u64) {
        let age = sources.iter().filter_map(KeySource::fetched_at).map(|at| now.saturating_sub(at) / 1000).max();
        let skipped = sources.iter().map(KeySource::skipped).sum::<usize>();
        record(self.key_age, age.unwrap_or(0));
        record(self.skipped_keys, u64::try_from(skipped).unwrap_or(u64::MAX));
    }
}

impl Counter {
    fn add(&self, count: i64) {
        self.untold.set(self.untold.get().saturating_add(count));
    }

    fn tell(&self) {
        if let (Some(metric), count @ 1..) = (self.metric, self.untold.take()) {
            // A count that is lost must not fail a request.
            let _ = hostcalls::increment_metric(metric, count);
        }
    }
}

fn record(metric: Option<u32>, value: u64) {
    if let Some(metric) = metric {
        // As above.
        let _ = hostcalls::record_metric(metric, value);
    }
}
