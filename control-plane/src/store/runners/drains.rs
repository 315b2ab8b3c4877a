//! The drain queue.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Puts a runner into the queue, due at once. One that is in it keeps its place, and is due again.
pub async fn set_draining(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set drain_requested_at = coalesce(drain_requested_at, $2), drain_next_at = $2, updated_at = $2
        where id = $1",
        id,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Puts runners into the queue, due at once.
pub async fn set_all_draining(conn: &mut PgConnection, ids: &[Uuid], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set drain_requested_at = coalesce(drain_requested_at, $2), drain_next_at = $2, updated_at = $2
        where id = any($1) and state <> 'deleted'",
        ids,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records an attempt that did not succeed, and when the next one is due.
pub async fn set_drain_waits(
    conn: &mut PgConnection,
    id: Uuid,
    next_at: DateTime<Utc>,
    error: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set drain_attempts = drain_attempts + 1, drain_next_at = $2, drain_error = $3
        where id = $1 and drain_requested_at is not null",
        id,
        next_at,
        error
    )
    .execute(conn)
    .await
    .map(drop)
}
