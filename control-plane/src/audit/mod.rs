//! The audit log: what every operation and every denial leaves behind, and the chain that proves it (docs/audit.md).

mod chain;
mod checkpoint;
mod file;
mod format;
mod seal;
pub(crate) mod time;

pub use chain::{Chain, Finding, Gaps, Kind, follow};
pub use checkpoint::{AuditKey, AuditKeys, Checkpoint, Dropped, KeyError};
pub use file::{Checkpoints, Records};
pub use format::{Format, Writer};
pub use seal::{GENESIS, Seal, canonical, parse_seal, seal};

use std::net::IpAddr;

use identity::Identity;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::runner::Target;
use crate::store::audit_log::{self, NewEntry};
use crate::store::runners::Runner;

/// Who does something.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Somebody whom the edge verified.
    Principal(Identity),
    /// Somebody who could not be verified.
    Anonymous,
    /// A job of the service itself.
    System(&'static str),
    /// Somebody at the command line, by the name of their account.
    Admin(String),
}

/// Who does something, and how the request came in.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Who.
    pub actor: Actor,
    /// The client's address, from the edge.
    pub client_ip: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Ties entries, logs and the answer together.
    pub request_id: Option<String>,
    /// SHA-256 of the policy file by which it is decided what they may.
    pub policy_sha256: Option<String>,
}

impl Origin {
    /// Of something that no request started.
    pub fn local(actor: Actor) -> Self {
        Self { actor, client_ip: None, user_agent: None, request_id: None, policy_sha256: None }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Success,
    /// It was not allowed.
    Denied,
    /// It was allowed but did not happen.
    Failure,
    /// Nobody knows yet; a later entry of the same runner will tell.
    Unknown,
}

/// What happened. `GROUP.EVENT`; an export can be narrowed to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names below say it")]
pub enum Event {
    AccessDenied,
    AdminCommand,
    AdminDenied,
    AdminRead,
    AuditLogDropped,
    CleanupCompleted,
    DeprovisionDenied,
    DeprovisionFailed,
    DeprovisionRequested,
    PolicyExplained,
    PolicyLoaded,
    PolicyRefused,
    PrincipalRestored,
    PrincipalRevoked,
    ProvisionDenied,
    ProvisionDiscarded,
    ProvisionFailed,
    ProvisionInterrupted,
    ProvisionIssued,
    ProvisionRequested,
    ProvisionUnknown,
    RunnerActive,
    RunnerAdopted,
    RunnerDeleted,
    RunnerDrifted,
    RunnerListed,
    RunnerOffline,
    RunnerOrphaned,
    RunnerRead,
    RunnerRefreshed,
    RunnerRestored,
    SyncCompleted,
}

impl Event {
    /// As the log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access.denied",
            Self::AdminCommand => "admin.command",
            Self::AdminDenied => "admin.denied",
            Self::AdminRead => "admin.read",
            Self::AuditLogDropped => "audit-log.dropped",
            Self::CleanupCompleted => "cleanup.completed",
            Self::DeprovisionDenied => "deprovision.denied",
            Self::DeprovisionFailed => "deprovision.failed",
            Self::DeprovisionRequested => "deprovision.requested",
            Self::PolicyExplained => "policy.explained",
            Self::PolicyLoaded => "policy.loaded",
            Self::PolicyRefused => "policy.refused",
            Self::PrincipalRestored => "principal.restored",
            Self::PrincipalRevoked => "principal.revoked",
            Self::ProvisionDenied => "provision.denied",
            Self::ProvisionDiscarded => "provision.discarded",
            Self::ProvisionFailed => "provision.failed",
            Self::ProvisionInterrupted => "provision.interrupted",
            Self::ProvisionIssued => "provision.issued",
            Self::ProvisionRequested => "provision.requested",
            Self::ProvisionUnknown => "provision.unknown",
            Self::RunnerActive => "runner.active",
            Self::RunnerAdopted => "runner.adopted",
            Self::RunnerDeleted => "runner.deleted",
            Self::RunnerDrifted => "runner.drifted",
            Self::RunnerListed => "runner.listed",
            Self::RunnerOffline => "runner.offline",
            Self::RunnerOrphaned => "runner.orphaned",
            Self::RunnerRead => "runner.read",
            Self::RunnerRefreshed => "runner.refreshed",
            Self::RunnerRestored => "runner.restored",
            Self::SyncCompleted => "sync.completed",
        }
    }
}

/// An entry being put together.
#[must_use = "an entry counts once it is recorded"]
pub struct Entry(NewEntry);

impl Entry {
    /// An entry about no runner yet.
    pub fn new(origin: &Origin, event: Event, outcome: Outcome) -> Self {
        let (actor, identity, display_name) = match &origin.actor {
            Actor::Principal(identity) => ("principal", Some(identity), Some(identity.name.clone())),
            Actor::Anonymous => ("anonymous", None, None),
            Actor::System(job) => ("system", None, Some((*job).to_owned())),
            Actor::Admin(account) => ("admin", None, Some(account.clone())),
        };
        Self(NewEntry {
            event: event.as_str().to_owned(),
            outcome: outcome.as_str().to_owned(),
            actor: actor.to_owned(),
            principal_issuer: identity.map(|identity| identity.principal.issuer.clone()),
            principal_subject: identity.map(|identity| identity.principal.subject.clone()),
            display_name,
            client_ip: origin.client_ip.map(|ip| ip.to_string()),
            user_agent: origin.user_agent.clone(),
            request_id: origin.request_id.clone(),
            token_sha256: identity.map(|identity| identity.token_sha256.clone()),
            runner_id: None,
            runner_name: None,
            target: None,
            reasons: Vec::new(),
            policy_sha256: origin.policy_sha256.clone(),
            details: json!({}),
        })
    }

    /// About a recorded runner.
    pub fn runner(mut self, runner: &Runner) -> Self {
        self.0.runner_id = Some(runner.id);
        self.0.runner_name = Some(runner.name.clone());
        self.0.target = Some(runner.target.clone());
        self
    }

    /// About a name that has no runner.
    pub fn name(mut self, name: &str) -> Self {
        self.0.runner_name = Some(name.to_owned());
        self
    }

    /// About a place on GitHub.
    pub fn target(mut self, target: &Target) -> Self {
        self.0.target = Some(target.to_string());
        self
    }

    /// Why it was decided so.
    pub fn reasons(mut self, reasons: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.reasons.extend(reasons.into_iter().map(Into::into));
        self
    }

    /// What else is worth knowing. Never a secret.
    pub fn details(mut self, mut details: Value) -> Self {
        seal::without_fractions(&mut details);
        self.0.details = details;
        self
    }

    /// Writes the entry, in the transaction of what it tells of. The database gives it its time.
    pub async fn record(self, conn: &mut PgConnection) -> sqlx::Result<()> {
        audit_log::insert(conn, &self.0).await
    }
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        }
    }
}
