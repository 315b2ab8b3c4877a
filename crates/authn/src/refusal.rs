//! Why a token does not count.

/// A reason to refuse. The caller is told only what RFC 6750 section 3.1 has words for; the code goes to metrics
/// and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No token where one is required.
    #[error("no token")]
    Missing,
    /// More than one token, or more than one `Authorization` header.
    #[error("more than one token")]
    Ambiguous,
    /// Longer than the filter reads.
    #[error("the token is too long")]
    TooLong,
    /// Not a compact JWS of three canonical base64url parts around two strict JSON objects.
    #[error("not a compact JWS")]
    Malformed,
    /// A header parameter that changes the meaning of the token: `crit`, `b64`, `zip`, `enc`.
    #[error("an extension that is not understood")]
    Extension,
    /// `alg` is `none`, symmetric, unknown or not allowed for the provider.
    #[error("the algorithm is not allowed")]
    Algorithm,
    /// `typ` is not one of the accepted types.
    #[error("the type is not accepted")]
    Type,
    /// `iss` is missing or another.
    #[error("another issuer")]
    Issuer,
    /// `aud` is missing or names no expected audience.
    #[error("another audience")]
    Audience,
    /// `sub` is missing, empty or not expected.
    #[error("no usable subject")]
    Subject,
    /// `exp` is past.
    #[error("expired")]
    Expired,
    /// `nbf` is to come.
    #[error("not valid yet")]
    NotYetValid,
    /// `exp` is missing or a time claim is no time.
    #[error("no usable expiry")]
    Time,
    /// The token is valid for longer than the provider allows.
    #[error("lives too long")]
    LivesTooLong,
    /// Bound to a key (`cnf`, RFC 7800), so no bearer token.
    #[error("bound to a key")]
    Bound,
    /// No key with this `kid` that fits `alg`.
    #[error("no key for it")]
    UnknownKey,
    /// The signature does not hold.
    #[error("bad signature")]
    Signature,
    /// A claim that should become a header can't be one.
    #[error("a claim can't be a header")]
    ClaimValue,
    /// A required claim is missing or another.
    #[error("a required claim does not hold")]
    Claim,
    /// A required scope is missing.
    #[error("not in scope")]
    Scope,
    /// No usable keys have been fetched yet, or they went stale.
    #[error("no keys yet")]
    NoKeys,
    /// No rule matches the path.
    #[error("no rule for this path")]
    NoRule,
}

impl Refusal {
    /// Every reason, in the order in which a request meets them.
    pub const ALL: [Self; 22] = [
        Self::Missing,
        Self::Ambiguous,
        Self::TooLong,
        Self::Malformed,
        Self::Extension,
        Self::Algorithm,
        Self::Type,
        Self::Issuer,
        Self::Audience,
        Self::Subject,
        Self::Expired,
        Self::NotYetValid,
        Self::Time,
        Self::LivesTooLong,
        Self::Bound,
        Self::UnknownKey,
        Self::Signature,
        Self::ClaimValue,
        Self::Claim,
        Self::Scope,
        Self::NoKeys,
        Self::NoRule,
    ];

    /// A short stable name for metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Extension => "extension",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Time => "time",
            Self::LivesTooLong => "lives_too_long",
            Self::Bound => "bound",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::ClaimValue => "claim_value",
            Self::Claim => "claim",
            Self::Scope => "scope",
            Self::NoKeys => "no_keys",
            Self::NoRule => "no_rule",
        }
    }
}
