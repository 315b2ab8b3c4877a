//! The provisioning protocol: the intent is committed before GitHub is asked, the outcome before the answer is given.
//!
//! Wherever it stops, the row tells how far it came (`issuance`), and the next reconcile finishes or undoes it:
//!
//! | it stopped | `issuance` | what GitHub may have |
//! | --- | --- | --- |
//! | after the intent | `requested` | nothing, or a runner whose configuration nobody holds |
//! | with an answer lost | `unknown` | the same |
//! | before the outcome was committed | `requested` | the same: the secret was never given out |
//! | after that | `issued` | what is recorded |

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use super::attempt::Secret;
use super::revoke::hold_off_revocations;
use super::{App, Caller, OperationError, attempt, outcome, quota};
use crate::audit::{Entry, Event, Outcome};
use crate::clock::random_suffix;
use crate::policy::{Granted, NameChoice, ProvisionRequest, Wish};
use crate::runner::{Issuance, State};
use crate::store::idempotency::{self, Known};
use crate::store::runners::{self, Runner};

/// How often a random end of a name is drawn anew; with 32 random bits once is nearly always enough.
const MAX_DRAWS: usize = 3;

/// What is asked.
#[derive(Clone, Debug)]
pub struct ProvisionCall {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub request: ProvisionRequest,
    /// `Idempotency-Key` of the request.
    pub idempotency_key: Option<String>,
}

/// A runner with its secret.
pub struct Provisioned {
    /// As recorded.
    pub runner: Runner,
    /// What its machine needs.
    pub secret: Secret,
    /// The page of its organisation or repository.
    pub github_url: String,
}

/// An attempt whose intent is committed.
pub(super) struct Begun {
    pub(super) runner: Runner,
    /// The runner as an earlier attempt left it.
    pub(super) before: Option<Runner>,
}

/// Has a runner registered. Finishes although the caller goes away, so that the outcome is recorded.
pub async fn provision(app: Arc<App>, call: ProvisionCall) -> Result<Provisioned, OperationError> {
    app.finish(run(Arc::clone(&app), call)).await
}

async fn run(app: Arc<App>, call: ProvisionCall) -> Result<Provisioned, OperationError> {
    let begun = match begin(&app, &call).await {
        Ok(begun) => begun,
        Err(error) => {
            if let Some(reasons) = denial(&error) {
                deny_provision(&app, &call.caller, Some(&call.request), reasons).await?;
            }
            return Err(error);
        }
    };
    match attempt::ask(&app, &begun.runner, begun.before.as_ref()).await {
        Ok(secret) => outcome::issued(&app, &call.caller, begun, secret).await,
        Err(error) => Err(outcome::failed(&app, &call.caller, &begun, error).await),
    }
}

/// Records that a provision was denied.
pub async fn deny_provision(
    app: &App,
    caller: &Caller,
    request: Option<&ProvisionRequest>,
    reasons: Vec<String>,
) -> Result<(), OperationError> {
    let name = request.and_then(|request| request.runner_name.as_ref());
    let mut entry = Entry::new(&caller.origin, Event::ProvisionDenied, Outcome::Denied)
        .reasons(reasons)
        .details(json!({"request": request}));
    if let Some(name) = name {
        entry = entry.name(name.as_str());
    }
    entry.record(&mut *app.connection().await?).await?;
    Ok(())
}

/// The reasons, if an error means that the caller may not have what they asked for.
fn denial(error: &OperationError) -> Option<Vec<String>> {
    match error {
        OperationError::Denied { recorded, .. } => Some(recorded.clone()),
        OperationError::LimitReached(reasons) => Some(reasons.clone()),
        OperationError::Database(_) | OperationError::Internal(_) => None,
        other => Some(vec![other.to_string()]),
    }
}

/// Decides, and commits the intent.
async fn begin(app: &App, call: &ProvisionCall) -> Result<Begun, OperationError> {
    let key = call.idempotency_key.as_deref().map(|key| Key::of(key, call));
    let (wish, grants) = decide(app, call).await?;
    for _ in 0..MAX_DRAWS {
        let mut runner = new_runner(app, &call.caller, &wish)?;
        let mut transaction = app.begin().await?;
        hold_off_revocations(&mut transaction, &call.caller.identity).await?;
        if let Some(key) = &key
            && let Some(known) = key.claim(&mut transaction, &runner).await?
        {
            let begun = repeat(app, &mut transaction, &call.caller, key, &known).await?;
            transaction.commit().await?;
            return Ok(begun);
        }
        let granted = quota::choose(&mut transaction, &grants, runner.created_at).await?;
        (runner.owner_issuer, runner.owner_subject) = (granted.owner.issuer, granted.owner.subject);
        if runners::insert(&mut transaction, &runner, &call.caller.identity).await? {
            record_intent(&mut transaction, &call.caller, &runner, &granted.reasons, false).await?;
            transaction.commit().await?;
            return Ok(Begun { runner, before: None });
        }
        // The transaction rolls back, and with it the claim of the key.
        if let NameChoice::Exact(name) = &wish.name {
            return Err(OperationError::NameTaken(name.as_str().to_owned()));
        }
    }
    Err(OperationError::Internal("no free name was drawn".to_owned()))
}

