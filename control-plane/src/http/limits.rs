//! Limits on how much is asked: at a time by everybody, and in a minute by each principal.
//!
//! Both count in this process alone: with three replicas behind one edge, a principal may ask three times as much. They
//! keep one caller from starving the others; what a caller may own is decided by policy.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};
use identity::Principal;
use lru::LruCache;
use tokio::sync::Semaphore;

use super::{ApiError, Web};

/// Each request waits for the database or GitHub most of its life, so this is far more than can work.
const MAX_AT_A_TIME: usize = 512;
/// Below the 60 s of the edge, so that the answer is a problem of ours and not a cut connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(50);
/// So many principals are remembered; the one that was quiet longest is forgotten first, and starts afresh.
const MAX_PRINCIPALS: usize = 10_000;
/// A minute in microseconds.
const MINUTE: i64 = 60_000_000;

/// How much may be asked of a process.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests of one principal in a minute; none: no limit.
    pub per_minute: Option<NonZeroU32>,
    /// Requests at a time, of everybody together.
    pub at_a_time: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

impl Bounds {
    /// What a service has, but for this.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self { per_minute, at_a_time: MAX_AT_A_TIME, timeout: REQUEST_TIMEOUT }
    }
}

/// What has been asked lately.
pub(super) struct Limits {
    pub(super) at_a_time: Semaphore,
    pub(super) timeout: Duration,
    /// Microseconds that one request takes up; none: no limit.
    cost: Option<i64>,
    /// For each principal, until when what it asked takes up its minute.
    taken_until: Mutex<LruCache<Principal, i64>>,
}

impl Limits {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            at_a_time: Semaphore::new(bounds.at_a_time),
            timeout: bounds.timeout,
            cost: bounds.per_minute.and_then(|per_minute| MINUTE.checked_div(per_minute.get().into())),
            taken_until: Mutex::new(LruCache::new(NonZeroUsize::new(MAX_PRINCIPALS).unwrap_or(NonZeroUsize::MIN))),
        }
    }

    /// Counts a request (a leaky bucket that holds a minute's worth); if it is too many, how long to wait.
    pub(super) fn count(&self, principal: &Principal, now: DateTime<Utc>) -> Result<(), Duration> {
        let Some(cost) = self.cost else { return Ok(()) };
        let now = now.timestamp_micros();
        let mut buckets = self.taken_until.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.get(principal).copied().unwrap_or(now).max(now).saturating_add(cost);
        let excess = taken.saturating_sub(now).saturating_sub(MINUTE);
        if excess > 0 {
            return Err(Duration::from_micros(excess.unsigned_abs()));
        }
        buckets.put(principal.clone(), taken);
        Ok(())
    }
}

/// Answers 503 at once when too much is under way, rather than to let everybody wait.
pub(super) async fn at_a_time(State(web): State<Arc<Web>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let _permit = web.limits.at_a_time.try_acquire().map_err(|_| ApiError::Overloaded)?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn each_principal_has_a_minutes_worth_that_comes_back_evenly() {
        let limits = Limits::new(Bounds::new(NonZeroU32::new(3)));
        let [alice, bob] =
            ["alice", "bob"].map(|subject| Principal { issuer: "i".to_owned(), subject: subject.to_owned() });
        let start = DateTime::UNIX_EPOCH;
        assert!((0..3).all(|_| limits.count(&alice, start).is_ok()));
        assert_eq!(limits.count(&alice, start), Err(Duration::from_secs(20)));
        assert!(limits.count(&bob, start).is_ok());
        let later = start + TimeDelta::seconds(20);
        assert!(limits.count(&alice, later).is_ok());
        assert_eq!(limits.count(&alice, later), Err(Duration::from_secs(20)));
        assert!((0..3).all(|_| limits.count(&alice, start + TimeDelta::hours(1)).is_ok()));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let limits = Limits::new(Bounds::new(None));
        let principal = Principal { issuer: String::new(), subject: String::new() };
        assert!((0..10_000).all(|_| limits.count(&principal, DateTime::UNIX_EPOCH).is_ok()));
    }
}
