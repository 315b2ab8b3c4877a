//! What the metrics, `doctor` and the status tell of the records.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::runner::State;

/// Things that wait for something.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// How many.
    pub length: i64,
    /// For how long the oldest waits; 0 if there is none.
    pub oldest_seconds: i64,
}

/// How many live runners are in each state; a state without any is left out.
pub async fn live_runners(conn: &mut PgConnection) -> sqlx::Result<Vec<(State, i64)>> {
    let rows = sqlx::query!(
        r#"select state as "state: State", count(*) as "count!" from runners where state <> 'deleted' group by state"#
    );
    Ok(rows.fetch_all(conn).await?.into_iter().map(|row| (row.state, row.count)).collect())
}

/// The drain queue.
pub async fn drain_queue(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Backlog> {
    sqlx::query_as!(
        Backlog,
        r#"select count(*) as "length!",
            greatest(coalesce(extract(epoch from $1 - min(drain_requested_at)), 0), 0)::bigint as "oldest_seconds!"
        from runners where drain_next_at is not null and state <> 'deleted'"#,
        now
    )
    .fetch_one(conn)
    .await
}

/// Entries of the audit log that have no seal yet, the first 100,000 of them.
pub async fn unsealed(conn: &mut PgConnection) -> sqlx::Result<Backlog> {
    let from = super::audit_log::unsealed_from(conn).await?;
    sqlx::query_as!(
        Backlog,
        r#"select count(*) as "length!",
            greatest(coalesce(extract(epoch from clock_timestamp() - min(occurred_at)), 0), 0)::bigint
                as "oldest_seconds!"
        from (
            select occurred_at from audit_log e
            where e.transaction_id >= $1 and not exists (select from audit_log_seals s where s.entry_id = e.id)
            order by e.transaction_id, e.id limit 100000
        ) as first"#,
        from
    )
    .fetch_one(conn)
    .await
}
