//! The end of an attempt, committed before anybody hears of it.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::attempt::Secret;
use super::provision::{Begun, Provisioned};
use super::revoke::hold_off_revocations;
use super::{App, Caller, OperationError, delete};
use crate::audit::{Entry, Event, Outcome};
use crate::causes::causes;
use crate::github::Priority;
use crate::runner::{DeletedReason, Issuance, State};
use crate::store::idempotency;
use crate::store::runners::{self, Issued, Runner};

/// Commits that a secret was issued; only then may it be given out.
pub(super) async fn issued(
    app: &App,
    caller: &Caller,
    begun: Begun,
    secret: Secret,
) -> Result<Provisioned, OperationError> {
    let now = app.clock.now();
    let (runner, sha256) = (begun.runner, secret.sha256());
    let details = json!({
        "mode": runner.mode, "expires_at": secret.expires_at, "github_runner_id": secret.github_runner_id,
        "secret_sha256": sha256,
    });
    let issued = Issued { sha256: &sha256, expires_at: secret.expires_at, github_runner_id: secret.github_runner_id };
    let mut transaction = app.begin().await?;
    // Somebody ended the runner or revoked the caller, or a later attempt overtook this one: the secret goes to nobody.
    let discarded = match hold_off_revocations(&mut transaction, &caller.identity).await {
        Ok(()) if runners::set_issued(&mut transaction, runner.id, runner.requested_at, &issued, now).await? => None,
        Ok(()) => Some(OperationError::RunnerDeleted),
        Err(error @ OperationError::Revoked(_)) => {
            // The drain queue takes away whatever is left of it.
            if current(&mut transaction, &runner).await?.is_some() {
                runners::set_issuance(&mut transaction, runner.id, Issuance::Unknown, now).await?;
            }
            Some(error)
        }
        Err(error) => return Err(error),
    };
    let (event, outcome) = match discarded {
        None => (Event::ProvisionIssued, Outcome::Success),
        Some(_) => (Event::ProvisionDiscarded, Outcome::Failure),
    };
    let reasons = discarded.iter().map(OperationError::to_string);
    let entry = Entry::new(&caller.origin, event, outcome).runner(&runner).reasons(reasons).details(details);
    entry.record(&mut transaction).await?;
    transaction.commit().await?;
    if let Some(error) = discarded {
        discard(app, &runner, &secret).await;
        return Err(error);
    }
    tracing::info!(runner = %runner.id, name = runner.name, target = runner.target, "issued a runner's secret");
    let github_url = runner.target()?.web_url(&app.web_url);
    Ok(Provisioned { runner, secret, github_url })
}

/// The runner, locked, if it still waits for this very attempt.
async fn current(conn: &mut PgConnection, begun: &Runner) -> sqlx::Result<Option<Runner>> {
    let row = runners::lock(conn, begun.id).await?;
    Ok(row.filter(|row| row.state != State::Deleted && row.requested_at == begun.requested_at))
}

async fn discard(app: &App, runner: &Runner, secret: &Secret) {
    let (Some(id), Ok(target)) = (secret.github_runner_id, runner.target()) else { return };
    if let Err(error) = app.github.delete_runner(&target, id, Priority::Request).await {
        tracing::warn!(runner = %runner.id, github_runner_id = id, %error, "a discarded runner is left on GitHub");
    }
}

/// Records a failure as well as can be, and gives the error to answer with. If it can't be recorded, the row stays
/// `requested`, and reconcile takes it from there.
pub(super) async fn failed(app: &App, caller: &Caller, begun: &Begun, error: OperationError) -> OperationError {
    let unknown = match &error {
        OperationError::Github(error) => !error.is_definite(),
        // GitHub did something, and what it answered can't be handed out.
        OperationError::Internal(_) => true,
        _ => false,
    };
    tracing::warn!(runner = %begun.runner.id, unknown, error = %causes(&error), "no secret was issued");
    if let Err(failure) = record_failure(app, caller, begun, &error, unknown).await {
        tracing::error!(runner = %begun.runner.id, error = %causes(&failure), "a failed provision is not recorded");
    }
    match error {
        OperationError::Github(error) if unknown => OperationError::OutcomeUnknown(error),
        error => error,
    }
}

async fn record_failure(
    app: &App,
    caller: &Caller,
    begun: &Begun,
    error: &OperationError,
    unknown: bool,
) -> Result<(), OperationError> {
    let now = app.clock.now();
    let mut transaction = app.begin().await?;
    let Some(row) = current(&mut transaction, &begun.runner).await? else { return Ok(()) };
    let (event, outcome) =
        if unknown { (Event::ProvisionUnknown, Outcome::Unknown) } else { (Event::ProvisionFailed, Outcome::Failure) };
    let entry = Entry::new(&caller.origin, event, outcome).runner(&row).reasons([causes(error)]);
    entry.record(&mut transaction).await?;
    if unknown {
        runners::set_issuance(&mut transaction, row.id, Issuance::Unknown, now).await?;
    } else {
        undo(&mut transaction, caller, begun, &row, now).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// GitHub did nothing: a new runner ends, an old one is as it was.
async fn undo(
    conn: &mut PgConnection,
    caller: &Caller,
    begun: &Begun,
    row: &Runner,
    now: DateTime<Utc>,
) -> Result<(), OperationError> {
    let Some(before) = &begun.before else {
        idempotency::release(conn, row.id).await?;
        return delete(conn, &caller.origin, row, DeletedReason::ProvisionRefused, now).await;
    };
    let issuance = if before.issuance == Issuance::Issued { Issuance::Issued } else { Issuance::Unknown };
    runners::set_issuance(conn, row.id, issuance, now).await?;
    Ok(())
}
