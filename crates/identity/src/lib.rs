//! The header contract between the edge and whatever stands behind it.
//!
//! The edge verifies the caller's token and says who called in a short-lived signed **assertion**; an upstream
//! verifies the assertion and believes nothing else. This crate holds the names, the [`Identity`] and both
//! directions of the assertion, and is the only code that both sides share. The edge takes it without the feature
//! `upstream`, and so without what only upstreams need.

// In wasm every `#[test]` is one that Node.js can run.
#[cfg(all(test, target_arch = "wasm32"))]
#[macro_use(test)]
extern crate wasm_test;

mod assertion;
pub mod headers;
mod keys;
mod signer;
#[cfg(feature = "upstream")]
mod verifier;

pub use assertion::{LEEWAY_SECONDS, MAX_LIFETIME_SECONDS, TYPE};
pub use keys::KeyError;
#[cfg(feature = "upstream")]
pub use keys::KeyPair;
pub use signer::{Signer, SigningError, Stated};
#[cfg(feature = "upstream")]
pub use verifier::{AssertionError, Verifier};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The audience of an assertion, and the value that the control plane expects, unless configured otherwise.
pub const DEFAULT_AUDIENCE: &str = "runner-tokens";
/// The name with which a gateway signs (`iss` of the assertion), unless configured otherwise.
pub const DEFAULT_GATEWAY: &str = "edge";

/// Who called, as verified at the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who, in the only sense that decides anything.
    pub principal: Principal,
    /// For people to read; never decides anything. See [`display_name`].
    pub name: String,
    /// Claims of the original token that the edge forwards.
    pub claims: Map<String, Value>,
    /// SHA-256 of the original token in lower-case hex, for the audit log.
    pub token_sha256: String,
}

/// An issuer and the subject that it vouches for (RFC 7519 sections 4.1.1 and 4.1.2).
///
/// Neither half means anything without the other: a subject is unique within its issuer only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Principal {
    /// `iss` of the original token.
    pub issuer: String,
    /// `sub` of the original token.
    pub subject: String,
}

/// The name to show for a token's owner: `email` unless `email_verified` is false, else `preferred_username`,
/// else the subject.
pub fn display_name(subject: &str, claims: &Map<String, Value>) -> String {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty());
    // Some issuers send the string "false" where OpenID Connect Core section 5.1 asks for a boolean.
    let unverified = matches!(claims.get("email_verified"), Some(Value::Bool(false)))
        || text("email_verified").is_some_and(|value| value.eq_ignore_ascii_case("false"));
    text("email").filter(|_| !unverified).or_else(|| text("preferred_username")).unwrap_or(subject).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn display_name_prefers_a_verified_email_then_the_user_name_then_the_subject() {
        let name = |claims: Value| display_name("sub-1", claims.as_object().unwrap());
        assert_eq!(name(json!({"email": "a@example.com", "preferred_username": "a"})), "a@example.com");
        assert_eq!(name(json!({"email": "a@example.com", "email_verified": false, "preferred_username": "a"})), "a");
        assert_eq!(name(json!({"email": "a@example.com", "email_verified": "False"})), "sub-1");
        assert_eq!(name(json!({"email": "", "preferred_username": 7})), "sub-1");
    }
}
