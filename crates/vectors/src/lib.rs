//! Project Wycheproof's signature vectors, as a verifier of tokens meets them: keys as JWKs, ECDSA signatures as
//! `r ‖ s` (RFC 7518 section 3.4). So the sets with ECDSA signatures in DER are left out.

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// The exponent 3 in base64url. Keys with another exponent than 65537 are not read.
const EXPONENT_3: &str = "Aw";

/// Vectors of one key.
#[derive(Debug)]
pub struct Group {
    /// The set, as Wycheproof calls it.
    pub set: String,
    /// The `alg` value.
    pub algorithm: &'static str,
    /// The public key.
    pub jwk: Value,
    /// The vectors.
    pub vectors: Vec<Vector>,
}

/// One vector.
#[derive(Debug)]
pub struct Vector {
    /// Its number in the set.
    pub id: usize,
    /// What is signed.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// Whether it holds under a key that is read; nothing where that is left open.
    holds: Option<bool>,
}

impl Group {
    /// Whether the key is one that is read.
    pub fn has_readable_key(&self) -> bool {
        self.jwk.get("e").is_none_or(|exponent| exponent != EXPONENT_3)
    }

    /// Whether a vector's signature must hold, or must not; nothing where that is left open.
    pub fn must_hold(&self, vector: &Vector) -> Option<bool> {
        if self.has_readable_key() { vector.holds } else { Some(false) }
    }
}

/// Every set for the algorithms of RFC 7518 and RFC 8037 that tokens are signed with.
pub fn all() -> anyhow::Result<Vec<Group>> {
    Ok([rsa_pkcs1()?, rsa_pss()?, rsa_pss_with_other_salts()?, ecdsa()?, ed25519()?].into_iter().flatten().collect())
}

/// RS256, RS384, RS512.
pub fn rsa_pkcs1() -> anyhow::Result<Vec<Group>> {
    use rsa_pkcs1_verify::TestName as Set;
    let mut groups = Vec::new();
    for (name, algorithm) in [
        (Set::Rsa2048Sha256, "RS256"),
        (Set::Rsa2048Sha384, "RS384"),
        (Set::Rsa2048Sha512, "RS512"),
        (Set::Rsa3072Sha256, "RS256"),
        (Set::Rsa3072Sha384, "RS384"),
        (Set::Rsa3072Sha512, "RS512"),
        (Set::Rsa4096Sha256, "RS256"),
        (Set::Rsa4096Sha384, "RS384"),
        (Set::Rsa4096Sha512, "RS512"),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).map_err(not_loaded)?.test_groups {
            let tests = group.tests.iter();
            let vectors = tests.map(|test| vector(test.tc_id, &test.msg, &test.sig, test.result)).collect();
            groups.push(Group { set: format!("{name:?}"), algorithm, jwk: rsa(&group.key.n, &group.key.e), vectors });
        }
    }
    Ok(groups)
}

/// PS256, PS384, PS512, with a salt as long as the hash (RFC 7518 section 3.5).
pub fn rsa_pss() -> anyhow::Result<Vec<Group>> {
    use rsa_pss_verify::TestName as Set;
    pss(&[
        (Set::RsaPss2048Sha256Mgf1SaltLen32, "PS256"),
        (Set::RsaPss3072Sha256Mgf1SaltLen32, "PS256"),
        (Set::RsaPss4096Sha256Mgf1SaltLen32, "PS256"),
        (Set::RsaPss2048Sha384Mgf1SaltLen48, "PS384"),
        (Set::RsaPss4096Sha384Mgf1SaltLen48, "PS384"),
        (Set::RsaPss4096Sha512Mgf1SaltLen64, "PS512"),
    ])
}

/// The same with a salt of another length: what is valid there must not hold here.
pub fn rsa_pss_with_other_salts() -> anyhow::Result<Vec<Group>> {
    use rsa_pss_verify::TestName as Set;
    let mut groups =
        pss(&[(Set::RsaPss2048Sha256Mgf1SaltLen0, "PS256"), (Set::RsaPss4096Sha512Mgf1SaltLen32, "PS512")])?;
    for vector in groups.iter_mut().flat_map(|group| &mut group.vectors) {
        // Some are invalid there because they have the salt length of the hash after all.
        vector.holds = if vector.holds == Some(true) { Some(false) } else { None };
    }
    Ok(groups)
}

fn pss(sets: &[(rsa_pss_verify::TestName, &'static str)]) -> anyhow::Result<Vec<Group>> {
    let mut groups = Vec::new();
    for (name, algorithm) in sets {
        for group in rsa_pss_verify::TestSet::load(*name).map_err(not_loaded)?.test_groups {
            let tests = group.tests.iter();
            let vectors = tests.map(|test| vector(test.tc_id, &test.msg, &test.sig, test.result)).collect();
            groups.push(Group { set: format!("{name:?}"), algorithm, jwk: rsa(&group.key.n, &group.key.e), vectors });
        }
    }
    Ok(groups)
}

/// ES256, ES384, ES512.
pub fn ecdsa() -> anyhow::Result<Vec<Group>> {
    use ecdsa::TestName as Set;
    let mut groups = Vec::new();
    for (name, algorithm, curve) in [
        (Set::EcdsaSecp256r1Sha256P1363, "ES256", "P-256"),
        (Set::EcdsaSecp384r1Sha384P1363, "ES384", "P-384"),
        (Set::EcdsaSecp521r1Sha512P1363, "ES512", "P-521"),
    ] {
        for group in ecdsa::TestSet::load(name).map_err(not_loaded)?.test_groups {
            let point = group.key.key.get(1..).context("a point without its first octet")?;
            let (x, y) = point.split_at_checked(point.len() / 2).context("a point has two halves")?;
            let jwk = json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)});
            let tests = group.tests.iter();
            let vectors = tests.map(|test| vector(test.tc_id, &test.msg, &test.sig, test.result)).collect();
            groups.push(Group { set: format!("{name:?}"), algorithm, jwk, vectors });
        }
    }
    Ok(groups)
}

/// EdDSA with Ed25519.
pub fn ed25519() -> anyhow::Result<Vec<Group>> {
    let name = eddsa::TestName::Ed25519;
    let groups = eddsa::TestSet::load(name).map_err(not_loaded)?.test_groups.into_iter().map(|group| {
        let tests = group.tests.iter();
        let vectors = tests.map(|test| vector(test.tc_id, &test.msg, &test.sig, test.result)).collect();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk)});
        Group { set: format!("{name:?}"), algorithm: "EdDSA", jwk, vectors }
    });
    Ok(groups.collect())
}

fn not_loaded(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a set of vectors can't be read: {error}")
}

fn vector(id: usize, message: &[u8], signature: &[u8], result: TestResult) -> Vector {
    // "Acceptable" are nine old PKCS #1 signatures whose `DigestInfo` lacks its NULL (RFC 8017 appendix A.2.4): nobody
    // makes them any more, so they must not hold.
    let holds = Some(result == TestResult::Valid);
    Vector { id, message: message.to_vec(), signature: signature.to_vec(), holds }
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 7518 section 6.3.1: integers without leading zeros.
fn rsa(n: &[u8], e: &[u8]) -> Value {
    let integer = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        base64url(bytes.get(zeros..).unwrap_or_default())
    };
    json!({"kty": "RSA", "n": integer(n), "e": integer(e)})
}
