//! `cargo xtask chaos`: the whole system under load, one fault after the other.

mod trap;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::command::{cargo, program, run_shown};
use crate::progress::step;
use crate::tools::Tools;
use crate::workspace::Workspace;
use crate::{command, filter, programs};

/// The program behind it.
const CHAOS: &str = "chaos";
/// The variable that says where the filter is that traps.
pub(crate) const TRAPPING_FILTER: &str = "TRAPPING_FILTER_WASM";
const TRAPPING: &str = "target/tests/trapping_filter.wasm";
/// What the filter does at each request.
const CALLBACK: &str = "proxy_on_request_headers";
/// Its parameter with the number of headers, and how many make it trap: far more than clients send, and fewer than
/// Envoy takes.
const HEADERS: (u32, i32) = (1, 60);

/// Builds what is needed, and runs it with these arguments.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let tools = Tools::get(workspace)?;
    filter::build(workspace, &filter::FILTER)?;
    let trapping = trapping_filter(workspace)?;
    programs::build(workspace, programs::PRIVATE_POSTGRES)?;
    let mut build = cargo(workspace);
    build.args(["build", "--package", CHAOS, "--bin", CHAOS]);
    step(&format!("cargo build of {CHAOS}"), || command::run(&mut build))?;
    let mut chaos = program(programs::path(workspace, CHAOS));
    chaos.current_dir(&workspace.root).args(arguments);
    chaos.envs(programs::environment(workspace, &tools)).env(TRAPPING_FILTER, trapping);
    run_shown(&mut chaos)
}

/// Makes the filter that traps from the one that has been built; gives its path.
pub(crate) fn trapping_filter(workspace: &Workspace) -> Result<PathBuf> {
    let module = fs::read(workspace.root.join(filter::FILTER.path)).context("the filter has not been built")?;
    let path = workspace.root.join(TRAPPING);
    fs::create_dir_all(path.parent().context("the module lies in a directory")?)?;
    let (parameter, bound) = HEADERS;
    fs::write(&path, trap::when_at_least(&module, CALLBACK, parameter, bound)?)?;
    Ok(path)
}
