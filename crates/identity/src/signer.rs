//! Makes assertions at the edge. This is on the path of every first request with a token, so nothing is copied that
//! need not be.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;

use crate::assertion::{MAX_LIFETIME_SECONDS, TYPE};
use crate::keys::{KeyError, private_key, thumbprint};

/// What is known of a caller, and is to be stated.
#[derive(Clone, Copy, Debug)]
pub struct Stated<'s> {
    /// `iss` of the caller's token.
    pub issuer: &'s str,
    /// `sub` of the caller's token.
    pub subject: &'s str,
    /// For people to read; see [`display_name`](crate::display_name).
    pub name: &'s str,
    /// The forwarded claims: the JSON text of one object. It becomes part of the assertion as it is, so it must have
    /// been read strictly, or written, by the caller of this function.
    pub claims: &'s str,
    /// SHA-256 of the caller's token in lower-case hex.
    pub token_sha256: &'s str,
}

/// An assertion that could not be written as JSON.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the assertion could not be written")]
pub struct SigningError;

/// Makes assertions at the edge.
pub struct Signer {
    key: SigningKey,
    /// The first part of every assertion, encoded, with its dot.
    header: String,
    gateway: String,
    audience: String,
}

#[derive(Serialize)]
struct Header<'s> {
    alg: &'s str,
    typ: &'s str,
    kid: &'s str,
}

/// The claims but `claims`, which are JSON already.
#[derive(Serialize)]
struct Payload<'s> {
    iss: &'s str,
    aud: &'s str,
    iat: u64,
    exp: u64,
    sub: &'s str,
    idp: &'s str,
    name: &'s str,
    tid: &'s str,
}

impl Signer {
    /// A signer with a PKCS#8 PEM key; `gateway` becomes `iss`, `audience` becomes `aud`.
    pub fn new(private_pem: &str, gateway: &str, audience: &str) -> Result<Self, KeyError> {
        let key = private_key(private_pem)?;
        let key_id = thumbprint(key.verifying_key().as_bytes());
        let header = Header { alg: "EdDSA", typ: TYPE, kid: &key_id };
        let mut header = BASE64URL.encode(serde_json::to_vec(&header).map_err(|_| KeyError::Private)?);
        header.push('.');
        Ok(Self { key, header, gateway: gateway.to_owned(), audience: audience.to_owned() })
    }

    /// Signs what is known of the caller at `now` (Unix seconds), to be valid for `lifetime` seconds
    /// (at most [`MAX_LIFETIME_SECONDS`]).
    pub fn sign(&self, stated: &Stated<'_>, now: u64, lifetime: u64) -> Result<String, SigningError> {
        let payload = self.payload(stated, now, lifetime).map_err(|_| SigningError)?;
        let mut assertion = String::with_capacity(self.header.len() + payload.len().div_ceil(3) * 4 + 87);
        assertion.push_str(&self.header);
        BASE64URL.encode_string(payload, &mut assertion);
        let signature = self.key.sign(assertion.as_bytes());
        assertion.push('.');
        BASE64URL.encode_string(signature.to_bytes(), &mut assertion);
        Ok(assertion)
    }

    fn payload(&self, stated: &Stated<'_>, now: u64, lifetime: u64) -> serde_json::Result<Vec<u8>> {
        let payload = Payload {
            iss: &self.gateway,
            aud: &self.audience,
            iat: now,
            exp: now.saturating_add(lifetime.min(MAX_LIFETIME_SECONDS)),
            sub: stated.subject,
            idp: stated.issuer,
            name: stated.name,
            tid: stated.token_sha256,
        };
        let mut json = Vec::with_capacity(stated.claims.len() + 512);
        serde_json::to_writer(&mut json, &payload)?;
        // In place of the closing brace.
        json.pop();
        json.extend_from_slice(br#","claims":"#);
        json.extend_from_slice(stated.claims.as_bytes());
        json.push(b'}');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, KeyPair, Verifier};
    use serde_json::{Value, json};

    const NOW: u64 = 1_800_000_000;

    const CALLER: Stated<'_> = Stated {
        issuer: "https://idp.example.com",
        subject: "machine-7",
        name: "machine-7@example.com",
        claims: r#"{"groups":["a","b"],"exp":1}"#,
        token_sha256: "abababababababababababababababababababababababababababababababab",
    };

    fn edge() -> (Signer, Verifier) {
        let pair = KeyPair::generate().unwrap();
        let signer = Signer::new(&pair.private_pem, DEFAULT_GATEWAY, DEFAULT_AUDIENCE).unwrap();
        (signer, Verifier::new(&pair.public_pem, DEFAULT_AUDIENCE).unwrap())
    }

    fn part(assertion: &str, index: usize) -> Value {
        serde_json::from_slice(&BASE64URL.decode(assertion.split('.').nth(index).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_assertion_has_the_published_form() {
        let (signer, verifier) = edge();
        let assertion = signer.sign(&CALLER, NOW, 60).unwrap();
        let key_id = verifier.key_ids().next().unwrap();
        assert_eq!(part(&assertion, 0), json!({"alg": "EdDSA", "typ": "identity-assertion+jwt", "kid": key_id}));
        let expected = json!({
            "iss": "edge", "aud": "runner-tokens", "iat": NOW, "exp": NOW + 60, "sub": "machine-7",
            "idp": "https://idp.example.com", "name": "machine-7@example.com",
            "claims": {"groups": ["a", "b"], "exp": 1}, "tid": "ab".repeat(32),
        });
        assert_eq!(part(&assertion, 1), expected);
    }

    #[test]
    fn what_the_edge_signed_is_what_the_upstream_reads() {
        let (signer, verifier) = edge();
        let odd = Stated { subject: "a\"},{\u{1}\\\u{2028}ü", name: "\",\"sub\":\"other", claims: "{}", ..CALLER };
        for stated in [CALLER, odd] {
            let read = verifier.verify(&signer.sign(&stated, NOW, 60).unwrap(), NOW + 59).unwrap();
            assert_eq!(read.principal.issuer, stated.issuer);
            assert_eq!(read.principal.subject, stated.subject);
            assert_eq!(read.name, stated.name);
            assert_eq!(Value::from(read.claims), serde_json::from_str::<Value>(stated.claims).unwrap());
            assert_eq!(read.token_sha256, stated.token_sha256);
        }
    }

    #[test]
    fn a_longer_life_is_not_signed() {
        let (signer, _) = edge();
        let assertion = signer.sign(&CALLER, NOW, 3600).unwrap();
        assert_eq!(part(&assertion, 1)["exp"], NOW + MAX_LIFETIME_SECONDS);
    }
}
