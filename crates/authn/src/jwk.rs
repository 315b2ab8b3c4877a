//! Public keys of issuers: JWK and JWK sets (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use std::collections::BTreeMap;
use std::rc::Rc;

use p521::pkcs8::EncodePublicKey;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::signature::rsa::RsaKey;
use crate::{base64url, json};

/// How much of a key set is read, unless configured otherwise.
pub const DEFAULT_LIMITS: KeySetLimits = KeySetLimits { bytes: 1024 * 1024, keys: 200 };

/// Bounds on what an issuer can make the filter hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySetLimits {
    /// The longest document, in bytes.
    pub bytes: usize,
    /// The most entries in `keys`.
    pub keys: usize,
}

/// A document that is no key set, or one without a usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Longer than [`KeySetLimits::bytes`].
    #[error("the key set is too large")]
    TooLarge,
    /// More entries than [`KeySetLimits::keys`].
    #[error("the key set has too many keys")]
    TooMany,
    /// Not a JSON object with an array `keys`.
    #[error("not a JWK set")]
    Malformed,
    /// No entry can be used to verify a signature.
    #[error("no usable key in the set")]
    Unusable,
}

/// Why one entry of a set is passed over; the others still count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum SkippedKey {
    /// Not an object, or a member of the wrong type.
    #[error("malformed")]
    Malformed,
    /// `kty`, `crv` or `alg` that the filter does not do; symmetric keys among them.
    #[error("unsupported")]
    Unsupported,
    /// `use` or `key_ops` say that it is not for verifying signatures.
    #[error("not for signatures")]
    Purpose,
    /// The private half was published: whoever read it can sign.
    #[error("private key published")]
    Private,
    /// RSA below 2048 or above 4096 bits, a point off its curve, a small-order key.
    #[error("weak or invalid")]
    Weak,
}

/// The usable keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: BTreeMap<SkippedKey, usize>,
}

/// One key, ready for each algorithm that it may be used with.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<String>,
    uses: Vec<PublicKey>,
}

/// A public key bound to one algorithm, so that a key can't be used with another (RFC 8725 section 3.1).
#[derive(Clone, Debug)]
pub struct PublicKey {
    pub(crate) algorithm: Algorithm,
    /// Shared by all algorithms of the key.
    pub(crate) material: Rc<Material>,
    /// DER `SubjectPublicKeyInfo`, for hosts that check signatures; made once.
    pub(crate) spki: Rc<[u8]>,
}

