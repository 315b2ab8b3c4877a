//! What the upstream is told about a verified caller.

use base64::Engine as _;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::config::{self, ConfigError};
use crate::hygiene::{check_header_name, is_header_value};
use crate::refusal::Refusal;
use crate::rules::claim;
use crate::verify::VerifiedClaims;

/// Headers to set, each replacing all of its name.
pub(crate) type Set = Vec<(String, String)>;

/// The `identity` block: who called.
pub(crate) struct Identity {
    headers: config::IdentityHeaders,
    assertion: Option<Assertion>,
}

struct Assertion {
    signer: identity::Signer,
    header: String,
    lifetime: u64,
    claims: Vec<String>,
}

/// One provider's part: its claims and its payload.
#[derive(Debug)]
pub(crate) struct Claims {
    to_headers: Vec<config::ClaimToHeader>,
    payload: Option<String>,
    padded: bool,
}

impl Claims {
    pub(crate) fn new(
        at: &str,
        claims: Vec<config::ClaimToHeader>,
        payload: Option<String>,
        padded: bool,
    ) -> Result<Self, ConfigError> {
        for (index, one) in claims.iter().enumerate() {
            let at = format!("{at}.claim_to_headers[{index}]");
            check_header_name(&one.header_name)
                .map_err(|problem| ConfigError::new(format!("{at}.header_name"), problem))?;
            if one.claim_name.is_empty() {
                return Err(ConfigError::new(format!("{at}.claim_name"), "empty"));
            }
        }
        if let Some(name) = &payload {
            check_header_name(name)
                .map_err(|problem| ConfigError::new(format!("{at}.forward_payload_header"), problem))?;
        }
        Ok(Self { to_headers: claims, payload, padded })
    }

    pub(crate) fn header_names(&self) -> impl Iterator<Item = String> {
        self.to_headers.iter().map(|one| one.header_name.clone()).chain(self.payload.clone())
    }

    pub(crate) fn any(&self) -> bool {
        !self.to_headers.is_empty()
    }

    pub(crate) fn state(&self, verified: &VerifiedClaims, set: &mut Set) -> Result<(), Refusal> {
        for one in &self.to_headers {
            let Some(value) = claim(&verified.claims, &one.claim_name) else {
                continue;
            };
            match header_value(value) {
                Ok(text) => set.push((one.header_name.clone(), text)),
                Err(_) if one.omit_invalid => {}
                Err(refusal) => return Err(refusal),
            }
        }
        if let Some(name) = &self.payload {
            let json = serde_json::to_vec(&verified.claims).map_err(|_| Refusal::ClaimValue)?;
            let engine = if self.padded { BASE64_URL_SAFE } else { BASE64_URL_SAFE_NO_PAD };
            set.push((name.clone(), engine.encode(json)));
        }
        Ok(())
    }
}

impl Identity {
    pub(crate) fn new(
        from: config::Identity,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let names = [
            ("headers.issuer", &from.headers.issuer),
            ("headers.subject", &from.headers.subject),
            ("headers.name", &from.headers.name),
        ];
        for (field, name) in names {
            check_header_name(name).map_err(|problem| ConfigError::new(format!("identity.{field}"), problem))?;
        }
        let assertion = from.assertion.map(|assertion| Assertion::new(assertion, environment)).transpose()?;
        Ok(Self { headers: from.headers, assertion })
    }

    pub(crate) fn header_names(&self) -> impl Iterator<Item = String> {
        let assertion = self.assertion.as_ref().map(|assertion| &assertion.header);
        [&self.headers.issuer, &self.headers.subject, &self.headers.name].into_iter().chain(assertion).cloned()
    }

    /// When a statement made at `now` has to be made anew: when half of the assertion's life is over.
    pub(crate) fn renew_at(&self, now: u64) -> u64 {
        self.assertion.as_ref().map_or(u64::MAX, |assertion| now.saturating_add(assertion.lifetime / 2))
    }

