//! Reports for programs.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Writes a file to the directory, which is made if it is not there.
pub fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, text));
    written.with_context(|| format!("could not write {}", path.display()))
}

/// The same for a report, as JSON.
pub fn write_json(directory: &Path, name: &str, report: &impl Serialize) -> anyhow::Result<()> {
    write(directory, name, &serde_json::to_string_pretty(report)?)
}
