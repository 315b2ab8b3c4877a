//! The programs that the system consists of.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// Where the programs are; `cargo xtask` says so in environment variables.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Envoy's binary (`ENVOY_BIN`).
    pub envoy: PathBuf,
    /// The directory with `initdb` and `postgres` (`PG_BIN`).
    pub postgres: PathBuf,
    /// The filter's module (`FILTER_WASM`).
    pub filter: PathBuf,
    /// The control plane's binary (`RUNNER_TOKENS_BIN`).
    pub control_plane: PathBuf,
    /// The edge's program (`EDGE_BIN`).
    pub edge: PathBuf,
}

impl Tools {
    /// Reads the environment variables.
    pub fn from_env() -> anyhow::Result<Self> {
        Ok(Self {
            envoy: path("ENVOY_BIN")?,
            postgres: path("PG_BIN")?,
            filter: path("FILTER_WASM")?,
            control_plane: path("RUNNER_TOKENS_BIN")?,
            edge: path("EDGE_BIN")?,
        })
    }
}

/// The existing path that a variable holds, absolute.
pub fn path(variable: &str) -> anyhow::Result<PathBuf> {
    let Some(path) = env::var_os(variable) else {
        bail!(
            "{variable} is not set: run the whole-system tests with `cargo xtask test`, the demo with `cargo xtask demo`"
        );
    };
    let path = PathBuf::from(path);
    path.canonicalize().with_context(|| format!("{variable}={}", path.display()))
}
