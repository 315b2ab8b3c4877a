//! Rows of `job_runs`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// When a job was begun that came to its end, the newest of all replicas.
pub async fn done_at(conn: &mut PgConnection, job: &str) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select done_at from job_runs where job = $1", job).fetch_optional(conn).await
}

/// Records that a job came to its end.
pub async fn set_done(conn: &mut PgConnection, job: &str, done_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into job_runs (job, done_at) values ($1, $2)
        on conflict (job) do update set done_at = excluded.done_at",
        job,
        done_at
    )
    .execute(conn)
    .await
    .map(drop)
}
