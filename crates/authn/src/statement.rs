//! What the upstream is told about a verified caller.

use std::rc::Rc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::config::{self, ConfigError};
use crate::hygiene::{check_header_name, is_header_value};
use crate::memory::{self, Known};
use crate::refusal::Refusal;
use crate::rules::{claim, claim_at};
use crate::{json, token};

/// Headers to set, each replacing all of its name.
pub(crate) type Set<'g> = Vec<(&'g str, Rc<str>)>;

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
            if one.claim_name.is_empty() == one.claim_path.is_empty() {
                return Err(ConfigError::new(at, "give exactly one of claim_name and claim_path"));
            }
            if let Some(index) = one.claim_path.iter().position(|segment| segment.key.is_empty()) {
                return Err(ConfigError::new(format!("{at}.claim_path[{index}].key"), "empty"));
            }
        }
        if let Some(name) = &payload {
            check_header_name(name)
                .map_err(|problem| ConfigError::new(format!("{at}.forward_payload_header"), problem))?;
        }
        Ok(Self { to_headers: claims, payload, padded })
    }

    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.to_headers.iter().map(|one| one.header_name.as_str()).chain(self.payload.as_deref())
    }

    pub(crate) fn any(&self) -> bool {
        !self.to_headers.is_empty()
    }

    /// A value, or none, for each of [`Claims::header_names`].
    pub(crate) fn state(&self, claims: &Map<String, Value>, token: &str) -> Result<Box<[Option<Rc<str>>]>, Refusal> {
        let find = |one: &config::ClaimToHeader| match one.claim_path.as_slice() {
            [] => claim(claims, &one.claim_name),
            path => claim_at(claims, path),
        };
        let of_claims = self.to_headers.iter().map(|one| match find(one).map(header_value) {
            Some(Err(_)) if one.omit_invalid => Ok(None),
            value => value.transpose(),
        });
        let payload = self.payload.iter().map(|_| self.payload_of(token).map(Some));
        of_claims.chain(payload).map(|value| Ok(value?.map(Rc::from))).collect()
    }

    /// The payload as it came, in base64url; with padding if that is wanted.
    fn payload_of(&self, token: &str) -> Result<String, Refusal> {
        let mut payload = token::payload(token).ok_or(Refusal::ClaimValue)?.to_owned();
        while self.padded && payload.len() % 4 != 0 {
            payload.push('=');
        }
        Ok(payload)
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

    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        let assertion = self.assertion.as_ref().map(|assertion| &assertion.header);
        let plain = [&self.headers.issuer, &self.headers.subject, &self.headers.name];
        plain.into_iter().chain(assertion).map(String::as_str)
    }

    /// States who called, at `now` (Unix seconds). `token` is the one that `known` is known of.
    pub(crate) fn state<'g>(
        &'g self,
        issuer: &Rc<str>,
        known: &Known,
        token: &str,
        now: u64,
        set: &mut Set<'g>,
    ) -> Result<(), Refusal> {
        let plain = [
            (&self.headers.issuer, issuer),
            (&self.headers.subject, &known.subject),
            (&self.headers.name, &known.name),
        ];
        if !known.sayable {
            return Err(Refusal::ClaimValue);
        }
        set.extend(plain.map(|(header, value)| (header.as_str(), Rc::clone(value))));
        if let Some(assertion) = &self.assertion {
            set.push((&assertion.header, assertion.of(issuer, known, token, now)?));
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

    /// The last one made for this token, until half of its life is over; then a new one.
    fn of(&self, issuer: &str, known: &Known, token: &str, now: u64) -> Result<Rc<str>, Refusal> {
        if let Some(assertion) = known.assertion.borrow().as_ref()
            && now < assertion.renew_at
        {
            return Ok(Rc::clone(&assertion.text));
        }
        let text: Rc<str> = self.sign(issuer, known, token, now)?.into();
        let renew_at = now.saturating_add(self.lifetime / 2);
        known.assertion.replace(Some(memory::Assertion { text: Rc::clone(&text), renew_at }));
        Ok(text)
    }

    fn sign(&self, issuer: &str, known: &Known, token: &str, now: u64) -> Result<String, Refusal> {
        let claims = token::payload_text(token).and_then(|text| self.forwarded(text)).ok_or(Refusal::ClaimValue)?;
        let stated = identity::Stated {
            issuer,
            subject: &known.subject,
            name: &known.name,
            claims: &claims,
            token_sha256: &hex::encode(Sha256::digest(token)),
        };
        self.signer.sign(&stated, now, self.lifetime).map_err(|_| Refusal::ClaimValue)
    }

    /// The claims to forward, as JSON text: all of them as the issuer wrote them, or a choice.
    fn forwarded(&self, all: String) -> Option<String> {
        if self.claims.iter().any(|claim| claim == "*") {
            return Some(all);
        }
        let mut claims = json::object(all.as_bytes())?;
        claims.retain(|name, _| self.claims.contains(name));
        serde_json::to_string(&claims).ok()
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
