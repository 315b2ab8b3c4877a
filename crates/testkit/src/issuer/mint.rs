//! Tokens as asked for, honest or not: `Mint` for what a signer can say, raw helpers for what none should.

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use chrono::{DateTime, Utc};
use jsonwebtoken::EncodingKey;
use serde_json::{Map, Value, json};

use super::keys::{Algorithm, SigningKey};

/// How long a token lives unless asked otherwise.
pub const LIFETIME: Duration = Duration::from_mins(10);
/// `typ` of JWT access tokens (RFC 9068 section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// A point in time as a claim states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long after the moment of minting.
    In(Duration),
    /// So long before the moment of minting.
    Ago(Duration),
    /// This Unix time.
    At(i64),
    /// The claim is left out.
    Absent,
}

impl When {
    fn seconds(self, now: DateTime<Utc>) -> Option<i64> {
        let length = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match self {
            Self::In(duration) => Some(now.timestamp().saturating_add(length(duration))),
            Self::Ago(duration) => Some(now.timestamp().saturating_sub(length(duration))),
            Self::At(seconds) => Some(seconds),
            Self::Absent => None,
        }
    }
}

/// Whose key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignWith {
    /// The issuer's present key.
    #[default]
    Current,
    /// The key that the last rotation replaced, published or not.
    Previous,
    /// A key that the issuer never had, under the present key's id: a forgery.
    Stranger,
}

/// What the header says of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyId {
    /// The signing key's id.
    #[default]
    Own,
    /// No `kid`.
    Absent,
    /// Another one.
    Other(String),
}

/// A token to be made. The default one has every claim in order but names nobody.
#[derive(Clone, Debug)]
pub struct Mint {
    /// `alg`, and which of the issuer's keys signs.
    pub algorithm: Algorithm,
    /// Whose key signs.
    pub sign_with: SignWith,
    /// `kid`.
    pub key_id: KeyId,
    /// `typ`; `None` leaves it out.
    pub typ: Option<String>,
    /// `iss`; `None` stands for the issuer's own.
    pub issuer: Option<String>,
    /// `sub`; `None` leaves it out.
    pub subject: Option<String>,
    /// `aud`: one as a string, several as an array, none leaves it out.
    pub audiences: Vec<String>,
    /// `client_id`; `None` leaves it out.
    pub client_id: Option<String>,
    /// `exp`.
    pub expires: When,
    /// `iat`.
    pub issued: When,
    /// `nbf`.
    pub not_before: When,
    /// More claims; they win over the ones above.
    pub claims: Map<String, Value>,
    /// More header members; they win over `alg`, `typ` and `kid`, but do not change how it is signed.
    pub header: Map<String, Value>,
}

impl Default for Mint {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Rs256,
            sign_with: SignWith::Current,
            key_id: KeyId::Own,
            typ: Some(ACCESS_TOKEN_TYPE.to_owned()),
            issuer: None,
            subject: None,
            audiences: Vec::new(),
            client_id: None,
            expires: When::In(LIFETIME),
            issued: When::In(Duration::ZERO),
            not_before: When::Absent,
            claims: Map::new(),
            header: Map::new(),
        }
    }
}

impl Mint {
    /// A token for this subject and audience with everything else in order.
    pub fn new(subject: &str, audience: &str) -> Self {
        Self { subject: Some(subject.to_owned()), audiences: vec![audience.to_owned()], ..Self::default() }
    }

    /// The same with another algorithm.
    #[must_use]
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// The same with one more claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn header_with(&self, key_id: &str) -> Value {
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(self.algorithm.name()));
        if let Some(typ) = &self.typ {
            header.insert("typ".to_owned(), json!(typ));
        }
        match &self.key_id {
            KeyId::Own => drop(header.insert("kid".to_owned(), json!(key_id))),
            KeyId::Other(other) => drop(header.insert("kid".to_owned(), json!(other))),
            KeyId::Absent => {}
        }
        header.extend(self.header.clone());
        Value::Object(header)
    }

    pub(crate) fn payload_at(&self, issuer: &str, token_id: &str, now: DateTime<Utc>) -> Value {
        let mut claims = Map::new();
        let audience = match self.audiences.as_slice() {
            [] => None,
            [only] => Some(json!(only)),
            several => Some(json!(several)),
        };
        let members = [
            ("iss", Some(json!(self.issuer.as_deref().unwrap_or(issuer)))),
            ("sub", self.subject.as_ref().map(|subject| json!(subject))),
            ("aud", audience),
            ("exp", self.expires.seconds(now).map(Value::from)),
            ("iat", self.issued.seconds(now).map(Value::from)),
            ("nbf", self.not_before.seconds(now).map(Value::from)),
            ("jti", Some(json!(token_id))),
            ("client_id", self.client_id.as_ref().map(|client| json!(client))),
        ];
        claims.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        claims.extend(self.claims.clone());
        Value::Object(claims)
    }
}

pub(crate) fn signed(header: &Value, payload: &Value, key: &SigningKey) -> anyhow::Result<String> {
    let input = signing_input(&header.to_string(), &payload.to_string());
    Ok(format!("{input}.{}", key.sign(&input)?))
}

/// The first two parts of a compact JWS over exactly these texts, which need not be JSON.
pub fn signing_input(header: &str, payload: &str) -> String {
    format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload))
}

/// A compact JWS with any header, any payload and any signature: `alg: none` has an empty one.
pub fn raw_token(header: &Value, payload: &Value, signature: &[u8]) -> String {
    format!("{}.{}", signing_input(&header.to_string(), &payload.to_string()), BASE64URL.encode(signature))
}

/// An HS256 token. With a public key's PEM as the secret it is the algorithm confusion of RFC 8725 section 2.1.
pub fn hs256_token(header: &Value, payload: &Value, secret: &[u8]) -> anyhow::Result<String> {
    let input = signing_input(&header.to_string(), &payload.to_string());
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
    Ok(format!("{input}.{}", signature.context("signing")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn the_default_is_an_access_token_in_order() {
        let mint = Mint::new("machine-7", "runner-tokens");
        assert_eq!(mint.header_with("k"), json!({"alg": "RS256", "typ": "at+jwt", "kid": "k"}));
        assert_eq!(
            mint.payload_at("https://idp", "1", now()),
            json!({"iss": "https://idp", "sub": "machine-7", "aud": "runner-tokens", "jti": "1",
                   "exp": 1_800_000_600, "iat": 1_800_000_000})
        );
    }

    #[test]
    fn anything_can_be_left_out_or_replaced() {
        let mint = Mint {
            typ: None,
            key_id: KeyId::Absent,
            audiences: vec!["a".into(), "b".into()],
            expires: When::Ago(Duration::from_secs(1)),
            issued: When::Absent,
            not_before: When::At(7),
            ..Mint::default()
        };
        let mint = mint.claim("iss", "other").claim("jti", Value::Null);
        assert_eq!(mint.header_with("k"), json!({"alg": "RS256"}));
        assert_eq!(
            mint.payload_at("https://idp", "1", now()),
            json!({"iss": "other", "aud": ["a", "b"], "jti": null, "exp": 1_799_999_999, "nbf": 7})
        );
    }

    #[test]
    fn raw_tokens_are_what_was_asked_for() {
        assert_eq!(raw_token(&json!({"alg": "none"}), &json!({}), b""), "eyJhbGciOiJub25lIn0.e30.");
        assert_eq!(hs256_token(&json!({}), &json!({}), b"s").unwrap().split('.').count(), 3);
    }
}
