//! What can be done to runners, by whoever may: the API, the jobs and the command line all come through here.

mod attempt;
mod command;
mod deprovision;
mod drain;
mod error;
mod hasten;
mod lifecycle;
mod outcome;
mod provision;
mod quota;
mod read;
mod refresh;
mod revoke;

pub use attempt::{Secret, find_on_github};
pub use deprovision::{deprovision, remove_from_github};
pub use drain::{drain, try_drain};
pub use error::OperationError;
pub use hasten::{JobNews, hasten};
pub use lifecycle::{Observation, delete, is_news, observe, ours};
pub use provision::{ProvisionCall, Provisioned, deny_provision, provision};
pub use read::{ListCall, Listing, list, read};
pub use refresh::refresh;
pub use revoke::{Departure, Prospect, depart, prospect, restore, revocation_of, revoke};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use identity::{Identity, Principal};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Transaction};
use tokio_util::task::TaskTracker;

use crate::audit::{Actor, Origin};
use crate::clock::Clock;
use crate::config::GithubConfig;
use crate::github::{Github, StartError};
use crate::metrics::Metrics;
use crate::policy::{Defaults, Policy, PolicyFile};
use crate::store;
use crate::store::runners::Runner;
use crate::trace::carried;

/// A caller whom the edge verified, and how the request came in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub identity: Identity,
    /// The same for the audit log.
    pub origin: Origin,
    /// The policy that was in force when the request came; all of it is decided by this one.
    pub policy: Arc<Policy>,
}

impl Caller {
    /// Whose runners the caller sees and manages.
    pub fn owners(&self) -> BTreeSet<Principal> {
        self.policy.owners(&self.identity)
    }
}

/// What operations work with.
pub struct App {
    /// The database.
    pub pool: PgPool,
    /// GitHub.
    pub github: Github,
    /// What this process counts.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Where runners go unless a request says otherwise.
    pub defaults: Defaults,
    /// Who may register what.
    pub policy: Arc<PolicyFile>,
    /// GitHub's web address.
    pub web_url: String,
    /// The longest that an attempt to have a secret issued can be under way; what is older was interrupted.
    pub attempt_limit: TimeDelta,
    /// This process among all that share the records: the name of its machine, and its id there.
    pub replica: String,
    /// Operations that finish although the client has gone; a shutdown waits for them.
    pub tasks: TaskTracker,
}

impl App {
    /// Puts the parts together. Needs a Tokio runtime.
    pub fn new(
        pool: PgPool,
        config: GithubConfig,
        policy: Arc<PolicyFile>,
        clock: Clock,
    ) -> Result<Arc<Self>, StartError> {
        let github = Github::new(&config, &clock)?;
        Ok(Arc::new(Self {
            pool,
            metrics: Metrics::new(github.calls())?,
            github,
            clock,
            defaults: Defaults { target: config.default_target, runner_group_id: config.default_group_id },
            policy,
            web_url: config.web_url,
            attempt_limit: attempt_limit(config.timeout),
            replica: replica(),
            tasks: TaskTracker::new(),
        }))
    }

    /// A job of this service as the audit log has it.
    pub fn system(&self, job: &'static str) -> Origin {
        let policy_sha256 = self.policy.current().sha256().map(str::to_owned);
        Origin { policy_sha256, ..Origin::local(Actor::System(job)) }
    }

    /// A connection, for one statement or two.
    pub async fn connection(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.pool.acquire().await
    }

    /// A transaction.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        store::begin(&self.pool).await
    }

    /// Does some work to its end although whoever asked for it goes away: what it began is recorded.
    pub async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, OperationError>> + Send + 'static,
    ) -> Result<T, OperationError> {
        let task = self.tasks.spawn(carried(work)).await;
        task.unwrap_or_else(|error| Err(OperationError::Internal(error.to_string())))
    }

    /// Whether somebody is asking GitHub for this runner's secret right now.
    pub fn is_under_way(&self, runner: &Runner, now: DateTime<Utc>) -> bool {
        runner.issuance == crate::runner::Issuance::Requested && !self.is_overdue(runner, now)
    }

    /// Whether the newest attempt for this runner began so long ago that it has ended, one way or another.
    pub fn is_overdue(&self, runner: &Runner, now: DateTime<Utc>) -> bool {
        now.signed_duration_since(runner.requested_at) > self.attempt_limit
    }
}

/// In a container the name of its machine is the container's own.
fn replica() -> String {
    format!("{}:{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

/// At worst an attempt finds and deletes an unused runner, asks for the secret and looks up the group, each with its
/// time-out and one for a new token, and writes to the database in between.
fn attempt_limit(timeout: Duration) -> TimeDelta {
    let calls = timeout.saturating_mul(5).saturating_add(Duration::from_secs(10));
    TimeDelta::from_std(calls).unwrap_or(TimeDelta::MAX)
}
