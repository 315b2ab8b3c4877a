//! A compact JWS as it came from the network (RFC 7515 section 7.1), taken apart but not believed.

use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::refusal::Refusal;
use crate::{base64url, json};

/// The longest token that is read. Large issuers stay under 8 KiB; Envoy's own header limit is 60 KiB.
pub const MAX_TOKEN_LENGTH: usize = 16 * 1024;
/// The longest JOSE header that is read, encoded.
const MAX_HEADER_LENGTH: usize = 4 * 1024;
/// Header parameters that change what the signature covers or how the payload is read. `crit` (RFC 7515 section
/// 4.1.11) may name extensions, of which none is understood; `b64` is RFC 7797, `zip` and `enc` are RFC 7516.
const MEANING_CHANGERS: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// A token whose signature has not been checked. Its one way to become [`VerifiedClaims`](crate::VerifiedClaims)
/// is [`UnverifiedToken::verify`].
#[derive(Debug)]
pub struct UnverifiedToken<'t> {
    pub(crate) raw: &'t str,
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signature: Vec<u8>,
}

impl<'t> UnverifiedToken<'t> {
    /// Takes a token apart. `jwk`, `jku`, `x5u` and `x5c` are never read: a token does not choose its own key
    /// (RFC 8725 section 3.10).
    pub fn parse(raw: &'t str) -> Result<Self, Refusal> {
        if raw.len() > MAX_TOKEN_LENGTH {
            return Err(Refusal::TooLong);
        }
        let mut parts = raw.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Malformed);
        };
        if header.len() > MAX_HEADER_LENGTH {
            return Err(Refusal::TooLong);
        }
        let header = object(header)?;
        if MEANING_CHANGERS.iter().any(|name| header.contains_key(*name)) {
            return Err(Refusal::Extension);
        }
        let algorithm = text(&header, "alg")?.ok_or(Refusal::Malformed)?;
        let algorithm = Algorithm::from_name(&algorithm).ok_or(Refusal::Algorithm)?;
        let signature = base64url::decode(signature).ok_or(Refusal::Malformed)?;
        if algorithm.signature_length().is_some_and(|length| length != signature.len()) {
            return Err(Refusal::Signature);
        }
        Ok(Self {
            raw,
            algorithm,
            key_id: text(&header, "kid")?,
            kind: text(&header, "typ")?,
            claims: object(payload)?,
            signature,
        })
    }

    /// What the signature covers (RFC 7515 section 5.2): header and payload as they came.
    pub(crate) fn signed(&self) -> &str {
        self.raw.rsplit_once('.').map_or("", |(signed, _)| signed)
    }

    /// The issuer that the token names, for choosing a provider; proves nothing.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The key that the token names, for asking for new keys; proves nothing.
    pub fn claimed_key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

/// The second part of a token that has been verified, as it stands there.
pub(crate) fn payload(token: &str) -> Option<&str> {
    token.split('.').nth(1)
}

/// The JSON text of a verified token's claims, as its issuer wrote it.
pub(crate) fn payload_text(token: &str) -> Option<String> {
    String::from_utf8(base64url::decode(payload(token)?)?).ok()
}

fn object(part: &str) -> Result<Map<String, Value>, Refusal> {
    base64url::decode(part).and_then(|bytes| json::object(&bytes)).ok_or(Refusal::Malformed)
}

/// A member that is a string when it is there at all (RFC 7515 section 4.1).
fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
    use serde_json::json;

    fn encode(value: &Value) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn token(header: &Value) -> String {
        format!("{}.{}.{}", encode(header), encode(&json!({"iss": "i"})), BASE64_URL_SAFE_NO_PAD.encode([0; 64]))
    }

    fn refusal(raw: &str) -> Refusal {
        UnverifiedToken::parse(raw).unwrap_err()
    }

    #[test]
    fn a_token_is_taken_apart() {
        let raw = token(&json!({"alg": "ES256", "kid": "k", "typ": "at+jwt", "x5t": "ignored"}));
        let token = UnverifiedToken::parse(&raw).unwrap();
        assert_eq!((token.algorithm, token.claimed_key_id()), (Algorithm::ES256, Some("k")));
        assert_eq!(token.claimed_issuer(), Some("i"));
    }

    /// RFC 7515 section 7.1: three parts; RFC 7516 section 3.1: five parts are encryption, which is not taken.
    #[test]
    fn exactly_three_parts() {
        let raw = token(&json!({"alg": "ES256"}));
        let two = raw.rsplit_once('.').unwrap().0.to_owned();
        for bad in [String::new(), "..".into(), two.clone(), format!("{raw}."), format!("{raw}.a.b"), format!(".{raw}")]
        {
            assert_eq!(refusal(&bad), Refusal::Malformed, "{bad}");
        }
        assert_eq!(refusal(&format!("{two}.")), Refusal::Signature);
    }

    /// RFC 7515 section 2.
    #[test]
    fn padding_and_white_space_are_refused() {
        let padded = token(&json!({"alg": "ES256"}))
            .replace(&encode(&json!({"iss": "i"})), &BASE64_URL_SAFE.encode("{\"a\":1}   "));
        assert!(padded.contains('='), "{padded}");
        assert_eq!(refusal(&padded), Refusal::Malformed);
        assert_eq!(refusal(&format!("{} ", token(&json!({"alg": "ES256"})))), Refusal::Malformed);
    }

    /// RFC 7515 section 4: "The Header Parameter names within the JOSE Header MUST be unique".
    #[test]
    fn duplicate_members_are_refused() {
        let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"ES256"}"#);
        let raw = token(&json!({"alg": "ES256"}));
        let rest = raw.split_once('.').unwrap().1;
        assert_eq!(refusal(&format!("{header}.{rest}")), Refusal::Malformed);
    }

    /// RFC 7515 section 4.1.11, RFC 7797 section 3, RFC 7516 section 4.1.
    #[test]
    fn extensions_that_change_the_meaning_are_refused() {
        for name in MEANING_CHANGERS {
            for value in [json!([]), json!(["exp"]), json!(true), json!("DEF")] {
                let mut header = json!({"alg": "ES256"});
                header[name] = value;
                assert_eq!(refusal(&token(&header)), Refusal::Extension, "{header}");
            }
        }
    }

    /// RFC 8725 section 3.1: the algorithm is one of those expected, whatever the token says.
    #[test]
    fn none_and_symmetric_algorithms_do_not_exist() {
        for alg in ["none", "NONE", "nOnE", "HS256", "HS384", "HS512", "RS1", ""] {
            assert_eq!(refusal(&token(&json!({"alg": alg}))), Refusal::Algorithm, "{alg}");
        }
        assert_eq!(refusal(&token(&json!({}))), Refusal::Malformed);
        assert_eq!(refusal(&token(&json!({"alg": ["RS256"]}))), Refusal::Malformed);
        assert_eq!(refusal(&token(&json!({"alg": "RS256", "kid": 7}))), Refusal::Malformed);
    }

    /// RFC 7518 section 3.4: R and S are as long as the curve's order, so a DER signature is refused by length.
    #[test]
    fn signatures_of_another_length_are_refused() {
        assert_eq!(refusal(&token(&json!({"alg": "ES384"}))), Refusal::Signature);
    }

    #[test]
    fn sizes_are_capped() {
        assert_eq!(refusal(&"a".repeat(MAX_TOKEN_LENGTH + 1)), Refusal::TooLong);
        assert_eq!(refusal(&token(&json!({"alg": "ES256", "kid": "k".repeat(MAX_HEADER_LENGTH)}))), Refusal::TooLong);
    }
}
