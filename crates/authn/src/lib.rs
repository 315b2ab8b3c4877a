//! Verification of OIDC access tokens, pure: no I/O, no clock, no randomness, no knowledge of the host.
//!
//! The types carry the trust: [`UnverifiedToken`] is what came from the network, [`VerifiedClaims`] what may be
//! believed, and [`UnverifiedToken::verify`] is the only way from one to the other.

mod algorithm;
mod answer;
mod base64url;
pub mod config;
mod duration;
mod gate;
mod hygiene;
mod json;
mod jwk;
mod keys;
mod path;
mod refusal;
mod signature;
#[cfg(test)]
mod testing;
mod token;
mod verify;

pub use algorithm::Algorithm;
pub use answer::Answer;
pub use config::ConfigError;
pub use gate::{Changes, Credential, Fetch, Gate, Provider};
pub use jwk::{DEFAULT_LIMITS, KeySet, KeySetError, KeySetLimits, SkippedKey};
pub use keys::{Ask, FetchError, KeySettings, KeySource, max_age};
pub use refusal::Refusal;
pub use token::{MAX_TOKEN_LENGTH, UnverifiedToken};
pub use verify::{Expectations, VerifiedClaims};
