//! How the workers of one proxy share keys, so that one fetch serves them all: the bytes of two records in the host's
//! shared data, and what a worker that needs keys makes of them. Plugins with the same VM id can write there, and Istio
//! gives all of them the same: the records lie under a name that others can't guess, whatever is read is parsed and
//! judged again, and no record keeps a worker from fetching for long.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::config::Config;
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

/// What came of a look at the records by a worker whose keys are due.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another worker had newer keys, which are now this one's, too.
    Adopted,
    /// Another worker is fetching: look again soon.
    Follow,
    /// Another worker failed a moment ago, which counts as if this one had.
    Failed,
    /// Nobody is at it: take the lease, and fetch when it was got.
    Lead,
}

impl Turn {
    /// Whose turn it is at `now`, given the two records as they were read. Keys that can't be read are as good as none.
    pub fn take(source: &mut KeySource, keys: Option<&[u8]>, lease: Option<&[u8]>, now: u64, random: u64) -> Self {
        let newer = keys.and_then(SharedKeys::decode).filter(|keys| source.would_adopt(keys, now));
        if newer.is_some_and(|keys| source.adopt(&keys, random).is_ok()) {
            return Self::Adopted;
        }
        match lease.and_then(|lease| Lease::holding(lease, now)) {
            Some(Lease::Fetching(_)) if source.may_defer(now) => Self::Follow,
            Some(Lease::Failed(_)) if source.may_defer(now) => {
                source.failed_elsewhere(now, random);
                Self::Failed
            }
            _ => Self::Lead,
        }
    }
}

