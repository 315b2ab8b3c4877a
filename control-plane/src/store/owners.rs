//! Runners counted by owner.

use chrono::{DateTime, Utc};
use identity::Principal;
use sqlx::PgConnection;

use crate::clock::first_id;

/// Until the transaction ends, nobody else counts or adds runners of this owner under a limit.
pub async fn lock(conn: &mut PgConnection, owner: &Principal) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('runner-tokens owner ' || $1 || ' ' || $2, 0))",
        owner.issuer,
        owner.subject
    )
    .execute(conn)
    .await
    .map(drop)
}

/// How many runners an owner has.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// That are not deleted.
    pub live: i64,
    /// That no machine has come on line with yet.
    pub pending: i64,
    /// That are newer than a time, deleted or not.
    pub recent: i64,
}

/// Counts an owner's runners: the live ones, and those registered since a time.
pub async fn usage(conn: &mut PgConnection, owner: &Principal, since: DateTime<Utc>) -> sqlx::Result<Usage> {
    sqlx::query_as!(
        Usage,
        r#"select count(*) as "live!", count(*) filter (where state = 'pending') as "pending!", (
            select count(*) from runners where owner_issuer = $1 and owner_subject = $2 and id >= $3
        ) as "recent!"
        from runners where owner_issuer = $1 and owner_subject = $2 and state <> 'deleted'"#,
        owner.issuer,
        owner.subject,
        // Ids are in the order of time, so their index serves here, too.
        first_id(since)
    )
    .fetch_one(conn)
    .await
}
