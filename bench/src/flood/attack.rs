//! One client that sends bad tokens as fast as it was told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bench::load::{CONNECTIONS, Load, Request};
use bench::rounds::number;

use crate::kinds::{Bad, Kind};

/// A flood; it ends when it is told to or dropped.
pub(crate) struct Attack {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<f64>>>,
}

impl Attack {
    /// Begins with the token of this number.
    pub(crate) fn start(to: SocketAddr, bad: Bad, kind: Kind, first: u64, rate: u32) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, mut load) = (Arc::clone(&stop), Load::connect(to)?);
        let thread = thread::spawn(move || {
            let (mut next, started) = (first, Instant::now());
            while !told.load(Ordering::Relaxed) {
                let batch: Vec<Request> =
                    (next..).take(CONNECTIONS).map(|number| Request::new(&bad.token(kind, number), None)).collect();
                load.send(&batch)?;
                next = next.saturating_add(u64::try_from(batch.len())?);
                let due = Duration::from_secs_f64(number(next.saturating_sub(first)) / f64::from(rate));
                thread::sleep(due.saturating_sub(started.elapsed()));
            }
            Ok(number(next.saturating_sub(first)) / started.elapsed().as_secs_f64())
        });
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it; gives the refused tokens a second. An error if one of them was not refused as it must be.
    pub(crate) fn end(mut self) -> anyhow::Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or_else(|| anyhow!("it has ended"))?;
        thread.join().map_err(|_| anyhow!("the attacker crashed"))?
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
