//! How the workers of one proxy share keys, so that one fetch serves them all: the bytes of two records in the host's
//! shared data, and what a worker that needs keys makes of them. Whoever shares the VM id can write there, so
//! whatever is read is parsed and judged again.

use std::time::Duration;

use crate::keys::KeySource;

/// A lease longer than this was not written by us, or the clock jumped: it does not count.
const LONGEST_LEASE: u64 = 60 * 60 * 1000;
const FETCHING: u8 = 1;
const FAILED: u8 = 2;
const NO_MAX_AGE: u64 = u64::MAX;

/// Keys as one worker fetched them.
#[derive(Debug, PartialEq, Eq)]
pub struct SharedKeys<'b> {
    /// Milliseconds since the epoch.
    pub fetched_at: u64,
    /// `max-age` of the answer.
    pub max_age: Option<Duration>,
    /// The JWK set.
    pub document: &'b [u8],
}

impl<'b> SharedKeys<'b> {
    /// For the host's shared data.
    pub fn encode(&self) -> Vec<u8> {
        let max_age = self.max_age.map_or(NO_MAX_AGE, |max_age| max_age.as_secs().min(NO_MAX_AGE - 1));
        [&self.fetched_at.to_be_bytes()[..], &max_age.to_be_bytes()[..], self.document].concat()
    }

    /// From the host's shared data; nothing when it is not what [`SharedKeys::encode`] makes.
    pub fn decode(bytes: &'b [u8]) -> Option<Self> {
        let (fetched_at, rest) = bytes.split_first_chunk()?;
        let (max_age, document) = rest.split_first_chunk()?;
        let max_age = u64::from_be_bytes(*max_age);
        Some(Self {
            fetched_at: u64::from_be_bytes(*fetched_at),
            max_age: (max_age != NO_MAX_AGE).then(|| Duration::from_secs(max_age)),
            document,
        })
    }
}

/// What the workers know about a fetch: that one is under way, or that one failed, until a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// A worker is fetching; if it dies, another may begin at this time.
    Fetching(u64),
    /// The last fetch failed; the next may begin at this time.
    Failed(u64),
}

impl Lease {
    /// For the host's shared data.
    pub fn encode(self) -> Vec<u8> {
        let (kind, until) = match self {
            Self::Fetching(until) => (FETCHING, until),
            Self::Failed(until) => (FAILED, until),
        };
        [&[kind][..], &until.to_be_bytes()[..]].concat()
    }

    /// The lease that holds at `now`; none when it ran out or is not one.
    fn holding(bytes: &[u8], now: u64) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let until = u64::from_be_bytes(rest.try_into().ok()?);
        if until <= now || until > now.saturating_add(LONGEST_LEASE) {
            return None;
        }
        match *kind {
            FETCHING => Some(Self::Fetching(until)),
            FAILED => Some(Self::Failed(until)),
            _ => None,
        }
    }
}

/// What a worker does whose keys are due.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another worker has newer keys: take them.
    Adopt,
    /// Another worker is fetching: look again soon.
    Follow,
    /// Another worker failed a moment ago: do as if one had failed oneself.
    Fail,
    /// Nobody is at it: take the lease, and fetch when it was got.
    Lead,
}

