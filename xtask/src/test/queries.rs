//! `.sqlx` holds what a build without a database must know of each query. It must be complete, and nothing in it
//! may be left over.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process;

use anyhow::{Context as _, Result, bail};

use super::postgres::PrivatePostgres;
use crate::command::{cargo, run};
use crate::programs;
use crate::progress::step;
use crate::tools::Tools;
use crate::workspace::Workspace;

const REMEDY: &str = "bring it up to date with: cargo xtask queries";

/// Compares `.sqlx` with what the queries in the code need now.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let kept = files(&workspace.root.join(".sqlx"))?;
    let needed = generate(workspace)?;
    let differing: Vec<_> = needed
        .keys()
        .chain(kept.keys())
        .filter(|name| needed.get(*name) != kept.get(*name))
        .map(String::as_str)
        .collect();
    if differing.is_empty() { Ok(()) } else { bail!(".sqlx is out of date ({}); {REMEDY}", differing.join(", ")) }
}

/// Writes `.sqlx` anew.
pub(crate) fn update(workspace: &Workspace) -> Result<()> {
    let needed = generate(workspace)?;
    let directory = workspace.root.join(".sqlx");
    for name in files(&directory)?.keys().filter(|name| !needed.contains_key(*name)) {
        fs::remove_file(directory.join(name))?;
    }
    for (name, content) in needed {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}

/// Compiles the control plane against a database with today's tables.
fn generate(workspace: &Workspace) -> Result<BTreeMap<String, Vec<u8>>> {
    let tools = Tools::get(workspace)?;
    // The control plane itself can't be built before its changed queries are written down.
    programs::build_alone(workspace, programs::PRIVATE_POSTGRES)?;
    let postgres = PrivatePostgres::with_tables(workspace, &tools)?;
    let directory = workspace.target.join(format!("sqlx-{}", process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = step("checking the queries against a database", || {
        run(compile(workspace).env("DATABASE_URL", postgres.url()).env("SQLX_OFFLINE_DIR", &directory))
    });
    let generated = outcome.and_then(|()| files(&directory));
    fs::remove_dir_all(&directory)?;
    generated
}

/// A compilation that shares the dependencies with the others but has results of its own, as if by another compiler:
/// Cargo keeps those apart by wrapper, and `env` is one that changes nothing. The build script depends on
/// `SQLX_OFFLINE_DIR`, which is new each time, so that nothing is taken as compiled before.
fn compile(workspace: &Workspace) -> process::Command {
    let mut command = cargo(workspace);
    command.args(["check", "--quiet", "--package", "control-plane", "--all-targets"]);
    command.env("RUSTC_WORKSPACE_WRAPPER", "/usr/bin/env").env("SQLX_OFFLINE", "false");
    command
}

/// The query files of a directory with their contents.
fn files(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}
