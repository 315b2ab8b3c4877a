//! Checks assertions at an upstream.

use jwt_simple::prelude::{
    Duration, Ed25519PublicKey, EdDSAPublicKeyLike, JWTClaims, Token, UnixTimeStamp, VerificationOptions,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::assertion::{LEEWAY_SECONDS, MAX_LIFETIME_SECONDS, TYPE};
use crate::keys::{KeyError, public_keys};
use crate::{Identity, Principal};

/// Forwarded claims are bounded at the edge; this is the backstop against a flood at the upstream's own port.
const MAX_LENGTH: usize = 32 * 1024;

/// Why an assertion was refused. For logs: callers learn only that it was.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AssertionError {
    /// Not a compact JWS of the right type, too long, or with claims missing.
    #[error("not an identity assertion")]
    Malformed,
    /// Signed with a key that is not configured.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// Bad signature, wrong audience, expired, or from the future.
    #[error("signature, audience or time does not hold")]
    Invalid,
    /// Lives longer than [`MAX_LIFETIME_SECONDS`].
    #[error("lives longer than {MAX_LIFETIME_SECONDS} s")]
    LivesTooLong,
}

/// The claims beside the registered ones.
#[derive(Deserialize)]
struct Body {
    idp: String,
    name: String,
    claims: Map<String, Value>,
    tid: String,
}

/// Checks assertions at an upstream. Holds public keys only, so it can't make one.
pub struct Verifier {
    keys: Vec<(String, Ed25519PublicKey)>,
    audience: String,
}

impl Verifier {
    /// A verifier with one or more concatenated PEM public keys (several while a key is being rotated).
    pub fn new(public_pems: &str, audience: &str) -> Result<Self, KeyError> {
        Ok(Self { keys: public_keys(public_pems)?, audience: audience.to_owned() })
    }

    /// Thumbprints of the accepted keys.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(key_id, _)| key_id.as_str())
    }

    /// The identity that an assertion states, if a known edge stated it for this audience and it holds at `now`
    /// (Unix seconds).
    pub fn verify(&self, assertion: &str, now: u64) -> Result<Identity, AssertionError> {
        self.verify_with_end(assertion, now).map(|(identity, _)| identity)
    }

    /// The same, with the end of the assertion's life (`exp`, Unix seconds), for a memory of those that held.
    pub fn verify_with_end(&self, assertion: &str, now: u64) -> Result<(Identity, u64), AssertionError> {
        if assertion.len() > MAX_LENGTH {
            return Err(AssertionError::Malformed);
        }
        let header = Token::decode_metadata(assertion).map_err(|_| AssertionError::Malformed)?;
        if header.signature_type() != Some(TYPE) || header.critical().is_some() {
            return Err(AssertionError::Malformed);
        }
        let key_id = header.key_id().ok_or(AssertionError::UnknownKey)?;
        let (_, key) = self.keys.iter().find(|(known, _)| known == key_id).ok_or(AssertionError::UnknownKey)?;
        let claims =
            key.verify_token::<Body>(assertion, Some(self.options(now))).map_err(|_| AssertionError::Invalid)?;
        identity_of(claims)
    }

    fn options(&self, now: u64) -> VerificationOptions {
        VerificationOptions {
            required_signature_type: Some(TYPE.to_owned()),
            allowed_audiences: Some([self.audience.clone()].into()),
            time_tolerance: Some(Duration::from_secs(LEEWAY_SECONDS)),
            artificial_time: Some(UnixTimeStamp::from_secs(now)),
            max_token_length: Some(MAX_LENGTH),
            ..VerificationOptions::default()
        }
    }
}

