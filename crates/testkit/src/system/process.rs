//! One child process.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::scope::Scope;

/// How long a process has to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often something that takes a while is looked at.
pub(super) const MOMENT: Duration = Duration::from_millis(10);
/// Waits until the reaper knows of the process; if this one is killed before, the pipe closes and nothing is started.
const GATE: &str = r#"read -r _ && exec "$@" </dev/null"#;

/// A program to start, with an empty environment but for `PATH`, so that nothing of the machine decides a test.
pub(super) struct Program {
    name: String,
    command: Command,
    signal: Signal,
}

impl Program {
    /// `name` is that of its log file.
    pub(super) fn new(name: &str, path: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GATE, "gate"]).arg(path).env_clear().current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        Self { name: name.to_owned(), command, signal: Signal::TERM }
    }

    /// That of its log file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(super) fn arg_path(mut self, option: &str, path: &Path) -> Self {
        self.command.arg(option).arg(path);
        self
    }

    pub(super) fn envs<Value: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, Value)>,
    ) -> Self {
        self.command.envs(variables.into_iter().map(|(name, value)| (name, value.into())));
        self
    }

    /// Runs as another user, which only root can ask for.
    pub(super) fn user(mut self, user: Option<(u32, u32)>) -> Self {
        if let Some((user, group)) = user {
            self.command.uid(user).gid(group);
        }
        self
    }

    /// The signal on which it ends tidily, if not SIGTERM.
    pub(super) fn ends_on(mut self, signal: Signal) -> Self {
        self.signal = signal;
        self
    }

    /// Starts it in a scope; it ends with the returned handle.
    pub(super) fn start(mut self, scope: &Arc<Scope>) -> anyhow::Result<Process> {
        let log = scope.directory().join(format!("{}.log", self.name));
        let file = File::options().create(true).append(true).open(&log)?;
        // One of the same name may have written to it before.
        let log_start = file.metadata()?.len();
        self.command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = self.command.spawn().with_context(|| format!("could not start {}", self.name))?;
        let mut process = Process {
            name: self.name,
            log,
            log_start,
            child,
            signal: self.signal,
            ended: None,
            scope: Arc::clone(scope),
        };
        let signal = if self.signal == Signal::INT { "INT" } else { "TERM" };
        scope.report(&format!("process {} {signal}", process.child.id()))?;
        let mut gate = process.child.stdin.take().context("the child has no standard input")?;
        writeln!(gate, "go").with_context(|| format!("{} ended at once", process.name))?;
        Ok(process)
    }
}

/// A running child process; dropping it ends it.
pub struct Process {
    name: String,
    log: PathBuf,
    log_start: u64,
    child: Child,
    signal: Signal,
    ended: Option<ExitStatus>,
    scope: Arc<Scope>,
}

impl Process {
    /// The file with everything that it wrote.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start).unwrap_or(usize::MAX);
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            // Not known to be gone counts as running: `stop` will kill it.
            self.ended = self.child.try_wait().ok().flatten();
            if self.ended.is_some() {
                // A reaper that has ended has nothing to be told.
                let _ = self.scope.report(&format!("gone {}", self.child.id()));
            }
        }
        self.ended
    }

    /// Asks it to end, without waiting.
    pub fn ask_to_stop(&mut self) {
        self.signal(self.signal);
    }

    /// Ends it: asks, waits for a few seconds, kills.
    pub fn stop(&mut self) {
        self.ask_to_stop();
        // A frozen one would not hear of it.
        self.thaw();
        let asked = Instant::now();
        while self.ended().is_none() && asked.elapsed() < PATIENCE {
            thread::sleep(MOMENT);
        }
        self.kill();
    }

    /// Stops it where it stands (`SIGSTOP`), until [`thaw`](Self::thaw).
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            // The child has not been waited for, so its id is still its own.
            let _ = pid.map(|pid| kill_process(pid, signal));
        }
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = self.ended();
        }
    }

    /// Looks again and again until there is something; an error with the end of its log if it ends or takes too long.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        at_most: Duration,
        mut look: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return Ok(found);
            }
            if let Some(status) = self.ended() {
                bail!("{} ended ({status}) before {what}; its log ends with:\n{}", self.name, self.log_end());
            }
            if started.elapsed() > at_most {
                let (name, seconds) = (&self.name, at_most.as_secs());
                bail!("{name}: no {what} within {seconds} s; its log ends with:\n{}", self.log_end());
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    /// Waits until it ends by itself, at most so long; how it ended, if it did.
    pub async fn until_ended(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while self.ended().is_none() && started.elapsed() < at_most {
            tokio::time::sleep(MOMENT).await;
        }
        self.ended()
    }

    /// Waits until it ends by itself, successfully.
    pub(super) async fn finish(mut self, at_most: Duration) -> anyhow::Result<()> {
        match self.until_ended(at_most).await {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{} failed ({status}):\n{}", self.name, self.log_end()),
            None => bail!("{} did not end within {} s:\n{}", self.name, at_most.as_secs(), self.log_end()),
        }
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines.into_iter().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
