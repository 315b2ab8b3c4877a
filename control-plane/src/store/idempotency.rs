//! Rows of `idempotency_keys`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// How long a key is remembered.
pub const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// What a key stands for already.
pub struct Known {
    /// SHA-256 of the request that came with it first.
    pub body_sha256: String,
    /// The runner that was made for it.
    pub runner_id: Uuid,
}

/// Takes a key for a runner, or tells what it stands for. Waits for another transaction that is taking the same key.
pub async fn claim(
    conn: &mut PgConnection,
    key_sha256: &str,
    body_sha256: &str,
    runner_id: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Known>> {
    let claimed = sqlx::query!(
        "insert into idempotency_keys (key_sha256, body_sha256, runner_id, created_at) values ($1, $2, $3, $4)
        on conflict (key_sha256) do nothing",
        key_sha256,
        body_sha256,
        runner_id,
        now
    )
    .execute(&mut *conn)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(None);
    }
    sqlx::query_as!(Known, "select body_sha256, runner_id from idempotency_keys where key_sha256 = $1", key_sha256)
        .fetch_one(conn)
        .await
        .map(Some)
}

/// Forgets the keys of a runner that came to nothing, so that a repeat starts afresh.
pub async fn release(conn: &mut PgConnection, runner_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from idempotency_keys where runner_id = $1", runner_id).execute(conn).await.map(drop)
}

/// Forgets keys that are older than [`LIFETIME`]; tells how many.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let oldest = now.checked_sub_signed(LIFETIME).unwrap_or(now);
    let pruned = sqlx::query!("delete from idempotency_keys where created_at < $1", oldest).execute(conn).await?;
    Ok(pruned.rows_affected())
}