fn identity_of(claims: JWTClaims<Body>) -> Result<(Identity, u64), AssertionError> {
    let (Some(issued_at), Some(expires_at)) = (claims.issued_at, claims.expires_at) else {
        return Err(AssertionError::Malformed);
    };
    if expires_at.as_secs().saturating_sub(issued_at.as_secs()) > MAX_LIFETIME_SECONDS {
        return Err(AssertionError::LivesTooLong);
    }
    let subject = claims.subject.filter(|subject| !subject.is_empty()).ok_or(AssertionError::Malformed)?;
    let Body { idp, name, claims, tid } = claims.custom;
    if idp.is_empty() {
        return Err(AssertionError::Malformed);
    }
    let identity = Identity { principal: Principal { issuer: idp, subject }, name, claims, token_sha256: tid };
    Ok((identity, expires_at.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, KeyPair, Signer, Stated};
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
    use jwt_simple::prelude::{Ed25519KeyPair, EdDSAKeyPairLike, HeaderOptions};
    use serde_json::json;

    const NOW: u64 = 1_800_000_000;

    const CALLER: Stated<'_> = Stated {
        issuer: "https://idp.example.com",
        subject: "machine-7",
        name: "machine-7@example.com",
        claims: r#"{"groups":["a","b"],"exp":1}"#,
        token_sha256: "abababababababababababababababababababababababababababababababab",
    };

    fn signer(pair: &KeyPair) -> Signer {
        Signer::new(&pair.private_pem, DEFAULT_GATEWAY, DEFAULT_AUDIENCE).unwrap()
    }

    fn edge() -> (Signer, Verifier) {
        let pair = KeyPair::generate().unwrap();
        (signer(&pair), Verifier::new(&pair.public_pem, DEFAULT_AUDIENCE).unwrap())
    }

    /// The assertion with one part replaced by this JSON, its signature as it was.
    fn with_part(assertion: &str, index: usize, json: &Value) -> String {
        let mut parts: Vec<String> = assertion.split('.').map(str::to_owned).collect();
        parts[index] = BASE64URL.encode(json.to_string());
        parts.join(".")
    }

    fn part(assertion: &str, index: usize) -> Value {
        serde_json::from_slice(&BASE64URL.decode(assertion.split('.').nth(index).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn it_expires_and_does_not_come_from_the_future() {
        let (signer, verifier) = edge();
        let assertion = signer.sign(&CALLER, NOW, 60).unwrap();
        assert!(verifier.verify(&assertion, NOW + 60 + LEEWAY_SECONDS).is_ok());
        assert_eq!(verifier.verify(&assertion, NOW + 61 + LEEWAY_SECONDS), Err(AssertionError::Invalid));
        assert_eq!(verifier.verify(&assertion, NOW - LEEWAY_SECONDS - 1), Err(AssertionError::Invalid));
    }

    #[test]
    fn a_longer_life_is_refused_although_signed() {
        let pair = KeyPair::generate().unwrap();
        let verifier = Verifier::new(&pair.public_pem, DEFAULT_AUDIENCE).unwrap();
        let assertion = signer(&pair).sign(&CALLER, NOW, 60).unwrap();

        let mut claims: JWTClaims<Map<String, Value>> = serde_json::from_value(part(&assertion, 1)).unwrap();
        let key = Ed25519KeyPair::from_pem(&pair.private_pem).unwrap().with_key_id(&pair.key_id);
        for (lifetime, expected) in [(60, Ok(())), (61, Err(AssertionError::LivesTooLong))] {
            claims.expires_at = Some(UnixTimeStamp::from_secs(NOW + lifetime));
            let header = HeaderOptions { signature_type: Some(TYPE.to_owned()), content_type: None };
            let signed = key.sign_with_options(claims.clone(), &header).unwrap();
            assert_eq!(verifier.verify(&signed, NOW).map(drop), expected, "{lifetime}");
        }
    }

    #[test]
    fn another_edge_another_audience_and_every_altered_part_are_refused() {
        let (signer, verifier) = edge();
        let (stranger, _) = edge();
        assert_eq!(verifier.verify(&stranger.sign(&CALLER, NOW, 60).unwrap(), NOW), Err(AssertionError::UnknownKey));
        let elsewhere = Verifier { keys: verifier.keys.clone(), audience: "another-service".into() };
        let assertion = signer.sign(&CALLER, NOW, 60).unwrap();
        assert_eq!(elsewhere.verify(&assertion, NOW), Err(AssertionError::Invalid));

        let mut claims = part(&assertion, 1);
        claims["sub"] = json!("machine-8");
        assert_eq!(verifier.verify(&with_part(&assertion, 1, &claims), NOW), Err(AssertionError::Invalid));
    }

    #[test]
    fn the_header_decides_nothing() {
        let (signer, verifier) = edge();
        let assertion = signer.sign(&CALLER, NOW, 60).unwrap();
        let kid = part(&assertion, 0)["kid"].clone();
        for (header, expected) in [
            (json!({"alg": "none", "typ": TYPE, "kid": kid}), AssertionError::Invalid),
            (json!({"alg": "HS256", "typ": TYPE, "kid": kid}), AssertionError::Invalid),
            (json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}), AssertionError::Malformed),
            (json!({"alg": "EdDSA", "kid": kid}), AssertionError::Malformed),
            (json!({"alg": "EdDSA", "typ": TYPE}), AssertionError::UnknownKey),
            (json!({"alg": "EdDSA", "typ": TYPE, "kid": kid, "crit": []}), AssertionError::Malformed),
        ] {
            assert_eq!(verifier.verify(&with_part(&assertion, 0, &header), NOW), Err(expected), "{header}");
        }
    }

    #[test]
    fn missing_claims_and_oversize_are_refused_although_signed() {
        let (signer, verifier) = edge();
        let name = "x".repeat(MAX_LENGTH);
        for stated in [
            Stated { subject: "", ..CALLER },
            Stated { issuer: "", ..CALLER },
            Stated { claims: "[]", ..CALLER },
            Stated { name: &name, ..CALLER },
        ] {
            let error = verifier.verify(&signer.sign(&stated, NOW, 60).unwrap(), NOW).unwrap_err();
            let expected = if stated.claims == "[]" { AssertionError::Invalid } else { AssertionError::Malformed };
            assert_eq!(error, expected, "{stated:?}");
        }
    }

    #[test]
    fn both_keys_hold_while_one_is_rotated() {
        let (old, new) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let verifier = Verifier::new(&format!("{}{}", old.public_pem, new.public_pem), DEFAULT_AUDIENCE).unwrap();
        for pair in [old, new] {
            assert!(verifier.verify(&signer(&pair).sign(&CALLER, NOW, 60).unwrap(), NOW).is_ok());
        }
    }
}
