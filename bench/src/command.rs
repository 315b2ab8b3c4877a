//! The time that a command takes, and the most memory that it has at once.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::kernel::peak_memory;

/// Between two looks at a process; short beside anything that is measured.
const LOOK: Duration = Duration::from_millis(2);

/// What a command took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// From its start to its end.
    pub seconds: f64,
    /// Resident, in bytes.
    pub peak_memory: u64,
}

/// Runs a command, which must succeed.
pub fn run(command: &mut Command) -> anyhow::Result<Taken> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut peak = None;
    let status = loop {
        // A process that has ended has no memory any more.
        peak = peak_memory(child.id()).or(peak);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(LOOK);
    };
    let seconds = started.elapsed().as_secs_f64();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(Taken { seconds, peak_memory: peak.context("it ended before it was looked at")? })
}