impl Turn {
    /// Whose turn it is at `now`, given the two records as they were read.
    pub fn of(source: &KeySource, keys: Option<&[u8]>, lease: Option<&[u8]>, now: u64) -> Self {
        if keys.and_then(SharedKeys::decode).is_some_and(|keys| source.would_adopt(&keys, now)) {
            return Self::Adopt;
        }
        match lease.and_then(|lease| Lease::holding(lease, now)) {
            Some(Lease::Fetching(_)) => Self::Follow,
            Some(Lease::Failed(_)) => Self::Fail,
            None => Self::Lead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Algorithm;
    use crate::keys::{FetchError, KeySettings};
    use crate::testing::Issuer;
    use serde_json::json;

    const NOW: u64 = 1_000_000;

    fn document() -> Vec<u8> {
        json!({"keys": [Issuer::new(Algorithm::EdDSA, "k").jwk]}).to_string().into_bytes()
    }

    fn turn(source: &KeySource, keys: Option<&[u8]>, lease: Option<Lease>, now: u64) -> Turn {
        Turn::of(source, keys, lease.map(Lease::encode).as_deref(), now)
    }

    #[test]
    fn records_survive_their_bytes_and_foreign_bytes_are_nothing() {
        for max_age in [None, Some(Duration::from_mins(5))] {
            let keys = SharedKeys { fetched_at: NOW, max_age, document: b"{}" };
            assert_eq!(SharedKeys::decode(&keys.encode()), Some(keys));
        }
        assert_eq!(SharedKeys::decode(b"short"), None);
        for bytes in [&b""[..], b"\x01", b"\x09\0\0\0\0\0\0\0\0", &[0xff; 9], &[1; 10]] {
            assert_eq!(Lease::holding(bytes, NOW), None, "{bytes:?}");
        }
    }

    #[test]
    fn one_leads_and_the_others_follow_until_there_are_keys() {
        let source = KeySource::remote(KeySettings::default());
        assert_eq!(turn(&source, None, None, NOW), Turn::Lead);
        assert_eq!(turn(&source, None, Some(Lease::Fetching(NOW + 1)), NOW), Turn::Follow);
        let document = document();
        let keys = SharedKeys { fetched_at: NOW, max_age: None, document: &document }.encode();
        assert_eq!(turn(&source, Some(&keys), None, NOW), Turn::Adopt);
    }

    #[test]
    fn a_leader_that_died_is_followed_by_another() {
        let source = KeySource::remote(KeySettings::default());
        assert_eq!(turn(&source, None, Some(Lease::Fetching(NOW)), NOW), Turn::Lead);
    }

    #[test]
    fn a_failure_is_shared_too() {
        let source = KeySource::remote(KeySettings::default());
        assert_eq!(turn(&source, None, Some(Lease::Failed(NOW + 1)), NOW), Turn::Fail);
    }

    #[test]
    fn a_lease_without_end_does_not_stop_anybody() {
        let source = KeySource::remote(KeySettings::default());
        assert_eq!(turn(&source, None, Some(Lease::Fetching(u64::MAX)), NOW), Turn::Lead);
    }

    #[test]
    fn keys_that_are_not_newer_or_come_from_the_future_are_not_adopted() {
        let document = document();
        let mut source = KeySource::remote(KeySettings::default());
        source.finished(Ok((&document, None)), NOW, 0).unwrap();
        for fetched_at in [NOW - 1, NOW, NOW + 60_001] {
            let keys = SharedKeys { fetched_at, max_age: None, document: &document }.encode();
            assert_eq!(turn(&source, Some(&keys), None, NOW + 60_000), Turn::Lead, "{fetched_at}");
        }
    }

    #[test]
    fn a_flood_of_unknown_keys_over_many_workers_causes_one_fetch_a_cooldown() {
        let document = document();
        let mut workers: Vec<KeySource> = (0..4).map(|_| KeySource::remote(KeySettings::default())).collect();
        let (mut keys, mut lease, mut fetches) = (None::<Vec<u8>>, None::<Vec<u8>>, 0);
        for now in (NOW..NOW + 60_000).step_by(50) {
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.ask(Some(&format!("{index}-{now}")), now);
                if !worker.is_due(now) {
                    continue;
                }
                match Turn::of(worker, keys.as_deref(), lease.as_deref(), now) {
                    Turn::Adopt => worker.adopt(&SharedKeys::decode(keys.as_ref().unwrap()).unwrap(), 0).unwrap(),
                    Turn::Fail => assert!(worker.finished(Err(FetchError::NoAnswer), now, 0).is_err()),
                    Turn::Follow => {}
                    Turn::Lead => {
                        fetches += 1;
                        keys = Some(SharedKeys { fetched_at: now, max_age: None, document: &document }.encode());
                        lease = None;
                        worker.finished(Ok((&document, None)), now, 0).unwrap();
                    }
                }
            }
        }
        assert!((10..=12).contains(&fetches), "{fetches}");
    }
}