    /// States who called, at `now` (Unix seconds).
    pub(crate) fn state(&self, verified: &VerifiedClaims, now: u64, set: &mut Set) -> Result<(), Refusal> {
        let name = identity::display_name(&verified.subject, &verified.claims);
        let plain = [
            (&self.headers.issuer, &verified.issuer),
            (&self.headers.subject, &verified.subject),
            (&self.headers.name, &name),
        ];
        for (header, value) in plain {
            if !is_header_value(value) {
                return Err(Refusal::ClaimValue);
            }
            set.push((header.clone(), value.clone()));
        }
        if let Some(assertion) = &self.assertion {
            set.push((assertion.header.clone(), assertion.sign(verified, &name, now)?));
        }
        Ok(())
    }
}

impl Assertion {
    fn new(from: config::Assertion, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let at = |field: &str| format!("identity.assertion.{field}");
        check_header_name(&from.header).map_err(|problem| ConfigError::new(at("header"), problem))?;
        let lifetime = from.lifetime.map_or(identity::MAX_LIFETIME_SECONDS, |lifetime| lifetime.as_secs());
        if lifetime == 0 || lifetime > identity::MAX_LIFETIME_SECONDS {
            return Err(ConfigError::new(at("lifetime"), "between 1s and 60s"));
        }
        let key = environment(&from.signing_key_env).ok_or_else(|| {
            let variable = &from.signing_key_env;
            let problem = format!("the VM has no variable {variable}; list it in vm_config.environment_variables");
            ConfigError::new(at("signing_key_env"), problem)
        })?;
        let signer = identity::Signer::new(&key, &from.issuer, &from.audience)
            .map_err(|error| ConfigError::new(at("signing_key_env"), error.to_string()))?;
        Ok(Self { signer, header: from.header, lifetime, claims: from.claims })
    }

    fn sign(&self, verified: &VerifiedClaims, name: &str, now: u64) -> Result<String, Refusal> {
        let claims = serde_json::to_string(&self.forwarded(&verified.claims)).map_err(|_| Refusal::ClaimValue)?;
        let stated = identity::Stated {
            issuer: &verified.issuer,
            subject: &verified.subject,
            name,
            claims: &claims,
            token_sha256: &verified.token_sha256,
        };
        self.signer.sign(&stated, now, self.lifetime).map_err(|_| Refusal::ClaimValue)
    }

    fn forwarded(&self, claims: &Map<String, Value>) -> Map<String, Value> {
        let all = self.claims.iter().any(|claim| claim == "*");
        let wanted = claims.iter().filter(|(name, _)| all || self.claims.contains(name));
        wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// A claim as the text of a header: strings as they are, numbers and booleans as JSON, lists of those joined by
/// commas. What could be read back as another value is refused.
fn header_value(claim: &Value) -> Result<String, Refusal> {
    let text = match claim {
        Value::Array(members) => {
            let texts = members.iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
            if texts.iter().any(|text| text.is_empty() || text.contains(',') || !is_header_value(text)) {
                return Err(Refusal::ClaimValue);
            }
            texts.join(",")
        }
        other => scalar(other)?,
    };
    if is_header_value(&text) { Ok(text) } else { Err(Refusal::ClaimValue) }
}

fn scalar(value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Refusal::ClaimValue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_and_lists_of_them_become_headers() {
        for (claim, header) in [
            (json!("a b"), "a b"),
            (json!(7), "7"),
            (json!(true), "true"),
            (json!(["a", "b", 3]), "a,b,3"),
            (json!([]), ""),
        ] {
            assert_eq!(header_value(&claim).as_deref(), Ok(header), "{claim}");
        }
    }

    #[test]
    fn what_could_be_read_as_another_value_is_refused() {
        for claim in [
            json!("a\r\nb: c"),
            json!(" a"),
            json!(null),
            json!({"a": 1}),
            json!(["a,b"]),
            json!(["a", ""]),
            json!([["a"]]),
            json!(["a", " b"]),
        ] {
            assert_eq!(header_value(&claim), Err(Refusal::ClaimValue), "{claim}");
        }
    }
}
