//! The chain over `audit_log`: seals, checkpoints, and how far the sealing job is.

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use sqlx::{PgConnection, PgPool};

use super::audit_log::{Record, select_records};
use crate::audit::{Checkpoint, Dropped, Seal};

/// Where the next round of sealing starts, and how far it may go.
#[derive(Clone, Copy, Debug)]
pub struct Horizon {
    /// Every entry of a transaction before this one is sealed.
    pub sealed_below: i64,
    /// Every transaction before this one has ended.
    pub settled_below: i64,
    /// This transaction and all after it have not begun.
    pub unborn_from: i64,
    /// This cluster.
    pub system_identifier: i64,
    /// The first round in this cluster: entries may have come from another one, which counted its own transactions.
    pub is_first: bool,
}

/// Lets one transaction at a time extend the chain. Also what follows is read as of after the wait.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table audit_log_progress in exclusive mode").execute(conn).await.map(drop)
}

/// See [`Horizon`].
pub async fn horizon(conn: &mut PgConnection) -> sqlx::Result<Horizon> {
    sqlx::query_as!(
        Horizon,
        r#"select sealed_below,
            pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "settled_below!",
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint as "unborn_from!",
            cluster.system_identifier as "system_identifier!",
            progress.system_identifier is distinct from cluster.system_identifier as "is_first!"
        from audit_log_progress progress, pg_control_system() cluster"#
    )
    .fetch_one(conn)
    .await
}

/// Entries without a seal whose transactions have ended, in the order in which they are to be sealed.
///
/// A transaction that has not begun here, although its entry is there, has ended in the cluster that the database came
/// from.
///
/// `after` is an entry up to which this round has sealed all, so that a long round looks at each once.
pub async fn unsealed(
    conn: &mut PgConnection,
    horizon: &Horizon,
    after: Option<(i64, i64)>,
    limit: i64,
) -> sqlx::Result<Vec<Record>> {
    let start = if horizon.is_first { 0 } else { horizon.sealed_below };
    let (from, id) = after.unwrap_or((start, i64::MIN));
    let foreign_from = if horizon.is_first { horizon.unborn_from } else { i64::MAX };
    select_records!(
        "from audit_log e left join audit_log_seals s on false
        where (e.transaction_id, e.id) > ($1, $5) and (e.transaction_id < $2 or e.transaction_id >= $3)
            and not exists (select from audit_log_seals t where t.entry_id = e.id)
        order by e.transaction_id, e.id limit $4",
        from,
        horizon.settled_below,
        foreign_from,
        limit,
        id
    )
    .fetch_all(conn)
    .await
}

/// The end of the chain.
#[derive(Clone, Debug)]
pub struct Head {
    /// How many entries it holds.
    pub position: i64,
    /// The newest seal.
    pub seal: Vec<u8>,
    /// When that happened which it seals.
    pub occurred_at: DateTime<Utc>,
}

/// The end of the chain, if it has begun.
pub async fn head(conn: &mut PgConnection) -> sqlx::Result<Option<Head>> {
    sqlx::query_as!(Head, "select position, seal, occurred_at from audit_log_seals order by position desc limit 1")
        .fetch_optional(conn)
        .await
}

/// A link of the chain.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Its place.
    pub position: i64,
    /// What is sealed.
    pub entry_id: i64,
    /// When that was.
    pub occurred_at: DateTime<Utc>,
    /// The seal.
    pub seal: Seal,
}

