//! The whole system around the fakes: real Envoy with the real module, the real binary, real Postgres.
//!
//! The demo and the whole-system tests start it in the same way. Everything is on free ports of the loopback address,
//! and everything that was started or written is gone when its [`Scope`] ends, even if this process is killed.

mod configuration;
mod control_plane;
mod database;
pub mod edge;
mod envoy;
mod oidc_provider;
mod options;
mod postgres;
mod process;
mod ready;
mod running;
mod scope;
mod tools;
mod wires;

pub use self::control_plane::{Cli, ControlPlane, Environment};
pub use self::database::Database;
pub use self::envoy::{Envoy, EnvoyOptions, Issuer};
pub use self::oidc_provider::OidcProvider;
pub use self::options::{AUDIENCE, CLIENT, CLIENT_SECRET, SUBJECT, SystemOptions};
pub use self::postgres::{Postgres, free_port};
pub use self::process::Process;
pub use self::running::System;
pub use self::scope::Scope;
pub use self::tools::{Tools, path};
pub use self::wires::Wires;
pub use ::edge::TEMPLATE;
