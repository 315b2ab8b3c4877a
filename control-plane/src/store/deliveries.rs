//! Rows of `webhook_deliveries`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// How long a delivery is remembered.
const LIFETIME: TimeDelta = TimeDelta::days(7);

/// Records a delivery; false if it was taken before.
pub async fn take(conn: &mut PgConnection, id: &str, event: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into webhook_deliveries (id, event, received_at) values ($1, $2, $3) on conflict (id) do nothing",
        id,
        event,
        now
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Forgets deliveries that GitHub will not repeat any more; tells how many.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let oldest = now.checked_sub_signed(LIFETIME).unwrap_or(now);
    let pruned = sqlx::query!("delete from webhook_deliveries where received_at < $1", oldest).execute(conn).await?;
    Ok(pruned.rows_affected())
}
