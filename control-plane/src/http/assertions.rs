//! The edge's assertions, and a memory of those that held.
//!
//! The edge sends the same one with each request of a token until half of its life is over, and to check its signature is
//! most of what a small request costs.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use identity::{AssertionError, Identity, Verifier};
use lru::LruCache;
use sha2::{Digest as _, Sha256};

/// So many are remembered; the one that was seen longest ago is forgotten first.
const REMEMBERED: usize = 2_048;
/// One that is longer is checked each time, so that the memory has a bound: some 20 MB.
const MAX_LENGTH: usize = 4_096;

/// Checks assertions.
pub(super) struct Assertions {
    verifier: Verifier,
    /// By the SHA-256 of the whole assertion, signature and all.
    held: Mutex<LruCache<[u8; 32], Held>>,
}

/// What one stated, and the seconds in which that needs no further look.
struct Held {
    identity: Identity,
    since: u64,
    until: u64,
}

impl Assertions {
    pub(super) fn new(verifier: Verifier) -> Self {
        let size = NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN);
        Self { verifier, held: Mutex::new(LruCache::new(size)) }
    }

    /// How many keys an edge may sign with.
    pub(super) fn keys(&self) -> usize {
        self.verifier.key_ids().count()
    }

    /// The identity that an assertion states, if a known edge stated it for us and it holds at `now` (Unix seconds).
    pub(super) fn verify(&self, assertion: &str, now: u64) -> Result<Identity, AssertionError> {
        if assertion.len() > MAX_LENGTH {
            return self.verifier.verify(assertion, now);
        }
        let digest: [u8; 32] = Sha256::digest(assertion).into();
        if let Some(identity) = self.remembered(&digest, now) {
            return Ok(identity);
        }
        let (identity, expires_at) = self.verifier.verify_with_end(assertion, now)?;
        // No tolerance here: in the last seconds, and when the clock was set back, it is checked again.
        let held = Held { identity: identity.clone(), since: now, until: expires_at };
        self.held.lock().unwrap_or_else(PoisonError::into_inner).put(digest, held);
        Ok(identity)
    }

    fn remembered(&self, digest: &[u8; 32], now: u64) -> Option<Identity> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(digest).filter(|held| (held.since..held.until).contains(&now)).map(|held| held.identity.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, KeyPair, LEEWAY_SECONDS, Signer, Stated};

    const NOW: u64 = 1_800_000_000;
    const LIFETIME: u64 = 60;

    fn assertion(pair: &KeyPair, claims: &str) -> String {
        let stated = Stated {
            issuer: "https://idp.example.com",
            subject: "machine-7",
            name: "machine-7",
            claims,
            token_sha256: "abababababababababababababababababababababababababababababababab",
        };
        let signer = Signer::new(&pair.private_pem, DEFAULT_GATEWAY, DEFAULT_AUDIENCE).unwrap();
        signer.sign(&stated, NOW, LIFETIME).unwrap()
    }

    fn assertions(pair: &KeyPair) -> Assertions {
        Assertions::new(Verifier::new(&pair.public_pem, DEFAULT_AUDIENCE).unwrap())
    }

    fn remembered(assertions: &Assertions) -> usize {
        assertions.held.lock().unwrap().len()
    }

    #[test]
    fn one_that_held_is_remembered_and_holds_no_longer_for_that() {
        let pair = KeyPair::generate().unwrap();
        let (fresh, remembering, assertion) = (assertions(&pair), assertions(&pair), assertion(&pair, "{}"));
        let first = remembering.verify(&assertion, NOW).unwrap();
        assert_eq!(remembered(&remembering), 1);
        let digest = Sha256::digest(&assertion).into();
        assert_eq!(remembering.remembered(&digest, NOW + LIFETIME - 1).as_ref(), Some(&first));
        for outside in [NOW - 1, NOW + LIFETIME] {
            assert_eq!(remembering.remembered(&digest, outside), None, "{outside}");
        }
        for now in NOW - LEEWAY_SECONDS - 2..NOW + LIFETIME + LEEWAY_SECONDS + 2 {
            let with_a_memory = assertions(&pair);
            with_a_memory.verify(&assertion, NOW).unwrap();
            assert_eq!(with_a_memory.verify(&assertion, now), fresh.verifier.verify(&assertion, now), "{now}");
        }
    }

    #[test]
    fn one_that_is_like_a_remembered_one_is_another() {
        let pair = KeyPair::generate().unwrap();
        let (assertions, assertion) = (assertions(&pair), assertion(&pair, "{}"));
        assertions.verify(&assertion, NOW).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let (first, rest) = signature.split_at(1);
        let other = format!("{signed}.{}{rest}", if first == "A" { "B" } else { "A" });
        for forged in [other, signed.to_owned(), format!("{assertion}="), format!(" {assertion}")] {
            assert!(assertions.verify(&forged, NOW).is_err(), "{forged}");
            assert!(assertions.verify(&forged, NOW).is_err(), "{forged}");
        }
        assert_eq!(remembered(&assertions), 1, "what does not hold is not remembered");
    }

    #[test]
    fn the_memory_has_a_bound() {
        let pair = KeyPair::generate().unwrap();
        let assertions = assertions(&pair);
        let long = assertion(&pair, &format!("{{\"a\":\"{}\"}}", "b".repeat(MAX_LENGTH)));
        assert!(assertions.verify(&long, NOW).is_ok());
        assert_eq!(remembered(&assertions), 0);
        for number in 0..3 {
            assertions.verify(&assertion(&pair, &format!("{{\"a\":{number}}}")), NOW).unwrap();
        }
        assert_eq!((remembered(&assertions), assertions.held.lock().unwrap().cap().get()), (3, REMEMBERED));
    }
}
