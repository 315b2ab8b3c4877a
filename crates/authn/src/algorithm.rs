//! Signature algorithms of access tokens (RFC 7518 section 3.1, RFC 8037 section 3.1).

use serde::{Deserialize, Serialize};

/// An asymmetric JWS algorithm. `none` and the HMAC family have no variant, so nothing can select them
/// (RFC 8725 sections 2.1 and 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are those of RFC 7518")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    /// Ed25519 alone: Ed448 has no variant.
    EdDSA,
}

impl Algorithm {
    /// Every algorithm, in the order in which docs list them.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The `alg` value (case-sensitive, RFC 7515 section 4.1.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The one length that a signature has (RFC 7518 section 3.4, RFC 8032 section 5.1.6); RSA's is its key's.
    pub fn signature_length(self) -> Option<usize> {
        match self {
            Self::ES256 | Self::EdDSA => Some(64),
            Self::ES384 => Some(96),
            Self::ES512 => Some(132),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    #[test]
    fn names_are_exact_and_symmetric_ones_do_not_exist() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        for other in ["none", "None", "HS256", "HS384", "HS512", "rs256", "RS256 ", "ES256K", "Ed25519", ""] {
            assert_eq!(Algorithm::from_name(other), None, "{other}");
        }
    }
}
