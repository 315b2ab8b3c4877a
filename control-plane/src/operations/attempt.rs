//! One attempt to have GitHub issue a secret. Nothing is repeated here, and nothing recorded.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::{App, OperationError, command, ours};
use crate::github::{GithubError, JitRequest, Kind, Priority, RemoteRunner};
use crate::runner::{Mode, Target};
use crate::store::runners::Runner;

/// GitHub's default group, in every organisation; `config.sh` takes it unless told otherwise.
const DEFAULT_GROUP: i64 = 1;
/// GitHub's tokens end after an hour; one that claims to last longer than this is not believed.
const LONGEST_LIFETIME: TimeDelta = TimeDelta::days(1);
/// GitHub states no end for a just-in-time configuration; a runner that was not started by then is cleaned up.
const JIT_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// What GitHub issued.
pub struct Secret {
    /// The registration token or the just-in-time configuration.
    pub value: SecretString,
    /// The command that uses it.
    pub command: SecretString,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
    /// The runner that GitHub made with it, in just-in-time mode.
    pub github_runner_id: Option<i64>,
}

impl Secret {
    /// What is recorded of it.
    pub fn sha256(&self) -> String {
        super::provision::sha256(self.value.expose_secret().as_bytes())
    }
}

/// Asks GitHub for a secret. `before` is the runner as an earlier attempt left it.
pub(super) async fn ask(app: &App, runner: &Runner, before: Option<&Runner>) -> Result<Secret, OperationError> {
    let target = runner.target()?;
    match runner.mode {
        Mode::RegistrationToken => ask_for_token(app, runner, &target).await,
        Mode::Jit => {
            if let Some(before) = before {
                remove_unused(app, before, &target).await?;
            }
            ask_for_jit_config(app, runner, &target).await
        }
    }
}

async fn ask_for_token(app: &App, runner: &Runner, target: &Target) -> Result<Secret, OperationError> {
    let group = if target.has_groups() && runner.runner_group_id != DEFAULT_GROUP {
        // The token was not asked for yet: whatever goes wrong here, GitHub issued nothing.
        let name = app.github.group_name(target, runner.runner_group_id).await;
        Some(name.map_err(|error| GithubError { before_call: true, ..error })?)
    } else {
        None
    };
    let issued = app.github.registration_token(target).await?;
    let now = app.clock.now();
    // What never expired would never be cleaned up.
    let expires_at = issued.expires_at.min(now.checked_add_signed(LONGEST_LIFETIME).unwrap_or(now));
    let url = target.web_url(&app.web_url);
    let command = command::with_token(runner, &url, &issued.token, group.as_deref())?;
    Ok(Secret { value: issued.token, command, expires_at, github_runner_id: None })
}

async fn ask_for_jit_config(app: &App, runner: &Runner, target: &Target) -> Result<Secret, OperationError> {
    let request = JitRequest { name: &runner.name, runner_group_id: runner.runner_group_id, labels: &runner.labels };
    let issued = match app.github.jit_config(target, &request).await {
        Err(error) if error.kind == Kind::NameConflict => return Err(OperationError::NameTaken(runner.name.clone())),
        answer => answer?,
    };
    let command = command::with_jit_config(&issued.encoded_jit_config)?;
    let now = app.clock.now();
    Ok(Secret {
        value: issued.encoded_jit_config,
        command,
        expires_at: now.checked_add_signed(JIT_LIFETIME).unwrap_or(now),
        github_runner_id: Some(issued.runner.id),
    })
}

/// Takes the runner of an earlier attempt away, unless a machine has started with it.
async fn remove_unused(app: &App, before: &Runner, target: &Target) -> Result<(), OperationError> {
    let Some(remote) = find_on_github(app, before, target, Priority::Request).await? else { return Ok(()) };
    if remote.is_online() || remote.busy {
        return Err(OperationError::AlreadyRegistered);
    }
    if !ours(&mut *app.connection().await?, before, &remote).await? {
        return Err(OperationError::NameTaken(before.name.clone()));
    }
    app.github.delete_runner(target, remote.id, Priority::Request).await?;
    Ok(())
}

/// What GitHub has of a runner: by its id if that is known, else by its name.
pub async fn find_on_github(
    app: &App,
    runner: &Runner,
    target: &Target,
    priority: Priority,
) -> Result<Option<RemoteRunner>, GithubError> {
    match runner.github_runner_id {
        Some(id) => app.github.runner(target, id, priority).await,
        None => app.github.runner_named(target, &runner.name, priority).await,
    }
}
