//! Rate limits: points an hour and a minute for each caller, and the headers that tell of them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderName, Method};
use serde_json::json;

use super::auth::credential;
use super::{Request, World};
use crate::github::config::Limits;
use crate::github::faults::Endpoint;
use crate::github::reply::{Refusal, Reply};

/// Callers without credentials have this many requests an hour; it is shown, not enforced.
const ANONYMOUS_PER_HOUR: u64 = 60;
/// A write counts this many points against the secondary limit, a read one.
const WRITE_POINTS: u64 = 5;
const SECONDARY_DOCUMENTATION: &str =
    "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits";
const PRIMARY_DOCUMENTATION: &str = "https://docs.github.com/rest/overview/resources-in-the-rest-api#rate-limiting";

/// With whose credential a call comes, and so whose budget it is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consumer {
    /// The App itself, with its JWT.
    App,
    /// An installation, with its token.
    Installation(u64),
    /// The owner of an enterprise (its id), with a personal access token.
    Owner(u64),
    /// Nobody, or a credential that does not hold.
    Nobody,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    until: DateTime<Utc>,
    used: u64,
}

impl Window {
    /// This window, or the next one if it is over.
    fn at(self, now: DateTime<Utc>, length: TimeDelta) -> Self {
        if now < self.until { self } else { Self { until: now.checked_add_signed(length).unwrap_or(now), used: 0 } }
    }
}

#[derive(Debug)]
struct Budget {
    hour: Window,
    minute: Window,
}

#[derive(Debug)]
pub(super) struct Budgets {
    limits: Limits,
    by_consumer: BTreeMap<Consumer, Budget>,
}

impl Budgets {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, by_consumer: BTreeMap::new() }
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn budget(&mut self, consumer: Consumer, now: DateTime<Utc>) -> &mut Budget {
        let over = Window { until: now, used: 0 };
        let budget = self.by_consumer.entry(consumer).or_insert(Budget { hour: over, minute: over });
        budget.hour = budget.hour.at(now, TimeDelta::hours(1));
        budget.minute = budget.minute.at(now, TimeDelta::minutes(1));
        budget
    }

    fn per_hour(&self, consumer: Consumer) -> u64 {
        if consumer == Consumer::Nobody { ANONYMOUS_PER_HOUR } else { self.limits.per_hour }
    }

    fn charge(&mut self, consumer: Consumer, points: u64, now: DateTime<Utc>) -> Result<(), Refusal> {
        let (per_hour, per_minute) = (self.per_hour(consumer), self.limits.points_per_minute);
        let budget = self.budget(consumer, now);
        if consumer != Consumer::Nobody && budget.hour.used >= per_hour {
            return Err(primary(403, consumer));
        }
        budget.hour.used = budget.hour.used.saturating_add(1);
        if budget.minute.used.saturating_add(points) > per_minute {
            let wait = budget.minute.until.signed_duration_since(now).num_seconds().max(1);
            return Err(secondary(403).with_header("retry-after", &wait));
        }
        budget.minute.used = budget.minute.used.saturating_add(points);
        Ok(())
    }

    /// Limit, remaining, used and the Unix time of the next window.
    fn state(&mut self, consumer: Consumer, now: DateTime<Utc>) -> [u64; 4] {
        let limit = self.per_hour(consumer);
        let hour = self.budget(consumer, now).hour;
        let reset = u64::try_from(hour.until.timestamp()).unwrap_or_default();
        [limit, limit.saturating_sub(hour.used), hour.used, reset]
    }

    /// Puts the rate-limit headers on an answer that does not carry its own.
    pub(super) fn stamp(&mut self, reply: Reply, consumer: Consumer, now: DateTime<Utc>) -> Reply {
        if reply.headers.iter().any(|(name, _)| name == "x-ratelimit-limit") {
            return reply;
        }
        let [limit, remaining, used, reset] = self.state(consumer, now);
        let headers = [
            ("x-ratelimit-limit", limit),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-used", used),
            ("x-ratelimit-reset", reset),
        ];
        let reply = headers
            .into_iter()
            .fold(reply, |reply, (name, value)| reply.with_header(HeaderName::from_static(name), value.to_string()));
        reply.with_header(HeaderName::from_static("x-ratelimit-resource"), "core".to_owned())
    }
}

impl World {
    pub(crate) fn consumer(&self, request: &Request, now: DateTime<Utc>) -> Consumer {
        if let Some(enterprise) = self.enterprise_of_token(request).and_then(|key| self.targets.get(key)) {
            return Consumer::Owner(enterprise.id);
        }
        match self.installation_of_token(request, now) {
            Ok((installation, _)) => Consumer::Installation(installation.id),
            Err(_) if credential(request).is_some_and(|text| text.split('.').count() == 3) => Consumer::App,
            Err(_) => Consumer::Nobody,
        }
    }

    pub(super) fn charge(&mut self, consumer: Consumer, request: &Request, now: DateTime<Utc>) -> Result<(), Refusal> {
        if request.route.endpoint == Endpoint::RateLimit {
            return Ok(());
        }
        let points = if request.method == Method::GET { 1 } else { WRITE_POINTS };
        self.budgets.charge(consumer, points, now)
    }

    /// Gives back what a conditional request cost that found nothing new.
    pub(crate) fn refund(&mut self, request: &Request, now: DateTime<Utc>) {
        let consumer = self.consumer(request, now);
        let budget = self.budgets.budget(consumer, now);
        budget.hour.used = budget.hour.used.saturating_sub(1);
    }

    pub(super) fn show_rate_limit(&mut self, request: &Request, now: DateTime<Utc>) -> Reply {
        let consumer = self.consumer(request, now);
        let [limit, remaining, used, reset] = self.budgets.state(consumer, now);
        let core = json!({"limit": limit, "remaining": remaining, "used": used, "reset": reset});
        let registration = json!({"limit": 10_000, "remaining": 10_000, "used": 0, "reset": reset});
        let search = json!({"limit": 30, "remaining": 30, "used": 0, "reset": reset});
        let resources = json!({"core": core, "search": search, "actions_runner_registration": registration});
        Reply::new(200, json!({"resources": resources, "rate": core}))
    }
}

/// The hourly limit is used up.
fn primary(status: u16, consumer: Consumer) -> Refusal {
    let whose = match consumer {
        Consumer::Installation(id) => format!("installation ID {id}"),
        Consumer::App => "the App".to_owned(),
        Consumer::Owner(id) => format!("user ID {id}"),
        Consumer::Nobody => "this address".to_owned(),
    };
    Refusal::new(status, format!("API rate limit exceeded for {whose}.")).documented_at(PRIMARY_DOCUMENTATION)
}

/// The hourly limit is used up, although it is not: for faults.
pub(crate) fn injected_primary(status: u16, reset: DateTime<Utc>) -> Refusal {
    Refusal::new(status, "API rate limit exceeded for installation.")
        .documented_at(PRIMARY_DOCUMENTATION)
        .with_header("x-ratelimit-limit", &5000)
        .with_header("x-ratelimit-remaining", &0)
        .with_header("x-ratelimit-used", &5000)
        .with_header("x-ratelimit-reset", &reset.timestamp())
        .with_header("x-ratelimit-resource", &"core")
}

/// Too much in a short time.
pub(crate) fn secondary(status: u16) -> Refusal {
    Refusal::new(
        status,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If you reach out \
         to GitHub Support for help, please include the request ID.",
    )
    .documented_at(SECONDARY_DOCUMENTATION)
}
