//! Project Wycheproof's vectors through the module's own code: valid signatures hold, invalid ones don't. A real
//! Envoy is asked about the same ones, and the module's own code in wasm: tests/filter/signatures.rs.

use anyhow::Context as _;
use serde_json::json;
use vectors::Group;

use super::{Backend as _, PureRust};
use crate::algorithm::Algorithm;
use crate::jwk::{DEFAULT_LIMITS, KeySet};

/// Judges vectors and counts how many held and did not: at least so many must, so that no change of the vectors'
/// crate empties a test.
fn judge(groups: &[Group], at_least: (usize, usize)) -> anyhow::Result<()> {
    let (mut held, mut refused) = (0, 0);
    for group in groups {
        let algorithm = Algorithm::from_name(group.algorithm).context(group.algorithm)?;
        let keys = KeySet::parse(json!({"keys": [group.jwk]}).to_string().as_bytes(), DEFAULT_LIMITS);
        assert_eq!(keys.is_ok(), group.has_readable_key(), "{group:?}");
        let key = keys.as_ref().ok().and_then(|keys| keys.candidates(None, algorithm).next());
        for vector in &group.vectors {
            let exact = algorithm.signature_length().is_none_or(|length| length == vector.signature.len());
            let holds = exact && key.is_some_and(|key| PureRust.holds(key, &vector.message, &vector.signature));
            let must = group.must_hold(vector);
            assert!(must.is_none_or(|must| must == holds), "{}, vector {}: {holds}", group.set, vector.id);
            *(if holds { &mut held } else { &mut refused }) += 1;
        }
    }
    println!("{held} vectors held, {refused} did not");
    assert!(held >= at_least.0 && refused >= at_least.1, "fewer than {at_least:?}");
    Ok(())
}

#[test]
fn rsa_pkcs1_signatures() -> anyhow::Result<()> {
    judge(&vectors::rsa_pkcs1()?, (60, 2000))
}

#[test]
fn rsa_pss_signatures() -> anyhow::Result<()> {
    judge(&vectors::rsa_pss()?, (500, 200))
}

/// RFC 7518 section 3.5: the salt is as long as the hash.
#[test]
fn rsa_pss_signatures_with_another_salt_length_do_not_hold() -> anyhow::Result<()> {
    judge(&vectors::rsa_pss_with_other_salts()?, (0, 100))
}

#[test]
fn ecdsa_signatures() -> anyhow::Result<()> {
    judge(&vectors::ecdsa()?, (500, 200))
}

#[test]
fn ed25519_signatures() -> anyhow::Result<()> {
    judge(&vectors::ed25519()?, (50, 50))
}
