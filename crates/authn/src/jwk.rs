//! Public keys of issuers: JWK and JWK sets (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use std::collections::BTreeMap;

use jwt_simple::prelude::{
    ES256PublicKey, ES384PublicKey, Ed25519PublicKey, PS256PublicKey, PS384PublicKey, PS512PublicKey, RS256PublicKey,
    RS384PublicKey, RS512PublicKey,
};
use p521::pkcs8::EncodePublicKey as _;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
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
#[derive(Debug)]
pub struct PublicKey {
    pub(crate) material: Material,
    /// DER `SubjectPublicKeyInfo`, for hosts that check signatures; made once.
    pub(crate) spki: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Material {
    Rs256(RS256PublicKey),
    Rs384(RS384PublicKey),
    Rs512(RS512PublicKey),
    Ps256(PS256PublicKey),
    Ps384(PS384PublicKey),
    Ps512(PS512PublicKey),
    Es256(ES256PublicKey),
    Es384(ES384PublicKey),
    Es512(p521::ecdsa::VerifyingKey),
    EdDsa(Ed25519PublicKey),
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
            .filter(move |public| public.algorithm() == algorithm)
    }
}

impl PublicKey {
    fn new(material: Material) -> Result<Self, SkippedKey> {
        let spki = material.spki().ok_or(SkippedKey::Weak)?;
        Ok(Self { material, spki })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rs256(_) => Algorithm::RS256,
            Material::Rs384(_) => Algorithm::RS384,
            Material::Rs512(_) => Algorithm::RS512,
            Material::Ps256(_) => Algorithm::PS256,
            Material::Ps384(_) => Algorithm::PS384,
            Material::Ps512(_) => Algorithm::PS512,
            Material::Es256(_) => Algorithm::ES256,
            Material::Es384(_) => Algorithm::ES384,
            Material::Es512(_) => Algorithm::ES512,
            Material::EdDsa(_) => Algorithm::EdDSA,
        }
    }
}

impl Material {
    fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::RS256 => RS256PublicKey::from_components(n, e).ok().map(Self::Rs256),
            Algorithm::RS384 => RS384PublicKey::from_components(n, e).ok().map(Self::Rs384),
            Algorithm::RS512 => RS512PublicKey::from_components(n, e).ok().map(Self::Rs512),
            Algorithm::PS256 => PS256PublicKey::from_components(n, e).ok().map(Self::Ps256),
            Algorithm::PS384 => PS384PublicKey::from_components(n, e).ok().map(Self::Ps384),
            Algorithm::PS512 => PS512PublicKey::from_components(n, e).ok().map(Self::Ps512),
            Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512 | Algorithm::EdDSA => None,
        }
    }

    fn spki(&self) -> Option<Vec<u8>> {
        match self {
            Self::Rs256(key) => key.to_der().ok(),
            Self::Rs384(key) => key.to_der().ok(),
            Self::Rs512(key) => key.to_der().ok(),
            Self::Ps256(key) => key.to_der().ok(),
            Self::Ps384(key) => key.to_der().ok(),
            Self::Ps512(key) => key.to_der().ok(),
            Self::Es256(key) => key.to_der().ok(),
            Self::Es384(key) => key.to_der().ok(),
            Self::Es512(key) => key.to_public_key_der().ok().map(|der| der.as_bytes().to_vec()),
            Self::EdDsa(key) => Some(key.to_der()),
        }
    }
}

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

fn key(jwk: &Map<String, Value>) -> Result<Key, SkippedKey> {
    check_purpose(jwk)?;
    let id = text(jwk, "kid")?.map(str::to_owned);
    let declared = text(jwk, "alg")?;
    let kind = text(jwk, "kty")?.ok_or(SkippedKey::Malformed)?;
    let uses = match (kind, text(jwk, "crv")?) {
        ("RSA", _) => rsa_uses(jwk, declared)?,
        ("EC", Some("P-256")) => {
            fits(declared, &["ES256"])?;
            let key = ES256PublicKey::from_bytes(&point(jwk, 32)?).map_err(|_| SkippedKey::Weak)?;
            vec![PublicKey::new(Material::Es256(key))?]
        }
        ("EC", Some("P-384")) => {
            fits(declared, &["ES384"])?;
            let key = ES384PublicKey::from_bytes(&point(jwk, 48)?).map_err(|_| SkippedKey::Weak)?;
            vec![PublicKey::new(Material::Es384(key))?]
        }
        ("EC", Some("P-521")) => {
            fits(declared, &["ES512"])?;
            let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point(jwk, 66)?).map_err(|_| SkippedKey::Weak)?;
            vec![PublicKey::new(Material::Es512(key))?]
        }
        ("OKP", Some("Ed25519")) => {
            fits(declared, &["EdDSA", "Ed25519"])?;
            let key = Ed25519PublicKey::from_bytes(&octets(jwk, "x")?).map_err(|_| SkippedKey::Weak)?;
            vec![PublicKey::new(Material::EdDsa(key))?]
        }
        _ => return Err(SkippedKey::Unsupported),
    };
    Ok(Key { id, uses })
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

fn rsa_uses(jwk: &Map<String, Value>, declared: Option<&str>) -> Result<Vec<PublicKey>, SkippedKey> {
    let (n, e) = (octets(jwk, "n")?, octets(jwk, "e")?);
    RSA.into_iter()
        .filter(|algorithm| declared.is_none_or(|name| name == algorithm.name()))
        .map(|algorithm| PublicKey::new(Material::rsa(algorithm, &n, &e).ok_or(SkippedKey::Weak)?))
        .collect::<Result<Vec<_>, _>>()
        .and_then(|uses| if uses.is_empty() { Err(SkippedKey::Unsupported) } else { Ok(uses) })
}

fn fits(declared: Option<&str>, names: &[&str]) -> Result<(), SkippedKey> {
    if declared.is_none_or(|name| names.contains(&name)) { Ok(()) } else { Err(SkippedKey::Unsupported) }
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
