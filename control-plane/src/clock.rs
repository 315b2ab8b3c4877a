//! The one place that reads time and draws ids. Everything else is given a [`Clock`].

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use uuid::{NoContext, Timestamp, Uuid};

/// Tells the time: the system's, or one that tests move by hand.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The system's time.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// Now, to the microsecond, which is what PostgreSQL keeps.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0 {
            Source::System => system_time(),
            Source::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    /// Now in whole seconds since 1970; 0 for times before.
    pub fn unix_seconds(&self) -> u64 {
        u64::try_from(self.now().timestamp()).unwrap_or_default()
    }

    /// Moves a manual clock on; the system's can't be moved, so this does nothing to it.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual(time) = &self.0 {
            let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
            *time = time.checked_add_signed(by).unwrap_or(*time);
        }
    }

    /// A new id (UUID version 7): ids of later times sort after those of earlier ones.
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        Uuid::new_v7(Timestamp::from_unix(NoContext, self.unix_seconds(), now.timestamp_subsec_nanos()))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that the ban leads to")]
fn system_time() -> DateTime<Utc> {
    Utc::now()
}

/// No id of this time or later sorts before this one, and none of an earlier millisecond after it.
pub fn first_id(time: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}

/// Eight characters that nobody can foresee, for the end of a name: the random tail of a new id.
pub fn random_suffix(id: Uuid) -> String {
    let (_, _, _, tail) = id.as_fields();
    hex::encode(tail.iter().skip(4).copied().collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_suffixes_differ() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let first = clock.new_id();
        clock.advance(TimeDelta::milliseconds(2));
        let second = clock.new_id();
        assert!(first < second);
        assert!(
            first_id(DateTime::UNIX_EPOCH) < first && first < first_id(clock.now()) && first_id(clock.now()) < second
        );
        assert_ne!(random_suffix(first), random_suffix(second));
        assert_eq!(random_suffix(first).len(), 8);
    }
}