/// What is wished for, and what grants it.
async fn decide(app: &App, call: &ProvisionCall) -> Result<(Wish, Vec<Granted>), OperationError> {
    let (policy, caller) = (&call.caller.policy, &call.caller.identity);
    let mut wish = call.request.clone().complete(&app.defaults)?;
    if policy.needs_group_name(caller, &wish) {
        wish.group_name = Some(app.github.group_name(&wish.target, wish.runner_group_id).await?);
    }
    let decision = policy.decide(caller, &wish, &app.defaults);
    if !decision.allowed() {
        return Err(OperationError::Denied { told: decision.denials_for_caller(), recorded: decision.denials() });
    }
    app.github.check(&wish.target)?;
    Ok((wish, decision.grants))
}

/// Another attempt for the runner that a key stands for.
async fn repeat(
    app: &App,
    conn: &mut PgConnection,
    caller: &Caller,
    key: &Key,
    known: &Known,
) -> Result<Begun, OperationError> {
    if known.body_sha256 != key.body_sha256 {
        return Err(OperationError::KeyReused);
    }
    let now = app.clock.now();
    let before = runners::lock(conn, known.runner_id).await?.ok_or(OperationError::RunnerDeleted)?;
    // The policy may say by now that it belongs to others.
    if !caller.owners().contains(&before.owner()) {
        return Err(OperationError::RunnerDeleted);
    }
    match before.state {
        State::Deleted => return Err(OperationError::RunnerDeleted),
        State::Active | State::Offline => return Err(OperationError::AlreadyRegistered),
        State::Pending if app.is_under_way(&before, now) => return Err(OperationError::UnderWay),
        State::Pending => {}
    }
    runners::begin_attempt(conn, before.id, &caller.identity, now).await?;
    let runner = Runner { issuance: Issuance::Requested, requested_at: now, ..before.clone() };
    record_intent(conn, caller, &runner, &["repeat with the same idempotency key".to_owned()], true).await?;
    Ok(Begun { runner, before: Some(before) })
}

async fn record_intent(
    conn: &mut PgConnection,
    caller: &Caller,
    runner: &Runner,
    reasons: &[String],
    repeat: bool,
) -> sqlx::Result<()> {
    let details = json!({
        "mode": runner.mode, "labels": runner.labels, "runner_group_id": runner.runner_group_id,
        "ephemeral": runner.ephemeral, "repeat": repeat,
    });
    Entry::new(&caller.origin, Event::ProvisionRequested, Outcome::Success)
        .runner(runner)
        .reasons(reasons)
        .details(details)
        .record(conn)
        .await
}

fn new_runner(app: &App, caller: &Caller, wish: &Wish) -> Result<Runner, OperationError> {
    let now = app.clock.now();
    let id = app.clock.new_id();
    let name = match &wish.name {
        NameChoice::Exact(name) => name.clone(),
        NameChoice::Prefix(prefix) => prefix
            .complete(&random_suffix(id))
            .map_err(|error| OperationError::Invalid(format!("runner_name_prefix: {error}")))?,
    };
    let owner = &caller.identity.principal;
    Ok(Runner {
        id,
        target: wish.target.to_string(),
        name: name.into(),
        owner_issuer: owner.issuer.clone(),
        owner_subject: owner.subject.clone(),
        owner_name: caller.identity.name.clone(),
        mode: wish.mode,
        labels: wish.labels.as_slice().to_vec(),
        runner_group_id: wish.runner_group_id,
        ephemeral: wish.ephemeral,
        disable_update: wish.disable_update,
        state: State::Pending,
        deleted_reason: None,
        issuance: Issuance::Requested,
        requested_at: now,
        secret_expires_at: None,
        github_runner_id: None,
        busy: false,
        offline_since: None,
        missing_since: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
        drain_requested_at: None,
        drain_attempts: 0,
        drain_next_at: None,
        drain_error: None,
        drift: None,
    })
}

/// An idempotency key of a caller, with what it came with.
struct Key {
    sha256: String,
    body_sha256: String,
}

impl Key {
    fn of(key: &str, call: &ProvisionCall) -> Self {
        let principal = &call.caller.identity.principal;
        // JSON keeps the parts apart, whatever they contain.
        let scoped = json!([principal.issuer, principal.subject, key]).to_string();
        let body = json!(call.request).to_string();
        Self { sha256: sha256(scoped.as_bytes()), body_sha256: sha256(body.as_bytes()) }
    }

    async fn claim(&self, conn: &mut PgConnection, runner: &Runner) -> sqlx::Result<Option<Known>> {
        idempotency::claim(conn, &self.sha256, &self.body_sha256, runner.id, runner.created_at).await
    }
}

/// SHA-256 in lower-case hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
