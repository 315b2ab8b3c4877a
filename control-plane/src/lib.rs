//! The control plane of the Runner Token Service: decides who may register which GitHub Actions runner, has GitHub
//! issue a short-lived registration, and records everything.
//!
//! The modules in the order in which a request flows: [`http`] takes it and verifies who calls, [`policy`] decides,
//! [`provisioning`] carries it out, over [`store`], [`github`] and [`audit`]. [`jobs`] puts right whatever was
//! interrupted. [`cli`] is what an administrator types.

pub mod audit;
mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod github;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod operations;
pub mod policy;
pub mod reload;
pub mod runner;
pub mod store;
mod trace;
