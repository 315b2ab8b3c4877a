//! What is started in a scope ends with it, even if this process is killed.

use std::env;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use crate::random::{Random, seed};

/// A shell, because every Unix has one and a test process has no other program of its own at hand.
const REAPER: &str = include_str!("reaper.sh");

/// A directory and a reaper: a process of its own that outlives this one by as long as it takes to end what was
/// started and to remove the directory.
pub struct Scope {
    directory: PathBuf,
    reaper: Child,
    reports: Mutex<Option<ChildStdin>>,
}

impl Scope {
    /// Makes the directory, under the build directory if possible.
    pub fn new() -> anyhow::Result<Self> {
        let directory = parent().join(format!("rts-{}", Random::new(seed()).hex(12)));
        // In its own process group, so that Ctrl-C does not end it before the others.
        let mut reaper = Command::new("/bin/sh")
            .args(["-c", REAPER, "reaper"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("could not start a shell")?;
        let reports = Mutex::new(reaper.stdin.take());
        let scope = Self { directory, reaper, reports };
        scope.report(&format!("directory {}", scope.directory.display()))?;
        fs::create_dir_all(&scope.directory)
            .with_context(|| format!("could not make {}", scope.directory.display()))?;
        // Postgres runs as another user where this one is root; it must get through, but need not look around.
        fs::set_permissions(&scope.directory, fs::Permissions::from_mode(0o711))?;
        Ok(scope)
    }

    /// Where everything of the scope is written.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Tells the reaper.
    pub(super) fn report(&self, line: &str) -> anyhow::Result<()> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = reports.as_mut().context("the reaper has no standard input")?;
        writeln!(pipe, "{line}").context("the reaper has ended")
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        drop(self.reports.lock().unwrap_or_else(PoisonError::into_inner).take());
        // It removes the directory as its last act.
        let _ = self.reaper.wait();
    }
}

/// The build directory where there is one and Postgres can get there, else the folder for temporary files.
fn parent() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built_here = || Some(checkout.canonicalize().ok()?.join("target"));
    let target =
        env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(built_here);
    let usable = target.filter(|target| !rustix::process::geteuid().is_root() || others_may_enter(target));
    usable.map_or_else(env::temp_dir, |target| target.join("run"))
}

/// Whether every directory above lets other users through.
pub(super) fn others_may_enter(path: &Path) -> bool {
    path.ancestors().all(|directory| fs::metadata(directory).is_ok_and(|entry| entry.permissions().mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::process::Program;
    use rustix::process::{Pid, test_kill_process};
    use std::sync::Arc;
    use std::time::Duration;

    fn runs(id: u32) -> bool {
        test_kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap()).is_ok()
    }

    #[test]
    fn the_directory_ends_with_the_scope() {
        let scope = Scope::new().unwrap();
        let directory = scope.directory().to_owned();
        fs::write(directory.join("file"), "").unwrap();
        drop(scope);
        assert!(!directory.exists());
    }

    #[test]
    fn a_process_ends_with_its_handle_and_a_stubborn_one_too() {
        let scope = Arc::new(Scope::new().unwrap());
        for script in ["exec sleep 60", "trap '' TERM; while :; do sleep 1; done"] {
            let process = Program::new("script", "/bin/sh").args(["-c", script]).start(&scope).unwrap();
            let id = process.id();
            assert!(runs(id), "{script}");
            drop(process);
            assert!(!runs(id), "{script}");
        }
    }

    /// What a killed owner leaves behind is an unread pipe; a leaked handle leaves the same.
    #[test]
    fn the_reaper_ends_what_its_owner_could_not() {
        let scope = Arc::new(Scope::new().unwrap());
        let directory = scope.directory().to_owned();
        let gone = Program::new("gone", "/bin/sh").args(["-c", "true"]).start(&scope).unwrap();
        drop(gone);
        let mut left = Command::new("sleep").arg("60").spawn().unwrap();
        scope.report(&format!("process {} TERM", left.id())).unwrap();
        drop(scope);
        assert!(!directory.exists());
        let mut ended = None;
        for _ in 0..100 {
            ended = left.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(ended.is_some_and(|status| !status.success()));
    }

    #[test]
    fn a_process_that_has_ended_is_no_longer_the_reapers() {
        let scope = Scope::new().unwrap();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        scope.report(&format!("process {} TERM", other.id())).unwrap();
        scope.report(&format!("gone {}", other.id())).unwrap();
        drop(scope);
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
