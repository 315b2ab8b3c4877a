//! The signed identity assertion: a compact JWS (RFC 7515), EdDSA with Ed25519 (RFC 8037).

/// `typ` of an assertion. Explicit typing (RFC 8725 section 3.11) keeps any other token from passing as one.
pub const TYPE: &str = "identity-assertion+jwt";
/// The longest life of an assertion; the verifier refuses longer ones, whoever signed them.
pub const MAX_LIFETIME_SECONDS: u64 = 60;
/// How far the clocks of an edge and an upstream may differ.
pub const LEEWAY_SECONDS: u64 = 5;
