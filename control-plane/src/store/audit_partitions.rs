//! Partitions of `audit_log` that may go.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::audit::Dropped;

/// A partition with its bounds; the first has no start.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its table.
    pub name: String,
    /// Its entries are not older.
    pub starts_at: Option<DateTime<Utc>>,
    /// Its entries are older.
    pub ends_at: DateTime<Utc>,
}

impl Partition {
    /// Whether an entry of this time is in it.
    pub fn holds(&self, time: DateTime<Utc>) -> bool {
        self.starts_at.is_none_or(|start| start <= time) && time < self.ends_at
    }
}

/// Partitions whose months are over and lie before a time, the oldest first.
pub async fn before(conn: &mut PgConnection, time: DateTime<Utc>) -> sqlx::Result<Vec<Partition>> {
    sqlx::query_as!(
        Partition,
        r#"select name as "name!", starts_at, ends_at as "ends_at!" from audit_log_partitions
        where ends_at <= $1 and ends_at <= now() order by ends_at"#,
        time
    )
    .fetch_all(conn)
    .await
}

/// A seal with the time of its entry.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its place.
    pub position: i64,
    /// When the entry was made.
    pub occurred_at: DateTime<Utc>,
    /// In hex.
    pub seal: String,
}

/// The seals of the entries of these partitions behind a position, at most so many.
pub async fn seals(
    conn: &mut PgConnection,
    partitions: &[Partition],
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Sealed>> {
    let starts: Vec<DateTime<Utc>> =
        partitions.iter().map(|each| each.starts_at.unwrap_or(DateTime::UNIX_EPOCH)).collect();
    let ends: Vec<DateTime<Utc>> = partitions.iter().map(|each| each.ends_at).collect();
    sqlx::query_as!(
        Sealed,
        r#"select position, occurred_at, encode(seal, 'hex') as "seal!" from audit_log_seals
        where position > $1 and exists (
            select from unnest($2::timestamptz[], $3::timestamptz[]) as bound (starts_at, ends_at)
            where occurred_at >= bound.starts_at and occurred_at < bound.ends_at
        )
        order by position limit $4"#,
        after,
        &starts,
        &ends,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Takes a partition out of the table, and tells how many entries it has; nothing can be added to it any more.
pub async fn detach(conn: &mut PgConnection, partition: &Partition) -> sqlx::Result<i64> {
    // Names come from the catalogue, where migrations and `audit_log_add_partitions` gave them.
    let name = partition.name.replace('"', "\"\"");
    let detach = format!("alter table audit_log detach partition \"{name}\"");
    sqlx::query(AssertSqlSafe(detach)).execute(&mut *conn).await?;
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from \"{name}\""))).fetch_one(conn).await
}

/// Records that a partition was exported, and drops it.
pub async fn drop(conn: &mut PgConnection, dropped: &Dropped) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit_log_drops (partition_name, entries, first_position, last_position, seal, export_sha256, made_at,
            key_id, signature)
        values ($1, $2, $3, $4, decode($5, 'hex'), $6, $7, $8, decode($9, 'hex'))",
        dropped.partition_name,
        dropped.entries,
        dropped.first_position,
        dropped.last_position,
        dropped.seal,
        dropped.export_sha256,
        dropped.made_at,
        dropped.key_id,
        dropped.signature
    )
    .execute(&mut *conn)
    .await?;
    let name = dropped.partition_name.replace('"', "\"\"");
    sqlx::query(AssertSqlSafe(format!("drop table \"{name}\""))).execute(conn).await.map(std::mem::drop)
}
