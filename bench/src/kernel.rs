//! What the kernel knows of a process: the time that it spent on a processor, and its memory.

use std::fs;

use anyhow::Context as _;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processor of what is measured, and that of the load.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    /// Of what is measured.
    pub measured: usize,
    /// Of the load.
    pub load: usize,
}

impl Processors {
    /// The first two that this process may use.
    pub fn choose() -> anyhow::Result<Self> {
        let mine = sched_getaffinity(None)?;
        let mut free = (0..CpuSet::MAX_CPU).filter(|cpu| mine.is_set(*cpu));
        let (measured, load) = (free.next(), free.next());
        Ok(Self {
            measured: measured.context("no processor")?,
            load: load.context("two processors are needed: one for Envoy, one for the load")?,
        })
    }

    /// Keeps every thread of a process on the measured processor; threads that they start stay there too.
    pub fn pin(self, process: u32) -> anyhow::Result<()> {
        for task in tasks(process)? {
            let id = Pid::from_raw(i32::try_from(task)?).context("a thread without a number")?;
            sched_setaffinity(Some(id), &only(self.measured))?;
        }
        Ok(())
    }

    /// Keeps this thread, and those that it starts, on the load's processor.
    pub fn pin_load(self) -> anyhow::Result<()> {
        Ok(sched_setaffinity(None, &only(self.load))?)
    }
}

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}

fn tasks(process: u32) -> anyhow::Result<Vec<u32>> {
    let entries = fs::read_dir(format!("/proc/{process}/task")).context("the process has ended")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Nanoseconds that the threads of a process have run so far (proc(5), `schedstat`).
pub fn processor_time(process: u32) -> anyhow::Result<u64> {
    let mut total: u64 = 0;
    for task in tasks(process)? {
        let text = fs::read_to_string(format!("/proc/{process}/task/{task}/schedstat")).context("no schedstat")?;
        let run = text.split_ascii_whitespace().next().and_then(|first| first.parse::<u64>().ok());
        total = total.saturating_add(run.context("schedstat starts with a number")?);
    }
    Ok(total)
}

/// Bytes of memory that a process has for itself alone (proc(5), `smaps_rollup`).
pub fn private_memory(process: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let private = kilobytes("Private_Clean:").zip(kilobytes("Private_Dirty:"));
    let (clean, dirty) = private.context("smaps_rollup without its lines")?;
    Ok(clean.saturating_add(dirty).saturating_mul(1024))
}

/// Nanoseconds that a process and all below it have run so far, those that ended included (proc(5), `stat`); exact to 10
/// milliseconds.
pub fn processor_time_of_family(first: u32) -> anyhow::Result<u64> {
    let mut total = processor_time_with_ended(first)?;
    for task in tasks(first)? {
        let text = fs::read_to_string(format!("/proc/{first}/task/{task}/children")).unwrap_or_default();
        for child in text.split_ascii_whitespace().filter_map(|child| child.parse().ok()) {
            // One that has just ended counts where it was waited for.
            total = total.saturating_add(processor_time_of_family(child).unwrap_or_default());
        }
    }
    Ok(total)
}

/// Of the process, its threads that have ended, and its children that it has waited for.
fn processor_time_with_ended(process: u32) -> anyhow::Result<u64> {
    /// The kernel tells hundredths of a second on every machine that Rust's standard library knows.
    const NANOSECONDS: u64 = 10_000_000;
    /// `utime`, `stime`, `cutime` and `cstime`, counted from the state, which follows the name in parentheses.
    const FIELDS: std::ops::Range<usize> = 11..15;
    let text = fs::read_to_string(format!("/proc/{process}/stat")).context("the process has ended")?;
    let (_, fields) = text.rsplit_once(')').context("stat without a name")?;
    let times = fields.split_ascii_whitespace().skip(FIELDS.start).take(FIELDS.len()).map(str::parse::<u64>);
    let ticks = times.sum::<Result<u64, _>>().context("stat has numbers")?;
    Ok(ticks.saturating_mul(NANOSECONDS))
}

/// The most bytes that a process had resident so far (proc(5), `VmHWM`); none once it has ended.
pub fn peak_memory(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
