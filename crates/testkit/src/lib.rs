//! Worlds with state.
pub mod github;
pub mod issuer;
pub mod system;
