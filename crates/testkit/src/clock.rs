//! The one place where this crate reads the system's clock. A world's own time can be moved forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The system's time.
#[expect(
    clippy::disallowed_methods,
    reason = "the worlds' only source of real time; everything else takes it as an argument"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Real time plus an offset. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_milliseconds: Arc<AtomicI64>,
}

impl Clock {
    /// The time in the world that this clock belongs to.
    pub fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::milliseconds(self.offset_milliseconds.load(Ordering::SeqCst));
        now().checked_add_signed(offset).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Goes wrong by this much from now on, instead of what it was before.
    pub fn set_offset(&self, offset: TimeDelta) {
        self.offset_milliseconds.store(offset.num_milliseconds(), Ordering::SeqCst);
    }

    /// Lets this much time pass at once.
    pub fn advance(&self, by: Duration) {
        let milliseconds = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_milliseconds.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_time_that_passed() {
        let clock = Clock::default();
        let other = clock.clone();
        clock.advance(Duration::from_hours(1));
        assert!(other.now() - now() > TimeDelta::minutes(59));
    }
}
