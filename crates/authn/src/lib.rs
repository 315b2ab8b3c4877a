//! Verification of OIDC access tokens, pure: no I/O, no clock, no randomness, no knowledge of the host.
//!
//! The types carry the trust: [`UnverifiedToken`] is what came from the network, [`VerifiedClaims`] what may be
//! believed, and [`UnverifiedToken::verify`] is the only way from one to the other.

// In wasm every `#[test]` is one that Node.js can run.
#[cfg(all(test, target_arch = "wasm32"))]
#[macro_use(test)]
extern crate wasm_test;

mod algorithm;
mod answer;
mod base64url;
pub mod config;
mod gate;
mod headers;
mod hygiene;
mod json;
mod jwk;
mod keys;
mod memory;
mod path;
mod places;
mod provider;
mod refusal;
mod remote;
mod requirement;
mod rules;
mod sharing;
mod signature;
mod statement;
#[cfg(test)]
mod strictness;
#[cfg(test)]
mod testing;
mod text;
mod token;
mod verify;

pub use algorithm::Algorithm;
pub use answer::Answer;
pub use config::ConfigError;
pub use gate::{Changes, Denied, Gate, Verdict, Worker};
pub use headers::Headers;
pub use jwk::{DEFAULT_LIMITS, KeySet, KeySetError, KeySetLimits, PublicKey, SkippedKey};
pub use keys::{Ask, FetchError, KeySettings, KeySource, RetryPauses, max_age};
pub use memory::Memory;
pub use provider::Provider;
pub use refusal::Refusal;
pub use remote::{Fetch, Remote};
pub use sharing::{Lease, SharedKeys, Turn};
pub use signature::{Backend, Host, PureRust, VERIFY_SIGNATURE};
pub use token::{MAX_TOKEN_LENGTH, UnverifiedToken};
pub use verify::{Expectations, VerifiedClaims};
