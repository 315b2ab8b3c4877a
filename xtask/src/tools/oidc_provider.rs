//! The certified issuer: `tests/oidc-provider` with its locked packages.

use std::ffi::OsString;

use anyhow::Result;

use super::node::Node;
use super::packages::packages;
use crate::workspace::Workspace;

/// Installs it, and gives the environment variables through which tests find it.
pub(crate) fn oidc_provider(workspace: &Workspace) -> Result<[(&'static str, OsString); 2]> {
    let node = Node::get(workspace)?;
    let place = packages(workspace, &node, "oidc-provider")?;
    Ok([("OIDC_PROVIDER_DIR", place.into()), ("NODE_BIN", node.node.into())])
}
