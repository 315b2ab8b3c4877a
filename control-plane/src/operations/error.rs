//! Why an operation did not happen: one list for the API, the jobs and the command line.

use crate::github::GithubError;
use crate::jobs::Lost;
use crate::policy::WishError;
use crate::runner::{TargetError, TransitionError};

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The body is not what it should be; the text says where and why, for the caller.
    #[error("the request is not valid: {0}")]
    Invalid(String),
    /// Policy says no.
    #[error("denied: {}", recorded.join("; "))]
    Denied {
        /// Why, as far as it concerns the caller.
        told: Vec<String>,
        /// Why, for the audit log.
        recorded: Vec<String>,
    },
    /// The caller is revoked; the text says by what, for the audit log.
    #[error("revoked: {0}")]
    Revoked(String),
    /// There is no such revocation.
    #[error("not revoked: {0}")]
    NotRevoked(String),
    /// Policy would grant it, but the owner has all the runners that it may have.
    #[error("{}", .0.join("; "))]
    LimitReached(Vec<String>),
    /// A live runner of the target has the name, here or on GitHub.
    #[error("the name {0:?} is taken")]
    NameTaken(String),
    /// No such runner, or none of the caller's.
    #[error("no such runner")]
    RunnerNotFound,
    /// It runs a job.
    #[error("the runner is running a job")]
    Busy,
    /// Its secret is being asked for right now.
    #[error("a provision of this runner is under way")]
    UnderWay,
    /// A machine registered with it, so another secret would be of no use.
    #[error("a machine has registered with this runner already")]
    AlreadyRegistered,
    /// The runner was deleted, before a repeat or while its secret was being asked for.
    #[error("the runner has been deleted")]
    RunnerDeleted,
    /// The key came with another body before.
    #[error("the idempotency key was used for a different request")]
    KeyReused,
    /// GitHub refused, or could not be asked.
    #[error("GitHub did not do it")]
    Github(#[source] GithubError),
    /// Nobody knows whether GitHub did it.
    #[error("it is unknown whether GitHub did it")]
    OutcomeUnknown(#[source] GithubError),
    /// The database.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A job stopped, because another process may be doing it.
    #[error(transparent)]
    TurnLost(#[from] Lost),
    /// Another process is doing the same.
    #[error("another process is at it")]
    TurnTaken,
    /// A step that no runner takes.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// A damaged row.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A secret that can't be written into a command, or a task that died.
    #[error("internal: {0}")]
    Internal(String),
}

impl OperationError {
    /// In a few words, for the owner of a runner: what GitHub said stays in the log.
    pub fn brief(&self) -> String {
        match self {
            Self::Github(error) | Self::OutcomeUnknown(error) => error.kind.brief().to_owned(),
            other => other.to_string(),
        }
    }
}

impl From<WishError> for OperationError {
    fn from(error: WishError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<GithubError> for OperationError {
    fn from(error: GithubError) -> Self {
        Self::Github(error)
    }
}
