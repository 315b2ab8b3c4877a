//! `cargo xtask demo`: makes everything ready, then becomes the demo.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::command::program;
use crate::tools::Tools;
use crate::workspace::Workspace;
use crate::{filter, programs};

/// Does not return but for an error: the demo takes this process over, and with it Ctrl-C and the exit status.
pub(crate) fn run(workspace: &Workspace, once: bool) -> Result<()> {
    let tools = Tools::get(workspace)?;
    filter::build(workspace, &filter::FILTER)?;
    programs::build(workspace, programs::DEMO)?;
    let mut demo = program(programs::path(workspace, programs::DEMO));
    demo.args(once.then_some("--once")).envs(programs::environment(workspace, &tools));
    // A database of its own, whatever the developer's shell points to.
    demo.env_remove("DATABASE_URL");
    Err(demo.exec()).context("could not start the demo")
}
