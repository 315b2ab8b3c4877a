//! Changes of rows. Steps from state to state come through `operations`, which writes their audit entries.

use chrono::{DateTime, Utc};
use identity::Identity;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Runner;
use crate::github::RemoteRunner;
use crate::runner::{DeletedReason, Drift, Issuance, State};

/// Records the intent to register a runner, and who asked for it. False if a live runner of the target has the name, or
/// GitHub has a runner of that name as far as the newest listing knows; then the transaction has to be rolled back.
pub async fn insert(conn: &mut PgConnection, runner: &Runner, provisioner: &Identity) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"with inserted as (insert into runners (id, target, name, owner_issuer, owner_subject, owner_name, mode, labels, runner_group_id,
            ephemeral, disable_update, state, issuance, requested_at, created_at, updated_at, provisioner_issuer,
            provisioner_subject, provisioner_claims)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $14, $15, $16, $17)
        on conflict (target, lower(name)) where state <> 'deleted' do nothing
        returning id)
        select exists (select from inserted) and not exists (
            select from github_runners_cache where target = $2 and lower(name) = lower($3)
        ) as "free!""#,
        runner.id,
        runner.target,
        runner.name,
        runner.owner_issuer,
        runner.owner_subject,
        runner.owner_name,
        runner.mode.as_str(),
        &runner.labels,
        runner.runner_group_id,
        runner.ephemeral,
        runner.disable_update,
        runner.state.as_str(),
        runner.issuance.as_str(),
        runner.requested_at,
        provisioner.principal.issuer,
        provisioner.principal.subject,
        claims(provisioner),
    )
    .fetch_one(conn)
    .await
}

/// Claims as they are kept: PostgreSQL takes no NUL in a text.
fn claims(provisioner: &Identity) -> Value {
    let mut claims = Value::Object(provisioner.claims.clone());
    without_nul(&mut claims);
    claims
}

fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|each| each != '\0'),
        Value::Array(members) => members.iter_mut().for_each(without_nul),
        Value::Object(members) => {
            members.retain(|name, _| !name.contains('\0'));
            members.values_mut().for_each(without_nul);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Starts another attempt to have a secret issued.
pub async fn begin_attempt(
    conn: &mut PgConnection,
    id: Uuid,
    provisioner: &Identity,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set issuance = 'requested', requested_at = $2, updated_at = $2, provisioner_claims = $3
        where id = $1",
        id,
        now,
        claims(provisioner)
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records how far an attempt went, other than that a secret was issued.
pub async fn set_issuance(
    conn: &mut PgConnection,
    id: Uuid,
    issuance: Issuance,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("update runners set issuance = $2, updated_at = $3 where id = $1", id, issuance.as_str(), now)
        .execute(conn)
        .await
        .map(drop)
}

/// What is recorded of a secret.
pub struct Issued<'a> {
    /// SHA-256 of the secret, in lower-case hex.
    pub sha256: &'a str,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
    /// The runner that GitHub made with it, in just-in-time mode.
    pub github_runner_id: Option<i64>,
}

/// Records that a secret was issued to a runner's attempt of that time. False if the runner has ended or a later attempt has
/// begun.
pub async fn set_issued(
    conn: &mut PgConnection,
    id: Uuid,
    requested_at: DateTime<Utc>,
    issued: &Issued<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "update runners set issuance = 'issued', secret_sha256 = $2, secret_expires_at = $3,
            github_runner_id = coalesce($4, github_runner_id), missing_since = null, updated_at = $5
        where id = $1 and requested_at = $6 and state <> 'deleted'",
        id,
        issued.sha256,
        issued.expires_at,
        issued.github_runner_id,
        now,
        requested_at
    )
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Records what GitHub says of a runner, and the state that follows.
pub async fn set_seen(
    conn: &mut PgConnection,
    id: Uuid,
    remote: &RemoteRunner,
    state: State,
    drift: Option<&Drift>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set github_runner_id = $2, busy = $3, state = $4, updated_at = $5,
            missing_since = null, offline_since = case when $6 then null else coalesce(offline_since, $5) end,
            drift = $7
        where id = $1",
        id,
        remote.id,
        remote.busy,
        state.as_str(),
        now,
        remote.is_online(),
        drift.map(|drift| serde_json::json!(drift))
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records that a complete listing lacked a runner.
pub async fn set_missing(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update runners set missing_since = $2 where id = $1", id, now).execute(conn).await.map(drop)
}

/// Records the end of a runner.
pub async fn set_deleted(
    conn: &mut PgConnection,
    id: Uuid,
    reason: DeletedReason,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set state = 'deleted', deleted_reason = $2, deleted_at = $3, updated_at = $3, busy = false,
            provisioner_claims = null
        where id = $1",
        id,
        reason.as_str(),
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
