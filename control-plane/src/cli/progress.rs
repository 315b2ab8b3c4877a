//! What a command is at, for whoever waits for it: once that takes longer than a moment, a line that moves on a
//! terminal, and now and then a line of its own elsewhere. All of it on standard error.

use std::future::Future;
use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen;

/// What is over sooner is not worth a word.
const MOMENT: Duration = Duration::from_millis(500);
/// Between two lines where nothing can move.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// The line moves so often.
const TICK: Duration = Duration::from_millis(100);

/// Shown from its first moment on until it is dropped.
pub(super) struct Progress {
    what: &'static str,
    total: Option<u64>,
    count: u64,
    started: Instant,
    /// Asked once: a look comes with every record of an export.
    terminal: bool,
    told: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of something whose parts are counted; `total` is how many there will be, if that is known.
    pub(super) fn new(what: &'static str, total: Option<u64>) -> Self {
        let terminal = stderr().is_terminal();
        Self { what, total, count: 0, started: Instant::now(), terminal, told: None, bar: None }
    }

    /// So many more parts are done.
    pub(super) fn add(&mut self, parts: u64) {
        self.count = self.count.saturating_add(parts);
        self.look();
    }

    fn look(&mut self) {
        if self.started.elapsed() < MOMENT {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.count);
        } else if self.terminal {
            self.bar = Some(self.draw());
        } else if self.told.is_none_or(|told| told.elapsed() >= BETWEEN_LINES) {
            self.told = Some(Instant::now());
            screen::note(&self.line());
        }
    }

    fn line(&self) -> String {
        match (self.total, self.count) {
            (Some(total), count) => format!("{}: {count} of {total} …", self.what),
            (None, 0) => format!("{} …", self.what),
            (None, count) => format!("{}: {count} …", self.what),
        }
    }

    fn draw(&self) -> ProgressBar {
        let template = match (self.total, self.count) {
            (Some(_), _) => "{spinner} {msg} [{bar:20}] {pos} of {len}, {eta} left",
            (None, 0) => "{spinner} {msg}, {elapsed}",
            (None, _) => "{spinner} {msg}: {pos}, {elapsed}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(self.total, ProgressDrawTarget::stderr());
        let bar = bar.with_style(style).with_message(self.what).with_elapsed(self.started.elapsed());
        bar.set_position(self.count);
        bar.enable_steady_tick(TICK);
        bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Waits for something that can't be counted.
pub(super) fn during<T>(what: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    // On the heap: whoever waits would be as large as all that it waits for.
    let mut work = Box::pin(work);
    async move {
        let mut progress = Progress::new(what, None);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(MOMENT) => progress.look(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let line = |total, count| {
            let mut progress = Progress::new("exporting", total);
            progress.add(count);
            progress.line()
        };
        assert_eq!(line(None, 0), "exporting …");
        assert_eq!(line(None, 7), "exporting: 7 …");
        assert_eq!(line(Some(9), 7), "exporting: 7 of 9 …");
    }
}
