//! The life of a provider's keys, as a state machine: the shell tells it what happened and when, and it says what
//! to do. Times are milliseconds on any clock that does not jump.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::jwk::{DEFAULT_LIMITS, KeySet, KeySetError, KeySetLimits};
use crate::sharing::SharedKeys;

/// How long an answer without `Cache-Control` counts, unless configured.
const DEFAULT_CACHE: Duration = Duration::from_mins(10);
/// The shortest time between two planned fetches, whatever an issuer asks for.
const SHORTEST_CACHE: Duration = Duration::from_secs(1);
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(5);
const DEFAULT_STALE_LIMIT: Duration = Duration::from_hours(24);
/// A key that was asked for and not found is not asked for again for so many cool-downs.
const COOLDOWNS_OF_A_MISSING_KEY: u64 = 12;
/// A worker leaves fetches to others for so long in a row and no longer: whoever can write to what they share could
/// otherwise keep it from ever fetching. Many workers that share one failing issuer take turns more often than that.
const LONGEST_DEFERENCE: Duration = Duration::from_mins(5);
/// How many missing keys are remembered, and how many may be asked for in one fetch. What does not fit is refused by
/// the cool-down alone.
const MOST_MISSING: usize = 1000;

/// How a provider's keys are kept.
#[derive(Clone, Copy, Debug)]
pub struct KeySettings {
    /// How long keys count as fresh; an answer's `max-age` may shorten it.
    pub cache: Duration,
    /// The pause after each fetch before an unknown `kid` may cause another.
    pub cooldown: Duration,
    /// The pause after a failed fetch, once the quick tries are used up.
    pub refetch: Duration,
    /// Quick tries after a failed fetch.
    pub retry: RetryPauses,
    /// How long keys are used while they can't be renewed.
    pub stale_limit: Duration,
    /// Bounds on the document.
    pub limits: KeySetLimits,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            cache: DEFAULT_CACHE,
            cooldown: DEFAULT_COOLDOWN,
            refetch: DEFAULT_COOLDOWN,
            retry: RetryPauses { count: 0, first: Duration::ZERO, longest: Duration::ZERO },
            stale_limit: DEFAULT_STALE_LIMIT,
            limits: DEFAULT_LIMITS,
        }
    }
}

/// Quick tries after a failed fetch, each after twice the pause of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPauses {
    /// How many.
    pub count: u32,
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// Why a fetch brought no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No answer in time, or no connection.
    #[error("no answer")]
    NoAnswer,
    /// An answer with another status than 200.
    #[error("status {0}")]
    Status(u32),
    /// An answer that is longer than is read.
    #[error("the answer is larger than max_size")]
    TooLarge,
    /// An answer that holds no usable keys.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// Metadata of another issuer, or none at all.
    #[error("not the metadata of this issuer")]
    Metadata,
}

/// What to do with a request whose token names a key that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A fetch is under way or due at once: let the request wait for it.
    Wait,
    /// The keys were asked for a moment ago: refuse.
    Refuse,
}

/// The keys of one provider.
#[derive(Debug)]
pub struct KeySource {
    /// Nothing for keys that were written into the configuration.
    settings: Option<KeySettings>,
    keys: Option<KeySet>,
    /// When the keys in use were fetched.
    fetched_at: u64,
    /// When the next planned fetch is due.
    due_at: u64,
    /// Before this an unknown `kid` causes no fetch.
    cool_until: u64,
    fetching: bool,
    /// Failed fetches since the last good one.
    failures: u32,
    /// Since when the fetch is left to other workers, if it is.
    deferring_since: Option<u64>,
    /// Counts the changes of the keys.
    epoch: u64,
    /// The document in use, to see whether the next one differs.
    document: Vec<u8>,
    /// Keys that requests are waiting for.
    asked: BTreeSet<String>,
    /// Keys that the issuer was found not to have, each with the time until which that counts.
    missing: BTreeMap<String, u64>,
}

impl KeySource {
    /// Keys that never change.
    pub fn fixed(keys: KeySet) -> Self {
        Self { keys: Some(keys), due_at: u64::MAX, cool_until: u64::MAX, ..Self::empty(None) }
    }

    /// Keys to be fetched; the first fetch is due at once.
    pub fn remote(settings: KeySettings) -> Self {
        Self::empty(Some(settings))
    }

    fn empty(settings: Option<KeySettings>) -> Self {
        Self {
            settings,
            keys: None,
            fetched_at: 0,
            due_at: 0,
            cool_until: 0,
            fetching: false,
            failures: 0,
            deferring_since: None,
            epoch: 0,
            document: Vec::new(),
            asked: BTreeSet::new(),
            missing: BTreeMap::new(),
        }
    }

    /// Grows with every change of the keys: what was verified before may not hold any more.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When the keys in use were fetched, if they were.
    pub fn fetched_at(&self) -> Option<u64> {
        self.settings.and(self.keys.as_ref()).map(|_| self.fetched_at)
    }

    /// The keys that may be used at `now`; none before the first fetch and past the stale limit.
    pub fn keys(&self, now: u64) -> Option<&KeySet> {
        let limit = self.settings.map_or(u64::MAX, |settings| millis(settings.stale_limit));
        self.keys.as_ref().filter(|_| now <= self.fetched_at.saturating_add(limit))
    }

    /// Whether to start a fetch now.
    pub fn is_due(&self, now: u64) -> bool {
        !self.fetching && now >= self.due_at
    }

    /// A fetch was started.
    pub fn started(&mut self) {
        self.fetching = true;
    }

