//! What callers are shown of runners.

use chrono::{DateTime, Utc};
use identity::Principal;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use uuid::Uuid;

use crate::operations::{App, OperationError, Provisioned};
use crate::runner::{DeletedReason, Drift, Mode, State as RunnerState};
use crate::store::runners::Runner;

/// A runner that was registered, with its secret.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ProvisionedRunner)]
pub(super) struct ProvisionView {
    runner_id: Uuid,
    runner_name: String,
    github_url: String,
    /// Until when the secret can be used.
    expires_at: DateTime<Utc>,
    runner_group_id: i64,
    labels: Vec<String>,
    ephemeral: bool,
    /// Quoted for a POSIX shell.
    configuration_command: String,
    /// In mode `registration-token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_token: Option<String>,
    /// In mode `jit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_jit_config: Option<String>,
    /// In mode `jit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    github_runner_id: Option<i64>,
}

/// The one place where a secret leaves the service.
pub(super) fn answer(provisioned: Provisioned) -> ProvisionView {
    let Provisioned { runner, secret, github_url } = provisioned;
    let value = secret.value.expose_secret().to_owned();
    let (registration_token, encoded_jit_config) = match runner.mode {
        Mode::RegistrationToken => (Some(value), None),
        Mode::Jit => (None, Some(value)),
    };
    ProvisionView {
        runner_id: runner.id,
        runner_name: runner.name,
        github_url,
        expires_at: secret.expires_at,
        runner_group_id: runner.runner_group_id,
        labels: runner.labels,
        ephemeral: runner.ephemeral,
        configuration_command: secret.command.expose_secret().to_owned(),
        registration_token,
        encoded_jit_config,
        github_runner_id: secret.github_runner_id,
    }
}

/// A page of runners.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RunnerList)]
pub(super) struct ListView {
    /// The newest first.
    pub(super) runners: Vec<RunnerView>,
    /// How many there are on all pages.
    pub(super) total: i64,
    /// Where the next page starts, if there is one.
    pub(super) next_cursor: Option<Uuid>,
}

/// A runner as its owner sees it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Runner)]
pub(super) struct RunnerView {
    runner_id: Uuid,
    runner_name: String,
    status: RunnerState,
    deleted_reason: Option<DeletedReason>,
    busy: bool,
    target: String,
    github_url: String,
    github_runner_id: Option<i64>,
    runner_group_id: i64,
    labels: Vec<String>,
    ephemeral: bool,
    mode: Mode,
    expires_at: Option<DateTime<Utc>>,
    provisioned_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    /// Since when GitHub has had it off line.
    offline_since: Option<DateTime<Utc>>,
    drain: Option<DrainView>,
    /// How the runner on GitHub differs from the one that was asked for.
    drift: Option<Drift>,
}

/// How far a runner has come that is to go when it is idle.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Drain)]
pub(super) struct DrainView {
    requested_at: DateTime<Utc>,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    waits_because: Option<String>,
}

/// Whose a runner is.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Owner {
    /// Of the caller's token; empty for an owner that the policy names.
    issuer: String,
    /// Of the caller's token, or the owner that the policy names.
    subject: String,
}

impl From<Principal> for Owner {
    fn from(Principal { issuer, subject }: Principal) -> Self {
        Self { issuer, subject }
    }
}

pub(super) fn view(app: &App, runner: Runner) -> Result<RunnerView, OperationError> {
    Ok(RunnerView {
        runner_id: runner.id,
        github_url: runner.target()?.web_url(&app.web_url),
        runner_name: runner.name,
        status: runner.state,
        deleted_reason: runner.deleted_reason,
        busy: runner.busy,
        target: runner.target,
        drift: runner.drift.map(|drift| drift.0),
        github_runner_id: runner.github_runner_id,
        runner_group_id: runner.runner_group_id,
        labels: runner.labels,
        ephemeral: runner.ephemeral,
        mode: runner.mode,
        expires_at: runner.secret_expires_at,
        provisioned_by: runner.owner_name,
        created_at: runner.created_at,
        updated_at: runner.updated_at,
        deleted_at: runner.deleted_at,
        offline_since: runner.offline_since.filter(|_| runner.state == RunnerState::Offline),
        drain: runner.drain_requested_at.map(|requested_at| DrainView {
            requested_at,
            attempts: runner.drain_attempts,
            next_attempt_at: runner.drain_next_at.filter(|_| runner.state != RunnerState::Deleted),
            waits_because: runner.drain_error,
        }),
    })
}
