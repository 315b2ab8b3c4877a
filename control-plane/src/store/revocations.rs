//! Rows of `revocations`, and the runners that they are about.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use identity::{Identity, Principal};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::policy::{ClaimValue, Revoked, Who};

/// A revocation. The columns are described in the migration.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is described in migrations/*_revocations.sql")]
pub struct Revocation {
    pub revoked: Revoked,
    pub reason: String,
    pub revoked_by: String,
    pub revoked_at: DateTime<Utc>,
}

struct Row {
    issuer: String,
    subject: Option<String>,
    claim: Option<String>,
    claim_value: Option<String>,
    reason: String,
    revoked_by: String,
    revoked_at: DateTime<Utc>,
}

impl From<Row> for Revocation {
    fn from(row: Row) -> Self {
        let who = match (row.subject, row.claim, row.claim_value) {
            (Some(subject), ..) => Who::Subject(subject),
            (None, Some(name), Some(value)) => Who::Claim(ClaimValue { name, value }),
            _ => Who::Everybody,
        };
        let revoked = Revoked { issuer: row.issuer, who };
        Self { revoked, reason: row.reason, revoked_by: row.revoked_by, revoked_at: row.revoked_at }
    }
}

/// The columns of a revocation that tell it from others: subject, claim, value.
fn columns(revoked: &Revoked) -> (Option<&str>, Option<&str>, Option<&str>) {
    match &revoked.who {
        Who::Subject(subject) => (Some(subject), None, None),
        Who::Claim(ClaimValue { name, value }) => (None, Some(name), Some(value)),
        Who::Everybody => (None, None, None),
    }
}

/// Until the transaction ends, nobody is revoked. Any number of transactions may hold this.
pub async fn lock_shared(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock_shared(hashtextextended('runner-tokens revocations', 0))")
        .execute(conn)
        .await
        .map(drop)
}

/// Waits for everybody who holds the shared lock, and keeps others from it until the transaction ends.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('runner-tokens revocations', 0))")
        .execute(conn)
        .await
        .map(drop)
}

/// Revocations of principals of this issuer; of all if there is none.
pub async fn list(conn: &mut PgConnection, issuer: Option<&str>) -> sqlx::Result<Vec<Revocation>> {
    let rows = sqlx::query_as!(
        Row,
        "select issuer, subject, claim, claim_value, reason, revoked_by, revoked_at from revocations
        where $1::text is null or issuer = $1
        order by id",
        issuer
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Revocation::from).collect())
}

/// Adds a revocation; one that is there stays as it is.
pub async fn insert(conn: &mut PgConnection, revocation: &Revocation) -> sqlx::Result<()> {
    let (subject, claim, value) = columns(&revocation.revoked);
    sqlx::query!(
        "insert into revocations (issuer, subject, claim, claim_value, reason, revoked_by, revoked_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict do nothing",
        revocation.revoked.issuer,
        subject,
        claim,
        value,
        revocation.reason,
        revocation.revoked_by,
        revocation.revoked_at
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a revocation back. False if there is none.
pub async fn delete(conn: &mut PgConnection, revoked: &Revoked) -> sqlx::Result<bool> {
    let (subject, claim, value) = columns(revoked);
    let deleted = sqlx::query!(
        "delete from revocations where issuer = $1 and subject is not distinct from $2
            and claim is not distinct from $3 and claim_value is not distinct from $4",
        revoked.issuer,
        subject,
        claim,
        value
    )
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Live runners that those asked for whom a revocation is about, the oldest first.
pub async fn runners_of(conn: &mut PgConnection, revoked: &Revoked) -> sqlx::Result<Vec<Uuid>> {
    let (subject, ..) = columns(revoked);
    let mut rows = sqlx::query!(
        r#"select id, coalesce(provisioner_subject, owner_subject) as "subject!",
            provisioner_claims as "claims: Value"
        from runners
        where state <> 'deleted' and coalesce(provisioner_issuer, owner_issuer) = $1
            and ($2::text is null or coalesce(provisioner_subject, owner_subject) = $2)
        order by id"#,
        revoked.issuer,
        subject
    )
    .fetch(conn);
    let mut ids = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let provisioner = Identity {
            principal: Principal { issuer: revoked.issuer.clone(), subject: row.subject },
            name: String::new(),
            claims: row.claims.and_then(|claims| claims.as_object().cloned()).unwrap_or_default(),
            token_sha256: String::new(),
        };
        if revoked.is_about(&provisioner) {
            ids.push(row.id);
        }
    }
    Ok(ids)
}

/// Somebody with live runners.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ActivePrincipal {
    /// Of their tokens.
    pub issuer: String,
    /// Of their tokens.
    pub subject: String,
    /// For people to read, as of the newest runner.
    pub name: String,
    /// Runners that no machine has come on line with yet.
    pub pending: i64,
    /// Runners on line.
    pub active: i64,
    /// Runners off line.
    pub offline: i64,
    /// Of all these, those that go as soon as they are idle.
    pub draining: i64,
    /// When the newest was asked for.
    pub last_provisioned_at: DateTime<Utc>,
}

/// A page of those who have live runners, those with the newest runner first.
pub async fn active_principals(conn: &mut PgConnection, limit: i64, offset: i64) -> sqlx::Result<Vec<ActivePrincipal>> {
    sqlx::query_as!(
        ActivePrincipal,
        r#"select coalesce(provisioner_issuer, owner_issuer) as "issuer!",
            coalesce(provisioner_subject, owner_subject) as "subject!",
            (array_agg(owner_name order by id desc))[1] as "name!",
            count(*) filter (where state = 'pending') as "pending!",
            count(*) filter (where state = 'active') as "active!",
            count(*) filter (where state = 'offline') as "offline!",
            count(*) filter (where drain_requested_at is not null) as "draining!",
            max(created_at) as "last_provisioned_at!"
        from runners where state <> 'deleted'
        group by 1, 2
        order by max(created_at) desc, 1, 2
        limit $1 offset $2"#,
        limit,
        offset
    )
    .fetch_all(conn)
    .await
}
