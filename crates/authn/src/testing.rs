//! Issuers for the unit tests: a key, its JWK and tokens signed with it.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jwt_simple::prelude::{
    ECDSAP256KeyPairLike, ECDSAP256PublicKeyLike, ECDSAP384KeyPairLike, ECDSAP384PublicKeyLike, ES256KeyPair,
    ES384KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, EdDSAPublicKeyLike, HeaderOptions, JWTClaims, NoCustomClaims,
    PS256KeyPair, PS384KeyPair, PS512KeyPair, RS256KeyPair, RS384KeyPair, RS512KeyPair, RSAKeyPairLike,
    RSAPublicKeyLike, UnixTimeStamp, VerificationOptions,
};
use p521::ecdsa::signature::{Signer as _, Verifier as _};
use p521::pkcs8::DecodePublicKey as _;
use rsa::pkcs8::AssociatedOid;
use rsa::sha2::{Digest, Sha256, Sha384, Sha512};
use serde_json::{Map, Value, json};

use crate::algorithm::Algorithm;
use crate::jwk::{DEFAULT_LIMITS, KeySet};
use crate::verify::Expectations;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://idp.example.com";

pub(crate) fn expectations() -> Expectations {
    Expectations {
        issuer: ISSUER.into(),
        audiences: vec!["runners".into(), "also-ours".into()],
        subjects: None,
        algorithms: Algorithm::ALL.to_vec(),
        types: vec!["JWT".into(), "at+jwt".into()],
        leeway: 60,
        max_lifetime: None,
    }
}

pub(crate) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "runners", "sub": "machine-7", "exp": NOW + 300, "iat": NOW})
}

enum Pair {
    Rs256(RS256KeyPair),
    Rs384(RS384KeyPair),
    Rs512(RS512KeyPair),
    Ps256(PS256KeyPair),
    Ps384(PS384KeyPair),
    Ps512(PS512KeyPair),
    Es256(ES256KeyPair),
    Es384(ES384KeyPair),
    Es512(Box<p521::ecdsa::SigningKey>),
    EdDsa(Ed25519KeyPair),
}

pub(crate) struct Issuer {
    pub(crate) jwk: Value,
    algorithm: Algorithm,
    pair: Pair,
}

/// An issuer for each algorithm.
pub(crate) fn issuers() -> impl Iterator<Item = Issuer> {
    Algorithm::ALL.into_iter().map(|algorithm| Issuer::new(algorithm, "k"))
}

/// RSA keys take long to make, so two are made once a run and shared.
fn rsa_pems() -> &'static [String; 2] {
    static PEMS: OnceLock<[String; 2]> = OnceLock::new();
    PEMS.get_or_init(|| [(), ()].map(|()| RS256KeyPair::generate(2048).unwrap().to_pem().unwrap()))
}

impl Issuer {
    pub(crate) fn new(algorithm: Algorithm, key_id: &str) -> Self {
        Self::with_rsa(algorithm, key_id, &rsa_pems()[0])
    }

    pub(crate) fn same_id_other_key(&self) -> Self {
        Self::with_rsa(self.algorithm, self.jwk["kid"].as_str().unwrap(), &rsa_pems()[1])
    }