    /// A fetch ended with a status 200 and this body, or failed. `max_age` is that of the answer's `Cache-Control`;
    /// `random` spreads the renewals of many workers. Failed fetches keep the keys that there are.
    pub fn finished(
        &mut self,
        answer: Result<(&[u8], Option<Duration>), FetchError>,
        now: u64,
        random: u64,
    ) -> Result<(), FetchError> {
        let Some(settings) = self.settings else {
            return Ok(());
        };
        self.fetching = false;
        self.deferring_since = None;
        self.failed(now, settings, random);
        let (document, max_age) = answer?;
        self.take(document, settings)?;
        self.renewed(max_age, now, settings, random);
        Ok(())
    }

    fn failed(&mut self, now: u64, settings: KeySettings, random: u64) {
        self.cool_until = now.saturating_add(millis(settings.cooldown));
        self.due_at = now.saturating_add(self.pause_after_failure(settings, random));
        self.failures = self.failures.saturating_add(1);
    }

    fn renewed(&mut self, max_age: Option<Duration>, at: u64, settings: KeySettings, random: u64) {
        self.failures = 0;
        self.deferring_since = None;
        self.fetched_at = at;
        self.cool_until = at.saturating_add(millis(settings.cooldown));
        let fresh = max_age.map_or(settings.cache, |max_age| max_age.min(settings.cache)).max(SHORTEST_CACHE);
        self.due_at = at.saturating_add(ahead_of_expiry(millis(fresh), random));
        self.remember_missing(at, settings);
    }

    /// Whether keys that another worker fetched are newer than these.
    pub(crate) fn would_adopt(&self, keys: &SharedKeys<'_>, now: u64) -> bool {
        keys.fetched_at <= now && (self.keys.is_none() || keys.fetched_at > self.fetched_at)
    }

    /// Takes keys that another worker fetched, as if this one had fetched them then. Nothing changes when they are none:
    /// what was read is no answer of the issuer's.
    pub(crate) fn adopt(&mut self, keys: &SharedKeys<'_>, random: u64) -> Result<(), FetchError> {
        if let Some(settings) = self.settings {
            self.take(keys.document, settings)?;
            self.renewed(keys.max_age, keys.fetched_at, settings, random);
        }
        Ok(())
    }

    /// Whether the fetch may be left to another worker once more.
    pub(crate) fn may_defer(&mut self, now: u64) -> bool {
        let since = *self.deferring_since.get_or_insert(now);
        now.saturating_sub(since) < millis(LONGEST_DEFERENCE)
    }

    /// Another worker's fetch failed.
    pub(crate) fn failed_elsewhere(&mut self, now: u64, random: u64) {
        if let Some(settings) = self.settings {
            self.failed(now, settings, random);
        }
    }

    /// How many entries of the key set in use were passed over.
    pub fn skipped(&self) -> usize {
        self.keys.as_ref().map_or(0, |keys| keys.skipped().values().sum())
    }

    /// When the next fetch is due.
    pub fn due_at(&self) -> u64 {
        self.due_at
    }

    fn take(&mut self, document: &[u8], settings: KeySettings) -> Result<(), FetchError> {
        if self.keys.is_some() && self.document == document {
            return Ok(());
        }
        self.keys = Some(KeySet::parse(document, settings.limits)?);
        self.document = document.to_vec();
        self.epoch = self.epoch.saturating_add(1);
        Ok(())
    }

    fn pause_after_failure(&self, settings: KeySettings, random: u64) -> u64 {
        if self.failures >= settings.retry.count {
            return millis(settings.refetch);
        }
        let grown = settings.retry.first.saturating_mul(1 << self.failures.min(16));
        // Full jitter: many workers and gateways must not ask at the same moment.
        random % millis(grown.min(settings.retry.longest)).saturating_add(1)
    }

    fn remember_missing(&mut self, now: u64, settings: KeySettings) {
        self.missing.retain(|_, until| *until > now);
        let until = now.saturating_add(millis(settings.cooldown).saturating_mul(COOLDOWNS_OF_A_MISSING_KEY));
        for key_id in std::mem::take(&mut self.asked) {
            let there = self.keys.as_ref().is_some_and(|keys| keys.names(&key_id));
            if !there && self.missing.len() < MOST_MISSING {
                self.missing.insert(key_id, until);
            }
        }
    }

    /// A token of this provider names a key that is not there, or there are no keys yet. At most one fetch a
    /// cool-down comes of it, however many ask.
    pub fn ask(&mut self, key_id: Option<&str>, now: u64) -> Ask {
        if key_id.and_then(|key_id| self.missing.get(key_id)).is_some_and(|until| *until > now) {
            return Ask::Refuse;
        }
        if !self.fetching {
            if self.settings.is_none() || now < self.cool_until {
                return Ask::Refuse;
            }
            self.due_at = now;
        }
        if let Some(key_id) = key_id
            && self.asked.len() < MOST_MISSING
        {
            self.asked.insert(key_id.to_owned());
        }
        Ask::Wait
    }
}

/// Between 80% and 90% of the time that the keys stay fresh.
fn ahead_of_expiry(fresh: u64, random: u64) -> u64 {
    let tenth = fresh / 10;
    fresh.saturating_sub(tenth).saturating_sub(random % tenth.max(1))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `max-age` of a `Cache-Control` header (RFC 9111 section 5.2.2.1); zero for an answer not to be kept.
pub fn max_age(cache_control: &str) -> Option<Duration> {
    let directives = || cache_control.split(',').map(|directive| directive.trim().to_ascii_lowercase());
    if directives().any(|directive| matches!(directive.as_str(), "no-store" | "no-cache")) {
        return Some(Duration::ZERO);
    }
    let seconds = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        (name == "max-age").then(|| value.trim_matches('"').parse().ok()).flatten()
    })?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
