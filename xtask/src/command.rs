//! Child processes.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// A program, with the environment that the caller had before `cargo run` added its own.
///
/// Build scripts (of `ring`, for one) run again whenever `CARGO_PKG_*` differ, so a Cargo that runs below this one
/// must not inherit them.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    for (variable, _) in env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "RUST_RECURSION_COUNT" {
            command.env_remove(&variable);
        }
    }
    command
}

/// The Cargo that runs this task, in the checkout, reporting to people only.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = program(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    command
}

/// Runs to the end; anything but success is an error that shows the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_shown(command.stdout(Stdio::from(stderr())))
}

/// The same for a program whose standard output is the result.
pub(crate) fn run_shown(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("could not start {shown}"))?;
    if status.success() { Ok(()) } else { bail!("{shown}: {status}") }
}

/// Runs to the end quietly and gives what it wrote to standard output, trimmed; nothing unless it succeeded.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Whether this command is there at all.
pub(crate) fn exists(name: &str) -> bool {
    let outcome = Command::new(name).arg("--version").stdin(Stdio::null()).output();
    !matches!(outcome, Err(error) if error.kind() == ErrorKind::NotFound)
}

/// The first directory of `PATH` that holds every one of these programs.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find(|directory| holds(directory, names))
}

/// Whether a directory holds every one of these programs.
pub(crate) fn holds(directory: &Path, names: &[&str]) -> bool {
    names.iter().all(|name| directory.join(name).is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