    fn with_rsa(algorithm: Algorithm, key_id: &str, rsa_pem: &str) -> Self {
        let (pair, mut jwk) = match algorithm {
            Algorithm::RS256 => rsa(Pair::Rs256(RS256KeyPair::from_pem(rsa_pem).unwrap().with_key_id(key_id)), rsa_pem),
            Algorithm::RS384 => rsa(Pair::Rs384(RS384KeyPair::from_pem(rsa_pem).unwrap().with_key_id(key_id)), rsa_pem),
            Algorithm::RS512 => rsa(Pair::Rs512(RS512KeyPair::from_pem(rsa_pem).unwrap().with_key_id(key_id)), rsa_pem),
            Algorithm::PS256 => rsa(Pair::Ps256(PS256KeyPair::from_pem(rsa_pem).unwrap().with_key_id(key_id)), rsa_pem),
            Algorithm::PS384 => rsa(Pair::Ps384(PS384KeyPair::from_pem(rsa_pem).unwrap().with_key_id(key_id)), rsa_pem),
            Algorithm::PS512 => rsa(Pair::Ps512(PS512KeyPair::from_pem(rsa_pem).unwrap().with_key_id(key_id)), rsa_pem),
            Algorithm::ES256 => {
                let pair = ES256KeyPair::generate().with_key_id(key_id);
                let jwk = pair.public_key().to_jwk();
                (Pair::Es256(pair), serde_json::from_str(&jwk).unwrap())
            }
            Algorithm::ES384 => {
                let pair = ES384KeyPair::generate().with_key_id(key_id);
                let jwk = pair.public_key().to_jwk();
                (Pair::Es384(pair), serde_json::from_str(&jwk).unwrap())
            }
            Algorithm::ES512 => {
                let (pair, jwk) = p521_pair(key_id);
                (Pair::Es512(Box::new(pair)), jwk)
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().with_key_id(key_id);
                let jwk = pair.public_key().to_jwk();
                (Pair::EdDsa(pair), serde_json::from_str(&jwk).unwrap())
            }
        };
        jwk["kid"] = json!(key_id);
        jwk["alg"] = json!(algorithm.name());
        Self { jwk, algorithm, pair }
    }

    pub(crate) fn key_set(&self) -> KeySet {
        KeySet::parse(json!({"keys": [self.jwk]}).to_string().as_bytes(), DEFAULT_LIMITS).unwrap()
    }

    /// A token with exactly these claims, signed by this issuer.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        if let Pair::Es512(pair) = &self.pair {
            return self.sign_es512(pair, claims);
        }
        let custom: Map<String, Value> = claims.as_object().unwrap().clone();
        let claims = JWTClaims {
            issued_at: None,
            expires_at: None,
            invalid_before: None,
            issuer: None,
            subject: None,
            audiences: None,
            jwt_id: None,
            nonce: None,
            custom,
        };
        let options = HeaderOptions { signature_type: Some("at+jwt".into()), content_type: None };
        match &self.pair {
            Pair::Rs256(pair) => pair.sign_with_options(claims, &options),
            Pair::Rs384(pair) => pair.sign_with_options(claims, &options),
            Pair::Rs512(pair) => pair.sign_with_options(claims, &options),
            Pair::Ps256(pair) => pair.sign_with_options(claims, &options),
            Pair::Ps384(pair) => pair.sign_with_options(claims, &options),
            Pair::Ps512(pair) => pair.sign_with_options(claims, &options),
            Pair::Es256(pair) => pair.sign_with_options(claims, &options),
            Pair::Es384(pair) => pair.sign_with_options(claims, &options),
            Pair::EdDsa(pair) => pair.sign_with_options(claims, &options),
            Pair::Es512(_) => panic!("signed above"),
        }
        .unwrap()
    }

    /// What jwt-simple says of a token; nothing for the one algorithm that it has not.
    pub(crate) fn reference_holds(&self, token: &str) -> Option<bool> {
        let now = Some(UnixTimeStamp::from_secs(NOW));
        let options = Some(VerificationOptions { artificial_time: now, ..VerificationOptions::default() });
        let judged = match &self.pair {
            Pair::Rs256(pair) => pair.public_key().verify_token::<NoCustomClaims>(token, options),
            Pair::Rs384(pair) => pair.public_key().verify_token(token, options),
            Pair::Rs512(pair) => pair.public_key().verify_token(token, options),
            Pair::Ps256(pair) => pair.public_key().verify_token(token, options),
            Pair::Ps384(pair) => pair.public_key().verify_token(token, options),
            Pair::Ps512(pair) => pair.public_key().verify_token(token, options),
            Pair::Es256(pair) => pair.public_key().verify_token(token, options),
            Pair::Es384(pair) => pair.public_key().verify_token(token, options),
            Pair::EdDsa(pair) => pair.public_key().verify_token(token, options),
            Pair::Es512(_) => return None,
        };
        Some(judged.is_ok())
    }

    fn sign_es512(&self, pair: &p521::ecdsa::SigningKey, claims: &Value) -> String {
        let header = json!({"alg": "ES512", "typ": "at+jwt", "kid": self.jwk["kid"]});
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature: p521::ecdsa::Signature = pair.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

/// A key from a digest of a name that never repeats: P-521 keys have no generator that fits the others' randomness.
fn p521_pair(key_id: &str) -> (p521::ecdsa::SigningKey, Value) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let seed = format!("{key_id} {}", COUNT.fetch_add(1, Ordering::Relaxed));
    let digest = Sha512::digest(seed.as_bytes());
    let scalar = [&[0, 0][..], &digest].concat();
    let pair = p521::ecdsa::SigningKey::from_slice(&scalar).unwrap();
    let point = pair.verifying_key().to_sec1_point(false);
    let (x, y) = (point.x().unwrap(), point.y().unwrap());
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "EC", "crv": "P-521", "x": encode(x), "y": encode(y)});
    (pair, jwk)
}

