//! A decision for people, before anybody asks for it in earnest.

use identity::{Identity, Principal, display_name};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Policy;
use super::decision::Verdict;
use super::request::{Defaults, Wish};
use super::rule::Limits;

/// What a policy says to a caller's wish, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// Whether it may be done, as far as limits allow.
    pub allowed: bool,
    /// Whether the caller has admin rights.
    pub admin: bool,
    /// To whom the runner would belong.
    #[schema(value_type = Option<Object>)]
    pub owner: Option<Principal>,
    /// How many runners that owner may have; what it has is not looked at.
    pub limits: Option<Limits>,
    /// What the audit log would say.
    pub reasons: Vec<String>,
    /// What each rule says: those that grant it, then the nearest miss first.
    pub rules: Vec<Verdict>,
    /// Of the policy file; null without one.
    pub policy_sha256: Option<String>,
}

impl Policy {
    /// Explains what a caller would be told.
    pub fn explain(&self, caller: &Identity, wish: &Wish, defaults: &Defaults) -> Explanation {
        let decision = self.decide(caller, wish, defaults);
        let first = decision.grants.first();
        Explanation {
            allowed: first.is_some(),
            admin: self.is_admin(caller),
            owner: first.map(|granted| granted.owner.clone()),
            limits: first.map(|granted| granted.limits),
            reasons: first.map_or_else(|| decision.denials(), |granted| granted.reasons.clone()),
            rules: decision.verdicts,
            policy_sha256: self.sha256().map(str::to_owned),
        }
    }
}

/// The identity that the edge would state for a token with these claims.
pub fn identity_of(claims: Map<String, Value>) -> Result<Identity, String> {
    let text = |name: &str| {
        let value = claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        value.map(str::to_owned).ok_or_else(|| format!("`{name}` is missing, or no text"))
    };
    let principal = Principal { issuer: text("iss")?, subject: text("sub")? };
    let name = display_name(&principal.subject, &claims);
    Ok(Identity { principal, name, claims, token_sha256: String::new() })
}
