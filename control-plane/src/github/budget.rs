//! What a credential may still ask of GitHub: the hour's calls, as the newest answers tell them, and pauses that GitHub
//! asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{GithubError, Kind};

/// One part in so many of each hour's calls is left to requests: below it, nothing is done in the background.
const RESERVE: u64 = 10;
/// GitHub counts by the hour. A reset or a pause further away than that is a mistake, and must not stop the service.
pub(super) const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// How long GitHub wants to be left alone if it does not say.
const UNTOLD_PAUSE: Duration = Duration::from_mins(1);

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody who asked this service for something.
    Request,
    /// Nobody: a job, or what a webhook made look. Does without, when little is left.
    Background,
}

/// What one credential may still ask, for metrics and health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetState {
    /// The account whose installation it is; `enterprise` for the enterprise token.
    pub account: String,
    /// The calls of this hour, if GitHub has told them yet.
    pub hour: Option<Hour>,
    /// Until when GitHub asked not to be called at all.
    pub paused_until: Option<DateTime<Utc>>,
}

impl BudgetState {
    /// The calls of the hour that is now: what was left of one that is over says nothing.
    pub fn hour_at(&self, now: DateTime<Utc>) -> Option<Hour> {
        self.hour.filter(|hour| now < hour.resets_at)
    }

    /// Until when GitHub asks now not to be called at all.
    pub fn pause_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.paused_until.filter(|until| now < *until)
    }
}

/// The calls of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Hour {
    /// So many there are.
    pub limit: u64,
    /// So many are left.
    pub remaining: u64,
    /// When they are all there again.
    pub resets_at: DateTime<Utc>,
}

#[derive(Default)]
pub(super) struct Budget(Mutex<Known>);

#[derive(Clone, Copy, Default)]
struct Known {
    hour: Option<Hour>,
    paused_until: Option<DateTime<Utc>>,
}

impl Budget {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an answer. One without these headers (a proxy's, or of an Enterprise Server without limits) and one
    /// of a budget beside the main one tell nothing.
    pub(super) fn note(&self, headers: &HeaderMap, now: DateTime<Utc>) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        let told = (|| {
            let reset = DateTime::from_timestamp(i64::try_from(number("x-ratelimit-reset")?).ok()?, 0)?;
            let resets_at = reset.min(later(now, LONGEST_PAUSE));
            Some(Hour { limit: number("x-ratelimit-limit")?, remaining: number("x-ratelimit-remaining")?, resets_at })
        })();
        if let Some(hour) = told
            && text("x-ratelimit-resource").is_none_or(|resource| resource == "core")
        {
            self.known().hour = Some(hour);
        }
    }

    /// GitHub said that it was too much, and when to come back, or not.
    pub(super) fn pause(&self, wait: Option<Duration>, now: DateTime<Utc>) {
        let wait = TimeDelta::from_std(wait.unwrap_or(UNTOLD_PAUSE)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        self.known().paused_until = Some(later(now, wait));
    }

    /// Whether a call may be made. Whoever calls on while GitHub asks for a pause may be shut out for good.
    pub(super) fn allow(&self, priority: Priority, now: DateTime<Utc>) -> Result<(), GithubError> {
        let Known { hour, paused_until } = *self.known();
        let reserve = |hour: &Hour| match priority {
            Priority::Request => 0,
            Priority::Background => hour.limit.checked_div(RESERVE).unwrap_or_default(),
        };
        let spent = hour.filter(|hour| hour.remaining <= reserve(hour)).map(|hour| hour.resets_at);
        match paused_until.max(spent) {
            Some(until) if now < until => {
                let wait = until.signed_duration_since(now).to_std().ok();
                Err(GithubError { kind: Kind::RateLimited(wait), before_call: true })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn state(&self, account: &str) -> BudgetState {
        let Known { hour, paused_until } = *self.known();
        BudgetState { account: account.to_owned(), hour, paused_until }
    }
}

fn later(time: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn answer(remaining: &str, reset: &str, resource: &str) -> HeaderMap {
        let headers = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", reset),
            ("x-ratelimit-resource", resource),
        ];
        headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn wait(budget: &Budget, priority: Priority, now: i64) -> Option<u64> {
        match budget.allow(priority, at(now)).err()?.kind {
            Kind::RateLimited(wait) => wait.map(|wait| wait.as_secs()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_reserve_is_left_to_requests_until_the_reset() {
        let budget = Budget::default();
        assert_eq!(wait(&budget, Priority::Background, 0), None, "nothing is known yet");
        budget.note(&answer("501", "100", "core"), at(0));
        assert_eq!(wait(&budget, Priority::Background, 40), None);
        budget.note(&answer("500", "100", "core"), at(0));
        assert_eq!(wait(&budget, Priority::Background, 40), Some(60));
        assert_eq!(wait(&budget, Priority::Request, 40), None);
        budget.note(&answer("0", "100", "core"), at(0));
        assert_eq!(wait(&budget, Priority::Request, 40), Some(60));
        assert_eq!(wait(&budget, Priority::Background, 100), None);
    }

    #[test]
    fn answers_that_tell_nothing_change_nothing() {
        let budget = Budget::default();
        budget.note(&answer("0", "100", "core"), at(0));
        budget.note(&answer("9999", "100", "actions_runner_registration"), at(0));
        budget.note(&HeaderMap::new(), at(0));
        budget.note(&answer("-1", "soon", "core"), at(0));
        assert_eq!(budget.state("acme").hour.map(|hour| hour.remaining), Some(0));
    }

    #[test]
    fn no_pause_is_longer_than_an_hour() {
        let budget = Budget::default();
        budget.note(&answer("0", "99999999999", "core"), at(0));
        assert_eq!(wait(&budget, Priority::Request, 0), Some(3600));
        let budget = Budget::default();
        budget.pause(None, at(0));
        assert_eq!(wait(&budget, Priority::Request, 0), Some(60));
        budget.pause(Some(Duration::from_secs(u64::MAX)), at(0));
        assert_eq!(wait(&budget, Priority::Request, 0), Some(3600));
        assert_eq!(wait(&budget, Priority::Request, 3600), None);
    }
}