/// What Envoy's `verify_signature` does, done by crates: the same messages, the same decisions. Real Envoys are asked
/// in the whole-system tests.
#[expect(clippy::unnecessary_wraps, reason = "a host may have no such function")]
pub(crate) fn boring(request: &[u8]) -> Option<Vec<u8>> {
    let fields = fields(request);
    let [hash, key, signature, text] = [1, 2, 3, 4].map(|number| fields.get(&number).cloned().unwrap_or_default());
    let holds = match hash.as_slice() {
        b"sha256" => rsa_holds::<Sha256>(&key, &signature, &text).unwrap_or_else(|| {
            let key = p256::ecdsa::VerifyingKey::from_public_key_der(&key).unwrap();
            p256::ecdsa::Signature::from_der(&signature).is_ok_and(|one| key.verify(&text, &one).is_ok())
        }),
        b"sha384" => rsa_holds::<Sha384>(&key, &signature, &text).unwrap_or_else(|| {
            let key = p384::ecdsa::VerifyingKey::from_public_key_der(&key).unwrap();
            p384::ecdsa::Signature::from_der(&signature).is_ok_and(|one| key.verify(&text, &one).is_ok())
        }),
        _ => rsa_holds::<Sha512>(&key, &signature, &text).unwrap_or_else(|| {
            let key = p521::ecdsa::VerifyingKey::from_public_key_der(&key).unwrap();
            p521::ecdsa::Signature::from_der(&signature).is_ok_and(|one| key.verify(&text, &one).is_ok())
        }),
    };
    Some(if holds { vec![8, 1] } else { vec![] })
}

/// Nothing when it is no RSA key.
fn rsa_holds<D: Digest + AssociatedOid>(key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
    let key = <rsa::RsaPublicKey as rsa::pkcs8::DecodePublicKey>::from_public_key_der(key).ok()?;
    let scheme = rsa::Pkcs1v15Sign::new::<D>();
    Some(key.verify(scheme, &D::digest(text), signature).is_ok())
}

fn fields(mut message: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut fields = BTreeMap::new();
    while let [tag, rest @ ..] = message {
        let (mut length, mut rest) = (0, rest);
        for shift in (0..).step_by(7) {
            let byte = rest[0];
            rest = &rest[1..];
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        fields.insert(tag >> 3, rest[..length].to_vec());
        message = &rest[length..];
    }
    fields
}

fn rsa(pair: Pair, pem: &str) -> (Pair, Value) {
    let components = RS256KeyPair::from_pem(pem).unwrap().public_key().to_components();
    let encode = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    (pair, json!({"kty": "RSA", "use": "sig", "n": encode(components.n), "e": encode(components.e)}))
}
