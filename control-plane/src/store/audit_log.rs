//! Rows of `audit_log`: written and read, never changed.

use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// What is written of an entry. The database gives it its id, its time and the transaction: its clock is the only one
/// that all replicas share, and the service has no right to set any of the three.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is described in migrations/*_audit_log.sql")]
pub struct NewEntry {
    pub event: String,
    pub outcome: String,
    pub actor: String,
    pub principal_issuer: Option<String>,
    pub principal_subject: Option<String>,
    pub display_name: Option<String>,
    pub client_ip: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    pub token_sha256: Option<String>,
    pub runner_id: Option<Uuid>,
    pub runner_name: Option<String>,
    pub target: Option<String>,
    pub reasons: Vec<String>,
    pub policy_sha256: Option<String>,
    pub details: Value,
}

/// Adds an entry.
pub async fn insert(conn: &mut PgConnection, entry: &NewEntry) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit_log (event, outcome, actor, principal_issuer, principal_subject, display_name,
            client_ip, user_agent, request_id, token_sha256, runner_id, runner_name, target, reasons, policy_sha256,
            details)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        entry.event,
        entry.outcome,
        entry.actor,
        entry.principal_issuer,
        entry.principal_subject,
        entry.display_name,
        entry.client_ip,
        entry.user_agent,
        entry.request_id,
        entry.token_sha256,
        entry.runner_id,
        entry.runner_name,
        entry.target,
        &entry.reasons,
        entry.policy_sha256,
        entry.details
    )
    .execute(conn)
    .await
    .map(drop)
}

/// An entry as it is exported: the columns in their order, then its place in the chain, which it has once it is sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditEntry)]
#[expect(missing_docs, reason = "each is described in docs/audit.md")]
pub struct Record {
    pub id: i64,
    #[serde(with = "crate::audit::time")]
    pub occurred_at: DateTime<Utc>,
    pub event: String,
    pub outcome: String,
    pub actor: String,
    pub principal_issuer: Option<String>,
    pub principal_subject: Option<String>,
    pub display_name: Option<String>,
    pub client_ip: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    pub token_sha256: Option<String>,
    pub runner_id: Option<Uuid>,
    pub runner_name: Option<String>,
    pub target: Option<String>,
    pub reasons: Vec<String>,
    pub policy_sha256: Option<String>,
    #[schema(value_type = Object)]
    pub details: Value,
    pub transaction_id: i64,
    pub position: Option<i64>,
    pub previous_seal: Option<String>,
    pub seal: Option<String>,
}

/// A query for whole records from an entry `e` and its seal `s`: the columns are written here once.
macro_rules! select_records {
    ($rest:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            r#"select e.id as "id!", e.occurred_at as "occurred_at!", e.event as "event!", e.outcome as "outcome!",
                e.actor as "actor!", e.principal_issuer, e.principal_subject, e.display_name, e.client_ip, e.user_agent,
                e.request_id, e.token_sha256, e.runner_id, e.runner_name, e.target, e.reasons as "reasons!",
                e.policy_sha256, e.details as "details!", e.transaction_id as "transaction_id!",
                s.position as "position?", encode(s.seal, 'hex') as seal,
                case s.position when 1 then repeat('0', 64) else
                    (select encode(p.seal, 'hex') from audit_log_seals p where p.position = s.position - 1)
                end as previous_seal
            "# + $rest
            $(, $argument)*
        )
    };
}
pub(super) use select_records;

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// Only of this event, or of a group of events such as `provision`.
    pub event: Option<String>,
    /// Only of this subject or display name.
    pub user: Option<String>,
    /// Only of this runner, by id or name.
    pub runner: Option<String>,
}

/// The sealed entries of a selection behind a position, in their order, at most so many.
pub async fn page(pool: &PgPool, selection: &Selection, after: i64, limit: i64) -> sqlx::Result<Vec<Record>> {
    select_records!(
        "from audit_log_seals s
        -- One look-up for each seal (`offset 0` keeps it so), not a join of everything that is cut off at the end.
        cross join lateral (
            select * from audit_log where occurred_at = s.occurred_at and id = s.entry_id offset 0
        ) e
        where s.position > $1
            and ($2::timestamptz is null or s.occurred_at >= $2)
            and ($3::timestamptz is null or s.occurred_at < $3)
            and ($4::text is null or e.event = $4 or e.event like $4 || '.%')
            and ($5::text is null or e.principal_subject = $5 or e.display_name = $5)
            and ($6::text is null or e.runner_id::text = $6 or e.runner_name = $6)
        order by s.position limit $7",
        after,
        selection.since,
        selection.until,
        selection.event,
        selection.user,
        selection.runner,
        limit
    )
    .fetch_all(pool)
    .await
}

/// So many entries are held at a time, however many are read.
const PAGE: i64 = 2_000;

/// All sealed entries of a selection behind a position, page by page, so that neither side holds more than one. What is
/// sealed stays as it is, so no snapshot is kept for it.
pub fn sealed<'a>(pool: &'a PgPool, selection: &'a Selection, after: i64) -> BoxStream<'a, sqlx::Result<Record>> {
    let pages = stream::try_unfold(Some(after), async move |after| {
        let Some(after) = after else { return Ok(None) };
        let records = page(pool, selection, after, PAGE).await?;
        let next = records.last().and_then(|record| record.position);
        Ok::<_, sqlx::Error>((!records.is_empty()).then(|| (stream::iter(records.into_iter().map(Ok)), next)))
    });
    pages.try_flatten().boxed()
}

/// Where entries without a seal begin: every entry of an earlier transaction has one. A database that was moved to
/// another cluster counts anew, so there nothing is known.
pub async fn unsealed_from(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select case when system_identifier = (select system_identifier from pg_control_system())
            then sealed_below else 0 end as "from!"
        from audit_log_progress"#
    )
    .fetch_one(conn)
    .await
}

/// The entries of a selection that are not sealed yet, from [`unsealed_from`] on; before them those that were sealed
/// since `after` was the last.
pub fn rest<'a>(
    pool: &'a PgPool,
    selection: &'a Selection,
    from: i64,
    after: i64,
) -> BoxStream<'a, sqlx::Result<Record>> {
    select_records!(
        "from audit_log e left join audit_log_seals s on s.entry_id = e.id
        where e.transaction_id >= $1 and (s.position is null or s.position > $2)
            and ($3::timestamptz is null or e.occurred_at >= $3)
            and ($4::timestamptz is null or e.occurred_at < $4)
            and ($5::text is null or e.event = $5 or e.event like $5 || '.%')
            and ($6::text is null or e.principal_subject = $6 or e.display_name = $6)
            and ($7::text is null or e.runner_id::text = $7 or e.runner_name = $7)
        order by s.position nulls last, e.transaction_id, e.id",
        from,
        after,
        selection.since,
        selection.until,
        selection.event,
        selection.user,
        selection.runner,
    )
    .fetch(pool)
}
