//! Counters and gauges of the host. Their number is fixed; their names hold nothing of a request, and of the
//! configuration the one part that is meant for it. A host without
//! metrics loses them and nothing else.

use authn::{KeySource, Refusal};
use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

/// What the filter counts.
pub(crate) struct Metrics {
    allowed: Option<u32>,
    public: Option<u32>,
    waited: Option<u32>,
    denied: Vec<(Refusal, Option<u32>)>,
    shadow_denied: Option<u32>,
    cache_hits: Option<u32>,
    cache_misses: Option<u32>,
    fetches: Option<u32>,
    failed_fetches: Option<u32>,
    skipped_keys: Option<u32>,
    key_age: Option<u32>,
}

impl Metrics {
    /// `prefix` is a further part of the names, if it is not empty.
    pub(crate) fn define(prefix: &str) -> Self {
        let dot = if prefix.is_empty() { "" } else { "." };
        let define =
            |kind, name: &str| hostcalls::define_metric(kind, &format!("oidc_filter.{prefix}{dot}{name}")).ok();
        let counter = |name: &str| define(MetricType::Counter, name);
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
        count(self.allowed, 1);
    }

    pub(crate) fn public(&self) {
        count(self.public, 1);
    }

    pub(crate) fn waited(&self) {
        count(self.waited, 1);
    }

    pub(crate) fn denied(&self, refusal: Refusal, shadow: bool) {
        if shadow {
            count(self.shadow_denied, 1);
        }
        count(self.denied.iter().find(|(one, _)| *one == refusal).and_then(|(_, metric)| *metric), 1);
    }

    pub(crate) fn fetched(&self, ok: bool) {
        count(if ok { self.fetches } else { self.failed_fetches }, 1);
    }

    /// Takes over what was remembered and what not since the last call.
    pub(crate) fn looked_up(&self, (hits, misses): (i64, i64)) {
        count(self.cache_hits, hits);
        count(self.cache_misses, misses);
    }

    /// The state of all keys: entries passed over, and the age of the oldest set.
    pub(crate) fn keys(&self, sources: &[KeySource], now: u64) {
        let age = sources.iter().filter_map(KeySource::fetched_at).map(|at| now.saturating_sub(at) / 1000).max();
        let skipped = sources.iter().map(KeySource::skipped).sum::<usize>();
        record(self.key_age, age.unwrap_or(0));
        record(self.skipped_keys, u64::try_from(skipped).unwrap_or(u64::MAX));
    }
}

fn count(metric: Option<u32>, by: i64) {
    if let Some(metric) = metric
        && by > 0
    {
        // A count that is lost must not fail a request.
        let _ = hostcalls::increment_metric(metric, by);
    }
}

fn record(metric: Option<u32>, value: u64) {
    if let Some(metric) = metric {
        // As above.
        let _ = hostcalls::record_metric(metric, value);
    }
}