/// A key that was found to be well-formed.
#[derive(Debug)]
pub(crate) enum Material {
    Rsa(RsaKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl KeySet {
    /// Reads a JWK set. A bad entry is skipped and counted: issuers publish keys of kinds not yet known here
    /// (RFC 7517 section 5).
    pub fn parse(document: &[u8], limits: KeySetLimits) -> Result<Self, KeySetError> {
        if document.len() > limits.bytes {
            return Err(KeySetError::TooLarge);
        }
        let set = json::object(document).ok_or(KeySetError::Malformed)?;
        let Some(Value::Array(entries)) = set.get("keys") else {
            return Err(KeySetError::Malformed);
        };
        if entries.len() > limits.keys {
            return Err(KeySetError::TooMany);
        }
        let mut parsed = Self::default();
        for entry in entries {
            match entry.as_object().ok_or(SkippedKey::Malformed).and_then(key) {
                Ok(key) => parsed.keys.push(key),
                Err(reason) => *parsed.skipped.entry(reason).or_default() += 1,
            }
        }
        if parsed.keys.is_empty() { Err(KeySetError::Unusable) } else { Ok(parsed) }
    }

    /// How many keys can be used.
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// How many entries were passed over, by reason.
    pub fn skipped(&self) -> &BTreeMap<SkippedKey, usize> {
        &self.skipped
    }

    /// Whether a key has this id.
    pub(crate) fn names(&self, key_id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(key_id))
    }

    /// The keys that a token with this `kid` and `alg` may have been signed with. A key without an id fits any
    /// `kid`, and a token without a `kid` any key (RFC 7515 section 4.1.4 leaves both optional).
    pub fn candidates<'s>(
        &'s self,
        key_id: Option<&'s str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'s PublicKey> {
        self.keys
            .iter()
            .filter(move |key| key_id.is_none() || key.id.is_none() || key.id.as_deref() == key_id)
            .flat_map(|key| &key.uses)
            .filter(move |public| public.algorithm == algorithm)
    }
}

impl Material {
    fn spki(&self) -> Option<Rc<[u8]>> {
        match self {
            Self::Rsa(key) => key.spki().map(Rc::from),
            Self::P256(key) => der(key),
            Self::P384(key) => der(key),
            Self::P521(key) => der(key),
            Self::Ed25519(key) => der(key),
        }
    }
}

fn der(key: &impl EncodePublicKey) -> Option<Rc<[u8]>> {
    key.to_public_key_der().ok().map(|der| Rc::from(der.as_bytes()))
}

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// Reads the members of one kind of key.
type Read = fn(&Map<String, Value>) -> Result<Material, SkippedKey>;

fn key(jwk: &Map<String, Value>) -> Result<Key, SkippedKey> {
    check_purpose(jwk)?;
    let id = text(jwk, "kid")?.map(str::to_owned);
    let kind = text(jwk, "kty")?.ok_or(SkippedKey::Malformed)?;
    let (algorithms, read): (&[Algorithm], Read) = match (kind, text(jwk, "crv")?) {
        ("RSA", _) => (&RSA, rsa),
        ("EC", Some("P-256")) => (&[Algorithm::ES256], p256),
        ("EC", Some("P-384")) => (&[Algorithm::ES384], p384),
        ("EC", Some("P-521")) => (&[Algorithm::ES512], p521),
        ("OKP", Some("Ed25519")) => (&[Algorithm::EdDSA], ed25519),
        _ => return Err(SkippedKey::Unsupported),
    };
    let declared = text(jwk, "alg")?;
    let fits = |algorithm: &&Algorithm| declared.is_none_or(|name| is_named(**algorithm, name));
    let algorithms: Vec<Algorithm> = algorithms.iter().filter(fits).copied().collect();
    if algorithms.is_empty() {
        return Err(SkippedKey::Unsupported);
    }
    let material = Rc::new(read(jwk)?);
    let spki = material.spki().ok_or(SkippedKey::Weak)?;
    let bound = |algorithm| PublicKey { algorithm, material: Rc::clone(&material), spki: Rc::clone(&spki) };
    Ok(Key { id, uses: algorithms.into_iter().map(bound).collect() })
}

/// RFC 9864 section 2.2 names the one curve of RFC 8037's `EdDSA` that there is here.
fn is_named(algorithm: Algorithm, name: &str) -> bool {
    name == algorithm.name() || algorithm == Algorithm::EdDSA && name == "Ed25519"
}

fn rsa(jwk: &Map<String, Value>) -> Result<Material, SkippedKey> {
    let (n, e) = (octets(jwk, "n")?, octets(jwk, "e")?);
    RsaKey::new(&n, &e).map(Material::Rsa).ok_or(SkippedKey::Weak)
}

fn p256(jwk: &Map<String, Value>) -> Result<Material, SkippedKey> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point(jwk, 32)?);
    key.map(Material::P256).map_err(|_| SkippedKey::Weak)
}

fn p384(jwk: &Map<String, Value>) -> Result<Material, SkippedKey> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point(jwk, 48)?);
    key.map(Material::P384).map_err(|_| SkippedKey::Weak)
}

fn p521(jwk: &Map<String, Value>) -> Result<Material, SkippedKey> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point(jwk, 66)?);
    key.map(Material::P521).map_err(|_| SkippedKey::Weak)
}

/// A point in its only spelling (RFC 8032 section 5.1.3) and not of small order, for which signatures that hold for any
/// text exist.
fn ed25519(jwk: &Map<String, Value>) -> Result<Material, SkippedKey> {
    let octets = octets(jwk, "x")?;
    let key = ed25519_dalek::VerifyingKey::try_from(octets.as_slice()).map_err(|_| SkippedKey::Weak)?;
    let canonical = key.to_edwards().compress().as_bytes() == octets.as_slice();
    if canonical && !key.is_weak() { Ok(Material::Ed25519(key)) } else { Err(SkippedKey::Weak) }
}

/// RFC 7517 sections 4.2 and 4.3: a key that says what it is for is used for nothing else.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), SkippedKey> {
    if jwk.contains_key("d") || jwk.contains_key("k") && jwk.get("kty") != Some(&Value::from("oct")) {
        return Err(SkippedKey::Private);
    }
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(SkippedKey::Purpose);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.contains(&Value::from("verify")) => Ok(()),
        Some(Value::Array(_)) => Err(SkippedKey::Purpose),
        Some(_) => Err(SkippedKey::Malformed),
    }
}

