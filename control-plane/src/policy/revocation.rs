//! Whom the kill switch is about.

use std::fmt;

use identity::Identity;
use serde::{Deserialize, Serialize};

use super::claims::ClaimPath;

/// One principal, everybody of an issuer, or those of an issuer with a claim of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Nobody of another issuer is meant.
    pub issuer: String,
    /// Who of the issuer's callers.
    pub who: Who,
}

/// Who of an issuer's callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one with this subject.
    Subject(String),
    /// Those with this claim.
    Claim(ClaimValue),
    /// All.
    Everybody,
}

/// A claim of a value; of a list-valued claim, one of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimValue {
    /// Its name, or a JSON Pointer such as `/kubernetes.io/namespace` inside of one.
    #[schema(example = "repository_owner_id")]
    pub name: String,
    /// Its value, to the byte.
    #[schema(example = "1234")]
    pub value: String,
}

impl Revoked {
    /// Checks what somebody has typed: one of the three must be meant, so that a forgotten part does not mean everybody.
    pub fn new(
        issuer: String,
        subject: Option<String>,
        claim: Option<ClaimValue>,
        whole_issuer: bool,
    ) -> Result<Self, String> {
        let who = match (subject, claim, whole_issuer) {
            (Some(subject), None, false) => Who::Subject(subject),
            (None, Some(claim), false) => Who::Claim(claim),
            (None, None, true) => Who::Everybody,
            _ => return Err("say whom: a subject, a claim, or the whole issuer; one of the three".to_owned()),
        };
        let texts: Vec<&str> = match &who {
            Who::Subject(subject) => vec![&issuer, subject],
            Who::Claim(claim) => vec![&issuer, &claim.name, &claim.value],
            Who::Everybody => vec![&issuer],
        };
        if texts.iter().any(|text| text.is_empty() || text.chars().any(char::is_control)) {
            return Err("nothing may be empty or have control characters".to_owned());
        }
        if let Who::Claim(claim) = &who {
            ClaimPath::parse(&claim.name)?;
        }
        Ok(Self { issuer, who })
    }

    /// Whether it is about this caller. One that can't be read is about everybody of its issuer: it fails closed.
    pub fn is_about(&self, caller: &Identity) -> bool {
        self.issuer == caller.principal.issuer
            && match &self.who {
                Who::Everybody => true,
                Who::Subject(subject) => *subject == caller.principal.subject,
                Who::Claim(ClaimValue { name, value }) => {
                    ClaimPath::parse(name).map_or(true, |path| path.texts(caller).contains(value))
                }
            }
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Subject(subject) => write!(out, "{subject} of {}", self.issuer),
            Who::Claim(ClaimValue { name, value }) => write!(out, "everybody of {} with {name}={value}", self.issuer),
            Who::Everybody => write!(out, "everybody of {}", self.issuer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::identity_of;
    use serde_json::{Value, json};

    fn about(who: Who, claims: Value) -> bool {
        let caller = identity_of(claims.as_object().unwrap().clone()).unwrap();
        Revoked { issuer: "https://a.example".into(), who }.is_about(&caller)
    }

    #[test]
    fn it_is_about_those_that_it_names_and_nobody_else() {
        let caller = json!({"iss": "https://a.example", "sub": "s", "id": 7, "groups": ["x", "y"]});
        let claim = |name: &str, value: &str| Who::Claim(ClaimValue { name: name.into(), value: value.into() });
        for (who, expected) in [
            (Who::Everybody, true),
            (Who::Subject("s".into()), true),
            (Who::Subject("S".into()), false),
            (claim("id", "7"), true),
            (claim("id", "70"), false),
            (claim("groups", "y"), true),
            (claim("/groups/0", "x"), true),
            (claim("missing", "x"), false),
            (claim("/", "x"), true),
        ] {
            assert_eq!(about(who.clone(), caller.clone()), expected, "{who:?}");
            assert!(!about(who, json!({"iss": "https://b.example", "sub": "s", "id": 7, "groups": "y"})));
        }
    }

    #[test]
    fn whom_must_be_said_in_one_way() {
        let new = |subject: Option<&str>, whole| Revoked::new("i".into(), subject.map(Into::into), None, whole);
        assert!(new(Some("s"), false).is_ok() && new(None, true).is_ok());
        assert!(new(None, false).is_err() && new(Some("s"), true).is_err());
        assert!(new(Some(""), false).is_err() && new(Some("a\0"), false).is_err());
        let claim = ClaimValue { name: "/".into(), value: "x".into() };
        assert!(Revoked::new("i".into(), None, Some(claim), false).is_err());
    }
}
