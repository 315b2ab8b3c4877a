//! Fetched things are either there as a whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, test_kill_process};

use crate::progress::step;
use crate::workspace::Workspace;

/// The directory of a tool; `fill` makes it where it is not there yet.
///
/// It is filled under another name and renamed at the end, so that an interrupted fetch isn't taken for a finished
/// one, and two that run at once don't disturb each other.
pub(crate) fn directory(workspace: &Workspace, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let finished = workspace.tool(name);
    if finished.is_dir() {
        return Ok(finished);
    }
    let unfinished = workspace.tool(&format!(".{name}.{}", process::id()));
    remove_leftovers(workspace, name);
    let filled = step(&format!("fetching {name}"), || {
        fs::create_dir_all(&unfinished).with_context(|| format!("could not make {}", unfinished.display()))?;
        fill(&unfinished)
    });
    let outcome = filled.and_then(|()| rename(&unfinished, &finished));
    if outcome.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    outcome.map(|()| finished)
}

fn rename(unfinished: &Path, finished: &Path) -> Result<()> {
    match fs::rename(unfinished, finished) {
        // Another process was faster; what it fetched is the same.
        Err(_) if finished.is_dir() => Ok(fs::remove_dir_all(unfinished)?),
        outcome => outcome.with_context(|| format!("could not make {}", finished.display())),
    }
}

/// Removes what fetches of the same thing have left that were killed.
fn remove_leftovers(workspace: &Workspace, name: &str) {
    let Ok(entries) = fs::read_dir(workspace.target.join("tools")) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        let id = file_name.strip_prefix(&format!(".{name}.")).and_then(|id| id.parse().ok());
        if id.and_then(Pid::from_raw).is_some_and(|id| test_kill_process(id).is_err()) {
            // What can't be removed does no harm but for the space.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    /// A build directory of its own for one test.
    fn workspace(test: &str) -> Workspace {
        let target = std::env::temp_dir().join(format!("xtask-{test}-{}", process::id()));
        Workspace { root: target.clone(), target }
    }

    #[test]
    fn a_failed_fetch_leaves_nothing_and_the_next_one_starts_anew() {
        let workspace = workspace("failed-fetch");
        let failed = directory(&workspace, "tool-1.0", |place| {
            fs::write(place.join("half"), "")?;
            bail!("connection lost")
        });
        assert_eq!(failed.unwrap_err().to_string(), "connection lost");
        assert_eq!(fs::read_dir(workspace.target.join("tools")).unwrap().count(), 0);

        let place = directory(&workspace, "tool-1.0", |place| Ok(fs::write(place.join("whole"), "")?)).unwrap();
        assert!(place.join("whole").is_file() && !place.join("half").exists());
        fs::remove_dir_all(&workspace.target).unwrap();
    }

    #[test]
    fn what_a_killed_fetch_left_is_removed() {
        let workspace = workspace("killed-fetch");
        // No process has the highest id.
        let left = workspace.tool(&format!(".tool-1.0.{}", i32::MAX));
        let others = workspace.tool(&format!(".tool-2.0.{}", i32::MAX));
        fs::create_dir_all(&left).unwrap();
        fs::create_dir_all(&others).unwrap();
        directory(&workspace, "tool-1.0", |_| Ok(())).unwrap();
        assert!(!left.exists() && others.exists());
        fs::remove_dir_all(&workspace.target).unwrap();
    }

    #[test]
    fn what_is_there_is_not_fetched_again() {
        let workspace = workspace("fetched");
        for _ in 0..2 {
            let mut fetches = 0;
            directory(&workspace, "tool-1.0", |_| {
                fetches += 1;
                Ok(())
            })
            .unwrap();
            assert!(fetches <= 1);
        }
        let again = directory(&workspace, "tool-1.0", |_| bail!("fetched again"));
        assert!(again.is_ok());
        fs::remove_dir_all(&workspace.target).unwrap();
    }
}
