//! The project's own programs that the demo and the tests run.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::command::{cargo, run};
use crate::progress::step;
use crate::workspace::Workspace;
use crate::{filter, tools};

/// The control plane.
pub(crate) const CONTROL_PLANE: &str = "runner-tokens";
/// What starts Envoy.
const EDGE: &str = "edge";
/// The whole system with a round trip through it.
pub(crate) const DEMO: &str = "demo";
/// A Postgres for as long as somebody wants it.
pub(crate) const PRIVATE_POSTGRES: &str = "private-postgres";

/// Builds one of the testkit's programs together with the control plane and the edge's program.
pub(crate) fn build(workspace: &Workspace, other: &str) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--package", "control-plane", "--bin", CONTROL_PLANE]);
    command.args(["--package", "edge", "--bin", EDGE, "--package", "testkit", "--bin", other]);
    step(&format!("cargo build of {CONTROL_PLANE}, {EDGE} and {other}"), || run(command.env("SQLX_OFFLINE", "true")))
}

/// Builds one of the testkit's programs that needs no control plane.
pub(crate) fn build_alone(workspace: &Workspace, program: &str) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--package", "testkit", "--bin", program]);
    step(&format!("cargo build of {program}"), || run(&mut command))
}

/// Builds the control plane as it is shipped; gives where it is.
pub(crate) fn build_as_shipped(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo(workspace);
    command.args(["build", "--release", "--package", "control-plane", "--bin", CONTROL_PLANE]);
    step(&format!("cargo build of {CONTROL_PLANE} with all optimisations (takes minutes)"), || {
        run(command.env("SQLX_OFFLINE", "true"))
    })?;
    Ok(workspace.target.join("release").join(CONTROL_PLANE))
}

/// Where Cargo leaves a program.
pub(crate) fn path(workspace: &Workspace, program: &str) -> PathBuf {
    workspace.target.join("debug").join(program)
}

/// The environment variables through which the testkit learns where everything is.
pub(crate) fn environment(workspace: &Workspace, tools: &tools::Tools) -> Vec<(&'static str, OsString)> {
    let mut variables = vec![
        ("FILTER_WASM", workspace.root.join(filter::FILTER.path).into()),
        ("EDGE_BIN", path(workspace, EDGE).into()),
        ("RUNNER_TOKENS_BIN", path(workspace, CONTROL_PLANE).into()),
        ("CARGO_TARGET_DIR", workspace.target.clone().into()),
    ];
    variables.extend(tools.environment());
    variables
}