/// Extends the chain.
pub async fn extend(conn: &mut PgConnection, links: &[Link]) -> sqlx::Result<()> {
    let positions: Vec<i64> = links.iter().map(|link| link.position).collect();
    let entries: Vec<i64> = links.iter().map(|link| link.entry_id).collect();
    let times: Vec<DateTime<Utc>> = links.iter().map(|link| link.occurred_at).collect();
    let seals: Vec<Vec<u8>> = links.iter().map(|link| link.seal.to_vec()).collect();
    sqlx::query!(
        "insert into audit_log_seals (position, entry_id, occurred_at, seal)
        select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bytea[])",
        &positions,
        &entries,
        &times,
        &seals
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records how far the sealing job is in this cluster.
pub async fn set_sealed_below(conn: &mut PgConnection, sealed_below: i64, system: i64) -> sqlx::Result<()> {
    sqlx::query!("update audit_log_progress set sealed_below = $1, system_identifier = $2", sealed_below, system)
        .execute(conn)
        .await
        .map(drop)
}

/// How old the oldest transaction is for which sealing waits, if it waits for one; in seconds.
pub async fn waits_for(conn: &mut PgConnection) -> sqlx::Result<Option<f64>> {
    sqlx::query_scalar!(
        r#"select extract(epoch from clock_timestamp() - min(xact_start))::float8 as "age"
        from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()"#
    )
    .fetch_one(conn)
    .await
}

/// The newest checkpoint.
pub async fn last_checkpoint(conn: &mut PgConnection) -> sqlx::Result<Option<Checkpoint>> {
    Ok(last_checkpoints(conn, 1).await?.pop())
}

/// So many of the newest checkpoints, the newest first.
pub async fn last_checkpoints(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Checkpoint>> {
    sqlx::query_as!(
        Checkpoint,
        r#"select position, encode(seal, 'hex') as "seal!", made_at, key_id, encode(signature, 'hex') as signature
        from audit_log_checkpoints order by position desc limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Every checkpoint, with the seal that the chain has there now.
pub fn checkpoints(pool: &PgPool) -> BoxStream<'_, sqlx::Result<(Checkpoint, Option<String>)>> {
    use futures_util::StreamExt as _;
    let rows = sqlx::query!(
        r#"select c.position, encode(c.seal, 'hex') as "seal!", c.made_at, c.key_id,
            encode(c.signature, 'hex') as signature, encode(s.seal, 'hex') as "in_chain?"
        from audit_log_checkpoints c left join audit_log_seals s on s.position = c.position order by c.position"#
    );
    let rows = rows.fetch(pool).map(|row| {
        let row = row?;
        let (position, seal, made_at) = (row.position, row.seal, row.made_at);
        Ok((Checkpoint { position, seal, made_at, key_id: row.key_id, signature: row.signature }, row.in_chain))
    });
    rows.boxed()
}

/// Keeps a checkpoint.
pub async fn insert_checkpoint(conn: &mut PgConnection, made: &Checkpoint) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit_log_checkpoints (position, seal, made_at, key_id, signature)
        values ($1, decode($2, 'hex'), $3, $4, decode($5, 'hex'))",
        made.position,
        made.seal,
        made.made_at,
        made.key_id,
        made.signature
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The partitions that were dropped.
pub async fn dropped(conn: &mut PgConnection) -> sqlx::Result<Vec<Dropped>> {
    sqlx::query_as!(
        Dropped,
        r#"select partition_name, entries, first_position, last_position, encode(seal, 'hex') as seal, export_sha256,
            made_at, key_id, encode(signature, 'hex') as signature
        from audit_log_drops order by made_at, partition_name"#
    )
    .fetch_all(conn)
    .await
}

/// What left the database so far.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The position of the newest checkpoint that was published.
    pub published: i64,
    /// The position of the newest entry that was written to `AUDIT_FILE`.
    pub pushed: i64,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// See [`Sent`].
pub async fn sent(conn: &mut PgConnection) -> sqlx::Result<Sent> {
    sqlx::query_as!(
        Sent,
        r#"select published_position as published, pushed_position as pushed, clock_timestamp() as "now!"
        from audit_log_progress"#
    )
    .fetch_one(conn)
    .await
}

/// Records that a checkpoint was published.
pub async fn set_published(conn: &mut PgConnection, position: i64) -> sqlx::Result<()> {
    sqlx::query!("update audit_log_progress set published_position = $1", position).execute(conn).await.map(drop)
}

/// Records that entries were written to `AUDIT_FILE`.
pub async fn set_pushed(conn: &mut PgConnection, position: i64) -> sqlx::Result<()> {
    sqlx::query!("update audit_log_progress set pushed_position = $1", position).execute(conn).await.map(drop)
}

/// Makes the partitions of this month and of so many after it; returns those that can't be made.
pub async fn add_partitions(conn: &mut PgConnection, months_ahead: i32) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"select audit_log_add_partitions($1) as "name!""#, months_ahead).fetch_all(conn).await
}

/// An entry that has no seal and never waited for one: its transaction is before all that wait, or has not begun.
pub async fn slipped_in(conn: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"select e.id as "id!" from audit_log e, audit_log_progress progress
        where progress.system_identifier = (select system_identifier from pg_control_system())
            and (
                e.transaction_id < progress.sealed_below
                or e.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            )
            and not exists (
                select from audit_log_seals s where s.entry_id = e.id and s.occurred_at = e.occurred_at
            )
        order by e.transaction_id, e.id limit 1"#
    )
    .fetch_optional(conn)
    .await
}

/// What the chain says at a position: the entry's id, and whether an entry of that id is anywhere.
pub async fn at(conn: &mut PgConnection, position: i64) -> sqlx::Result<Option<(i64, bool)>> {
    let row = sqlx::query!(
        r#"select entry_id, exists (select from audit_log e where e.id = entry_id) as "exists!"
        from audit_log_seals where position = $1"#,
        position
    );
    Ok(row.fetch_optional(conn).await?.map(|row| (row.entry_id, row.exists)))
}

/// How many entries have no seal yet.
pub async fn count_unsealed(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let from = super::audit_log::unsealed_from(conn).await?;
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from audit_log e
        where e.transaction_id >= $1 and not exists (select from audit_log_seals s where s.entry_id = e.id)"#,
        from
    )
    .fetch_one(conn)
    .await
}
