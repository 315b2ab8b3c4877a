//! Project Wycheproof's vectors through both backends: valid signatures hold, invalid ones don't, and the backends
//! agree about each.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::{Backend, Host, PureRust};
use crate::algorithm::Algorithm;
use crate::jwk::{DEFAULT_LIMITS, KeySet};
use crate::testing::boring;

/// One vector.
struct Vector<'v> {
    id: usize,
    message: &'v [u8],
    signature: &'v [u8],
    result: TestResult,
}

/// How many vectors held and did not.
struct Counts {
    host: Host,
    held: usize,
    refused: usize,
}

impl Counts {
    fn new() -> Self {
        Self { host: Host::probe(boring), held: 0, refused: 0 }
    }

    /// Judges vectors of one key.
    fn add<'v>(&mut self, set: &str, jwk: &Value, algorithm: Algorithm, vectors: impl Iterator<Item = Vector<'v>>) {
        let document = json!({"keys": [jwk]}).to_string();
        let keys = KeySet::parse(document.as_bytes(), DEFAULT_LIMITS);
        let key = keys.as_ref().ok().and_then(|keys| keys.candidates(None, algorithm).next());
        for vector in vectors {
            let exact = algorithm.signature_length().is_none_or(|length| length == vector.signature.len());
            let by = |backend: &dyn Backend| {
                exact && key.is_some_and(|key| backend.holds(key, vector.message, vector.signature))
            };
            let holds = by(&PureRust);
            assert_eq!(by(&self.host), holds, "{set}, vector {}: the backends differ", vector.id);
            match vector.result {
                // A key that is not read at all: RSA with another exponent than 65537.
                TestResult::Valid if key.is_none() => assert_eq!(jwk.get("e"), Some(&json!("Aw")), "{jwk} is read"),
                TestResult::Valid => assert!(holds, "{set}, vector {} is valid", vector.id),
                TestResult::Invalid => assert!(!holds, "{set}, vector {} is invalid", vector.id),
                TestResult::Acceptable => {}
            }
            *(if holds { &mut self.held } else { &mut self.refused }) += 1;
        }
    }

    /// So that no change of the vectors' crate empties a test.
    fn are_at_least(&self, held: usize, refused: usize) {
        println!("{} vectors held, {} did not", self.held, self.refused);
        assert!(self.held >= held && self.refused >= refused, "fewer than {held} and {refused}");
    }
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    let integer =
        |bytes: &[u8]| base64url(bytes.get(bytes.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default());
    json!({"kty": "RSA", "n": integer(n), "e": integer(e)})
}

#[test]
fn rsa_pkcs1_signatures() {
    use rsa_pkcs1_verify::TestName::*;
    let mut counts = Counts::new();
    for (name, algorithm) in [
        (Rsa2048Sha256, Algorithm::RS256),
        (Rsa2048Sha384, Algorithm::RS384),
        (Rsa2048Sha512, Algorithm::RS512),
        (Rsa3072Sha256, Algorithm::RS256),
        (Rsa3072Sha384, Algorithm::RS384),
        (Rsa3072Sha512, Algorithm::RS512),
        (Rsa4096Sha256, Algorithm::RS256),
        (Rsa4096Sha384, Algorithm::RS384),
        (Rsa4096Sha512, Algorithm::RS512),
    ] {
        for group in &rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let vectors = group.tests.iter().map(|test| Vector {
                id: test.tc_id,
                message: &test.msg,
                signature: &test.sig,
                result: test.result,
            });
            counts.add(algorithm.name(), &rsa(&group.key.n, &group.key.e), algorithm, vectors);
        }
    }
    counts.are_at_least(60, 2000);
}

#[test]
fn rsa_pss_signatures() {
    use rsa_pss_verify::TestName::*;
    let mut counts = Counts::new();
    for (name, algorithm) in [
        (RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256),
        (RsaPss4096Sha256Mgf1SaltLen32, Algorithm::PS256),
        (RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (RsaPss4096Sha384Mgf1SaltLen48, Algorithm::PS384),
        (RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ] {
        for group in &rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let vectors = group.tests.iter().map(|test| Vector {
                id: test.tc_id,
                message: &test.msg,
                signature: &test.sig,
                result: test.result,
            });
            counts.add(algorithm.name(), &rsa(&group.key.n, &group.key.e), algorithm, vectors);
        }
    }
    counts.are_at_least(500, 200);
}

/// RFC 7518 section 3.5: the salt is as long as the hash.
#[test]
fn rsa_pss_signatures_with_another_salt_length_do_not_hold() {
    use rsa_pss_verify::TestName::*;
    let (none, short) = (RsaPss2048Sha256Mgf1SaltLen0, RsaPss4096Sha512Mgf1SaltLen32);
    for (name, algorithm) in [(none, Algorithm::PS256), (short, Algorithm::PS512)] {
        let mut counts = Counts::new();
        for group in &rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let vectors = group.tests.iter().map(|test| Vector {
                id: test.tc_id,
                message: &test.msg,
                signature: &test.sig,
                // Some are invalid here because they have the salt length of the hash after all.
                result: if test.result.must_fail() { TestResult::Acceptable } else { TestResult::Invalid },
            });
            counts.add(algorithm.name(), &rsa(&group.key.n, &group.key.e), algorithm, vectors);
        }
        counts.are_at_least(0, 50);
    }
}

#[test]
fn ecdsa_signatures() {
    use ecdsa::TestName::*;
    let mut counts = Counts::new();
    for (name, algorithm, curve) in [
        (EcdsaSecp256r1Sha256P1363, Algorithm::ES256, "P-256"),
        (EcdsaSecp384r1Sha384P1363, Algorithm::ES384, "P-384"),
        (EcdsaSecp521r1Sha512P1363, Algorithm::ES512, "P-521"),
    ] {
        for group in &ecdsa::TestSet::load(name).unwrap().test_groups {
            let point = group.key.key.get(1..).unwrap();
            let (x, y) = point.split_at(point.len() / 2);
            let jwk = json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)});
            let vectors = group.tests.iter().map(|test| Vector {
                id: test.tc_id,
                message: &test.msg,
                signature: &test.sig,
                result: test.result,
            });
            counts.add(algorithm.name(), &jwk, algorithm, vectors);
        }
    }
    counts.are_at_least(500, 200);
}

#[test]
fn ed25519_signatures() {
    let mut counts = Counts::new();
    for group in &eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk)});
        let vectors = group.tests.iter().map(|test| Vector {
            id: test.tc_id,
            message: &test.msg,
            signature: &test.sig,
            result: test.result,
        });
        counts.add("EdDSA", &jwk, Algorithm::EdDSA, vectors);
    }
    counts.are_at_least(50, 50);
}