/// Where the workers of this configuration share what they fetched. Another plugin sees neither the configuration nor
/// the signing key, and no host lists names: without both it finds no record to read and none to write.
pub(crate) fn namespace(config: &Config, environment: &dyn Fn(&str) -> Option<String>) -> String {
    let assertion = config.identity.as_ref().and_then(|identity| identity.assertion.as_ref());
    let secret = assertion.and_then(|assertion| environment(&assertion.signing_key_env)).unwrap_or_default();
    let digest = Sha256::new().chain_update(config.digest).chain_update(secret).finalize();
    format!("oidc-filter:{}", hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gate;
    use crate::algorithm::Algorithm;
    use crate::keys::KeySettings;
    use crate::testing::Issuer;
    use serde_json::{Value, json};

    const NOW: u64 = 1_000_000;
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;

    fn document() -> Vec<u8> {
        json!({"keys": [Issuer::new(Algorithm::EdDSA, "k").jwk]}).to_string().into_bytes()
    }

    fn shared(fetched_at: u64, document: &[u8]) -> Vec<u8> {
        SharedKeys { fetched_at, max_age: None, document }.encode()
    }

    fn turn(source: &mut KeySource, keys: Option<&[u8]>, lease: Option<Lease>, now: u64) -> Turn {
        Turn::take(source, keys, lease.map(Lease::encode).as_deref(), now, 0)
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
        let mut source = KeySource::remote(KeySettings::default());
        assert_eq!(turn(&mut source, None, None, NOW), Turn::Lead);
        assert_eq!(turn(&mut source, None, Some(Lease::Fetching(NOW + 1)), NOW), Turn::Follow);
        assert_eq!(turn(&mut source, Some(&shared(NOW, &document())), None, NOW), Turn::Adopted);
        assert_eq!((source.keys(NOW).is_some(), source.fetched_at()), (true, Some(NOW)));
    }

    #[test]
    fn a_leader_that_died_is_followed_by_another() {
        let mut source = KeySource::remote(KeySettings::default());
        assert_eq!(turn(&mut source, None, Some(Lease::Fetching(NOW)), NOW), Turn::Lead);
    }

    #[test]
    fn a_failure_is_shared_too() {
        let mut source = KeySource::remote(KeySettings::default());
        assert_eq!(turn(&mut source, None, Some(Lease::Failed(NOW + 1)), NOW), Turn::Failed);
        assert!(!source.is_due(NOW) && source.is_due(NOW + 5 * SECOND));
    }

    #[test]
    fn a_lease_without_end_does_not_stop_anybody() {
        for lease in [Lease::Fetching(u64::MAX), Lease::Failed(u64::MAX), Lease::Fetching(NOW + LONGEST_LEASE + 1)] {
            let mut source = KeySource::remote(KeySettings::default());
            assert_eq!(turn(&mut source, None, Some(lease), NOW), Turn::Lead, "{lease:?}");
        }
    }

    /// However often somebody writes it anew, and of which kind it is.
    #[test]
    fn a_lease_that_never_ends_keeps_a_worker_from_fetching_for_five_minutes_and_no_longer() {
        for lease in [Lease::Fetching, Lease::Failed] {
            let mut source = KeySource::remote(KeySettings::default());
            let due: Vec<u64> = (NOW..NOW + 11 * MINUTE)
                .step_by(250)
                .filter(|now| {
                    if !source.is_due(*now) || turn(&mut source, None, Some(lease(now + SECOND)), *now) != Turn::Lead {
                        return false;
                    }
                    source.started();
                    source.finished(Err(crate::FetchError::NoAnswer), *now, 0).is_err()
                })
                .collect();
            assert!(due.len() == 2 && due[0] <= NOW + 5 * MINUTE + 5 * SECOND, "{due:?}");
        }
    }

    #[test]
    fn keys_that_are_not_newer_or_come_from_the_future_are_not_adopted() {
        let document = document();
        let mut source = KeySource::remote(KeySettings::default());
        source.finished(Ok((&document, None)), NOW, 0).unwrap();
        for fetched_at in [0, NOW - 1, NOW, NOW + 60_001, u64::MAX] {
            assert_eq!(turn(&mut source, Some(&shared(fetched_at, &document)), None, NOW + 60_000), Turn::Lead);
        }
    }

    /// Or one record that nobody can read would be adopted in vain for ever.
    #[test]
    fn keys_that_can_not_be_read_neither_count_nor_keep_a_worker_from_fetching() {
        let good = document();
        for document in [&b""[..], b"<html>", b"{}", br#"{"keys":[]}"#, br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#] {
            let mut source = KeySource::remote(KeySettings::default());
            assert_eq!(turn(&mut source, Some(&shared(NOW, document)), None, NOW), Turn::Lead, "{document:?}");
            assert!(source.keys(NOW).is_none());
            source.finished(Ok((&good, None)), NOW, 0).unwrap();
            let later = NOW + 20 * MINUTE;
            assert_eq!(turn(&mut source, Some(&shared(later, document)), None, later), Turn::Lead, "{document:?}");
            assert_eq!((source.keys(later).is_some(), source.fetched_at()), (true, Some(NOW)));
        }
    }

    /// A plugin that does not know the whole configuration and the signing key finds nothing.
    #[test]
    fn records_lie_where_only_this_configuration_with_this_key_finds_them() {
        let name = |change: &dyn Fn(&mut Value), key: &str| {
            let uri = json!({"uri": "https://idp.example/jwks", "cluster": "idp"});
            let mut all = json!({"identity": {"assertion": {}},
                "providers": {"p": {"issuer": "https://idp.example", "remote_jwks": {"http_uri": uri}}}});
            change(&mut all);
            let config = Config::parse(all.to_string().as_bytes()).unwrap();
            let gate = Gate::new(config, |_| Some(key.to_owned())).unwrap();
            gate.providers()[0].remote().unwrap().shared_name()
        };
        let [one, other] = [(), ()].map(|()| identity::KeyPair::generate().unwrap().private_pem);
        let same = name(&|_| {}, &one);
        assert_eq!(name(&|_| {}, &one), same);
        assert_ne!(name(&|_| {}, &other), same);
        assert_ne!(name(&|all| all["rules"] = json!([{"match": {"path": "/"}}]), &one), same);
        assert!(!same.contains("idp.example") && same.len() == "oidc-filter:".len() + 64, "{same}");
    }

    #[test]
    fn a_flood_of_unknown_keys_over_many_workers_causes_one_fetch_a_cooldown() {
        let document = document();
        let mut workers: Vec<KeySource> = (0..4).map(|_| KeySource::remote(KeySettings::default())).collect();
        let (mut keys, mut lease, mut fetches) = (None::<Vec<u8>>, None::<Vec<u8>>, 0);
        for now in (NOW..NOW + MINUTE).step_by(50) {
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.ask(Some(&format!("{index}-{now}")), now);
                if !worker.is_due(now) || Turn::take(worker, keys.as_deref(), lease.as_deref(), now, 0) != Turn::Lead {
                    continue;
                }
                fetches += 1;
                keys = Some(shared(now, &document));
                lease = None;
                worker.finished(Ok((&document, None)), now, 0).unwrap();
            }
        }
        assert!((10..=12).contains(&fetches), "{fetches}");
    }
}