/// An uncompressed point (SEC 1 section 2.3.3) from coordinates of exactly the field's length
/// (RFC 7518 section 6.2.1.2).
fn point(jwk: &Map<String, Value>, length: usize) -> Result<Vec<u8>, SkippedKey> {
    let (x, y) = (octets(jwk, "x")?, octets(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(SkippedKey::Weak);
    }
    Ok([[4].as_slice(), &x, &y].concat())
}

fn octets(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, SkippedKey> {
    text(jwk, name)?.and_then(base64url::decode).ok_or(SkippedKey::Malformed)
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Result<Option<&'j str>, SkippedKey> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(SkippedKey::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Issuer, issuers};
    use serde_json::json;

    fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), DEFAULT_LIMITS)
    }

    fn skipped(entry: Value) -> SkippedKey {
        let good = Issuer::new(Algorithm::EdDSA, "good").jwk;
        let set = parse(&[good, entry]).unwrap();
        assert_eq!(set.usable(), 1);
        *set.skipped().keys().next().expect("the entry is skipped")
    }

    fn altered(issuer: &Issuer, change: impl Fn(&mut Value)) -> Value {
        let mut jwk = issuer.jwk.clone();
        change(&mut jwk);
        jwk
    }

    #[test]
    fn keys_of_every_kind_are_read() {
        for issuer in issuers() {
            assert_eq!(parse(std::slice::from_ref(&issuer.jwk)).unwrap().usable(), 1, "{}", issuer.jwk);
        }
    }

    #[test]
    fn candidates_fit_both_kid_and_algorithm() {
        let (rsa, ec) = (Issuer::new(Algorithm::RS256, "same"), Issuer::new(Algorithm::ES256, "same"));
        let set = parse(&[rsa.jwk, ec.jwk]).unwrap();
        let count = |kid, algorithm| set.candidates(kid, algorithm).count();
        assert_eq!(count(Some("same"), Algorithm::RS256), 1);
        assert_eq!(count(Some("same"), Algorithm::ES256), 1);
        assert_eq!(count(Some("same"), Algorithm::EdDSA), 0);
        assert_eq!(count(Some("other"), Algorithm::ES256), 0);
        assert_eq!(count(None, Algorithm::ES256), 1);
    }

    #[test]
    fn an_rsa_key_without_alg_serves_the_rsa_family_alone() {
        let issuer = Issuer::new(Algorithm::RS256, "k");
        let set = parse(&[altered(&issuer, |jwk| drop(jwk.as_object_mut().unwrap().remove("alg")))]).unwrap();
        assert!(RSA.into_iter().all(|algorithm| set.candidates(Some("k"), algorithm).count() == 1));
        let declared = parse(&[issuer.jwk]).unwrap();
        assert_eq!(declared.candidates(Some("k"), Algorithm::PS256).count(), 0);
    }

    #[test]
    fn unusable_entries_are_skipped_with_their_reason() {
        let ec = Issuer::new(Algorithm::ES256, "k");
        assert_eq!(skipped(json!(7)), SkippedKey::Malformed);
        assert_eq!(skipped(json!({"kty": "oct", "k": "AAAA"})), SkippedKey::Unsupported);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["use"] = json!("enc"))), SkippedKey::Purpose);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["key_ops"] = json!(["sign"]))), SkippedKey::Purpose);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["alg"] = json!("RS256"))), SkippedKey::Unsupported);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["alg"] = json!("HS256"))), SkippedKey::Unsupported);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["crv"] = json!("P-384"))), SkippedKey::Unsupported);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["crv"] = json!("secp256k1"))), SkippedKey::Unsupported);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["d"] = json!("AAAA"))), SkippedKey::Private);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["y"] = jwk["x"].clone())), SkippedKey::Weak);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["x"] = json!("AAAA"))), SkippedKey::Weak);
        assert_eq!(skipped(altered(&ec, |jwk| jwk["kid"] = json!(7))), SkippedKey::Malformed);
    }

    /// RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used".
    #[test]
    fn weak_rsa_and_small_order_ed25519_keys_are_skipped() {
        let modulus = base64url_of(&[&[0xc1; 127][..], &[0x01]].concat());
        assert_eq!(skipped(json!({"kty": "RSA", "n": modulus, "e": "AQAB"})), SkippedKey::Weak);
        let identity = base64url_of(&[&[1][..], &[0; 31]].concat());
        assert_eq!(skipped(json!({"kty": "OKP", "crv": "Ed25519", "x": identity})), SkippedKey::Weak);
    }

    #[test]
    fn sets_are_bounded_and_need_one_usable_key() {
        let jwk = Issuer::new(Algorithm::EdDSA, "k").jwk;
        let limits = KeySetLimits { bytes: 1_000, keys: 2 };
        let parse = |keys: &[Value]| KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), limits).unwrap_err();
        assert_eq!(parse(&[json!(1), json!(2), jwk.clone()]), KeySetError::TooMany);
        assert_eq!(parse(&[json!("x".repeat(1_000)), jwk]), KeySetError::TooLarge);
        assert_eq!(parse(&[]), KeySetError::Unusable);
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
            assert_eq!(KeySet::parse(text.as_bytes(), limits).unwrap_err(), KeySetError::Malformed, "{text}");
        }
    }

    fn base64url_of(bytes: &[u8]) -> String {
        use base64::Engine as _;
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}
