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
mod tests {
    use super::*;
    use crate::algorithm::Algorithm;
    use crate::testing::Issuer;
    use serde_json::json;

    const SECOND: u64 = 1000;

    fn document() -> Vec<u8> {
        json!({"keys": [Issuer::new(Algorithm::EdDSA, "k").jwk]}).to_string().into_bytes()
    }

    /// A source that fetched its keys at `now`.
    fn fetched(now: u64) -> KeySource {
        let mut source = KeySource::remote(KeySettings::default());
        source.started();
        source.finished(Ok((&document(), None)), now, 0).unwrap();
        source
    }

    #[test]
    fn the_first_fetch_is_due_at_once_and_only_once() {
        let mut source = KeySource::remote(KeySettings::default());
        assert!(source.is_due(0) && source.keys(0).is_none());
        source.started();
        assert!(!source.is_due(0));
        assert_eq!(source.ask(None, 0), Ask::Wait);
        source.finished(Ok((&document(), None)), 10, 0).unwrap();
        assert!(source.keys(10).is_some() && !source.is_due(10));
    }

    /// What happens in a day of an issuer, second by second: which keys count after it, and when the next fetch is due.
    #[test]
    fn a_day_of_an_issuer() {
        enum Event<'d> {
            Brings(&'d str),
            Fails(FetchError),
            AskedFor(&'d str, Ask),
            Nothing,
        }
        use Event::{AskedFor, Brings, Fails, Nothing};
        const DAY: u64 = 24 * 60 * 60;
        let set = |names: &[&str]| {
            json!({"keys": names.iter().map(|name| Issuer::new(Algorithm::EdDSA, name).jwk).collect::<Vec<_>>()})
                .to_string()
        };
        let (old, both, new) = (set(&["old"]), set(&["old", "new"]), set(&["new"]));
        let mut source = KeySource::remote(KeySettings::default());
        let nobody: &[&str] = &[];
        for (second, event, usable, due) in [
            (0, Fails(FetchError::NoAnswer), nobody, 5),
            (5, Fails(FetchError::Status(500)), nobody, 10),
            (10, Brings("<html>"), nobody, 15),
            (15, Brings(&old), &["old"], 555),
            (100, AskedFor("new", Ask::Wait), &["old"], 100),
            (100, Brings(&old), &["old"], 640),
            (104, AskedFor("other", Ask::Refuse), &["old"], 640),
            (106, AskedFor("new", Ask::Refuse), &["old"], 640),
            (106, AskedFor("other", Ask::Wait), &["old"], 106),
            (106, Fails(FetchError::TooLarge), &["old"], 111),
            (111, Brings(&both), &["old", "new"], 651),
            (651, Fails(FetchError::NoAnswer), &["old", "new"], 656),
            (656, Brings("{}"), &["old", "new"], 661),
            (661, Brings(&new), &["new"], 1201),
            (1201, Fails(FetchError::Status(503)), &["new"], 1206),
            (661 + DAY, Nothing, &["new"], 1206),
            (662 + DAY, Nothing, nobody, 1206),
            (662 + DAY, AskedFor("new", Ask::Wait), nobody, 662 + DAY),
            (662 + DAY, Brings(&new), &["new"], 1202 + DAY),
        ] {
            let now = second * SECOND;
            let finish = |source: &mut KeySource, answer| {
                assert!(source.is_due(now), "at {second}");
                source.started();
                source.finished(answer, now, 0).is_ok()
            };
            match event {
                Brings(document) => drop(finish(&mut source, Ok((document.as_bytes(), None)))),
                Fails(error) => assert!(!finish(&mut source, Err(error))),
                AskedFor(key_id, answer) => assert_eq!(source.ask(Some(key_id), now), answer, "at {second}"),
                Nothing => {}
            }
            let names = |name: &&str| source.keys(now).is_some_and(|keys| keys.names(name));
            assert_eq!(["old", "new"].into_iter().filter(names).collect::<Vec<_>>(), usable, "at {second}");
            assert_eq!(source.due_at(), due * SECOND, "at {second}");
        }
    }

    #[test]
    fn keys_are_renewed_ahead_of_expiry_at_different_times() {
        let due = |random| {
            (0..3600).find(|second| {
                let mut source = KeySource::remote(KeySettings::default());
                source.finished(Ok((&document(), None)), 0, random).unwrap();
                source.is_due(second * SECOND)
            })
        };
        assert_eq!(due(0), Some(540));
        assert_eq!(due(59_999), Some(481));
    }

    #[test]
    fn the_answer_may_shorten_the_cache_time_but_not_to_nothing() {
        let mut source = KeySource::remote(KeySettings::default());
        source.finished(Ok((&document(), Some(Duration::from_secs(100)))), 0, 0).unwrap();
        assert!(!source.is_due(89 * SECOND) && source.is_due(90 * SECOND));
        source.finished(Ok((&document(), Some(Duration::ZERO))), 0, 0).unwrap();
        assert!(!source.is_due(SECOND - 101) && source.is_due(SECOND));
        source.finished(Ok((&document(), Some(Duration::from_secs(1_000_000)))), 0, 0).unwrap();
        assert!(source.is_due(600 * SECOND));
    }

    #[test]
    fn a_failed_renewal_keeps_the_keys_up_to_the_stale_limit() {
        let mut source = fetched(0);
        for failure in [Err(FetchError::NoAnswer), Err(FetchError::Status(500)), Ok((&b"garbage"[..], None))] {
            source.started();
            assert!(source.finished(failure, 1000 * SECOND, 0).is_err());
            assert!(source.keys(1000 * SECOND).is_some());
        }
        let limit = 24 * 60 * 60 * SECOND;
        assert!(source.keys(limit).is_some());
        assert!(source.keys(limit + 1).is_none());
    }

    #[test]
    fn a_failed_fetch_is_tried_again_after_the_cooldown() {
        let mut source = KeySource::remote(KeySettings::default());
        source.started();
        assert_eq!(source.finished(Err(FetchError::NoAnswer), 0, 0), Err(FetchError::NoAnswer));
        assert!(!source.is_due(5 * SECOND - 1) && source.is_due(5 * SECOND));
    }

    #[test]
    fn a_flood_of_unknown_keys_causes_one_fetch_a_cooldown() {
        let mut source = fetched(0);
        let mut fetches = 0;
        for now in 0..60 * SECOND {
            source.ask(Some(&format!("k{now}")), now);
            if source.is_due(now) {
                fetches += 1;
                source.started();
                let answer = if fetches % 2 == 0 { Err(FetchError::NoAnswer) } else { Ok((&b"{}"[..], None)) };
                assert!(source.finished(answer, now, 0).is_err());
            }
        }
        assert_eq!(fetches, 11);
    }

    #[test]
    fn requests_wait_for_a_fetch_and_are_refused_in_the_cooldown() {
        let mut source = fetched(0);
        assert_eq!(source.ask(None, SECOND), Ask::Refuse);
        assert_eq!(source.ask(None, 5 * SECOND), Ask::Wait);
        assert!(source.is_due(5 * SECOND));
        source.started();
        assert_eq!(source.ask(None, 6 * SECOND), Ask::Wait);
    }

    #[test]
    fn a_key_that_the_issuer_does_not_have_is_not_asked_for_again_soon() {
        let mut source = fetched(0);
        assert_eq!(source.ask(Some("invented"), 5 * SECOND), Ask::Wait);
        source.started();
        source.finished(Ok((&document(), None)), 5 * SECOND, 0).unwrap();
        assert_eq!(source.ask(Some("invented"), 20 * SECOND), Ask::Refuse);
        assert_eq!(source.ask(Some("another"), 20 * SECOND), Ask::Wait);
        assert_eq!(source.ask(Some("invented"), 66 * SECOND), Ask::Wait);
    }

    #[test]
    fn the_memory_of_missing_keys_is_bounded() {
        let mut source = fetched(0);
        for round in 1..4 {
            let now = round * 6 * SECOND;
            for key in 0..2 * MOST_MISSING {
                source.ask(Some(&format!("{round}-{key}")), now);
            }
            source.started();
            source.finished(Ok((&document(), None)), now, 0).unwrap();
        }
        assert!(source.missing.len() <= MOST_MISSING && source.asked.len() <= MOST_MISSING);
    }

    #[test]
    fn the_epoch_grows_when_the_keys_change_and_only_then() {
        let mut source = KeySource::remote(KeySettings::default());
        let (one, two) = (document(), document());
        for (answer, epoch) in [(&one, 1), (&one, 1), (&two, 2), (&one, 3)] {
            source.finished(Ok((answer, None)), 0, 0).unwrap();
            assert_eq!(source.epoch(), epoch);
        }
        assert!(source.finished(Ok((b"garbage", None)), 0, 0).is_err());
        assert_eq!(source.epoch(), 3);
    }

    #[test]
    fn quick_tries_come_before_the_long_pause() {
        let second = Duration::from_secs(1);
        let retry = RetryPauses { count: 3, first: second, longest: 3 * second };
        let mut source = KeySource::remote(KeySettings { retry, ..KeySettings::default() });
        let mut pause = |random| {
            assert!(source.finished(Err(FetchError::NoAnswer), 0, random).is_err());
            (0..=5000).find(|now| source.is_due(*now))
        };
        assert_eq!([pause(1000), pause(2000), pause(3000), pause(7)], [Some(1000), Some(2000), Some(3000), Some(5000)]);
    }

    #[test]
    fn fixed_keys_are_never_fetched() {
        let mut source = KeySource::fixed(Issuer::new(Algorithm::EdDSA, "k").key_set());
        assert!(!source.is_due(u64::MAX - 1) && source.keys(u64::MAX).is_some());
        assert_eq!(source.ask(None, 1), Ask::Refuse);
    }

    #[test]
    fn cache_control_is_read() {
        assert_eq!(max_age("public, Max-Age=300, must-revalidate"), Some(Duration::from_mins(5)));
        assert_eq!(max_age("max-age=\"60\""), Some(Duration::from_mins(1)));
        assert_eq!(max_age("no-store, max-age=300"), Some(Duration::ZERO));
        for none in ["", "public", "max-age=abc", "max-age=-1", "s-maxage=5"] {
            assert_eq!(max_age(none), None, "{none}");
        }
    }
}
