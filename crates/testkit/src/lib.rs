//! Worlds with state for the demo and the tests: an OIDC issuer, a GitHub, and the whole system around them.
//!
//! A fake here is a small world, not a list of canned answers: what one call changes, the next one sees. Each is
//! served over real HTTP, so that the code under test uses the client that it uses in production.

pub mod choices;
pub mod clock;
pub mod collector;
pub mod github;
pub mod history;
pub mod issuer;
pub mod ledger;
mod random;
pub mod relay;
pub mod secret_file;
mod server;
pub mod signals;
pub mod system;
pub mod wire;
