//! Rows of `audit_log`: written and read, never changed.

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// An entry. The columns are described in the migration.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "each is described in migrations/*_audit_log.sql")]
pub struct Row {
    pub id: i64,
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
    pub details: Value,
}

/// Adds an entry; its `id` and its time are given by the database. Its clock is the only one that all replicas share,
/// and whoever holds the service can't set it.
pub async fn insert(conn: &mut PgConnection, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit_log (occurred_at, event, outcome, actor, principal_issuer, principal_subject, display_name,
            client_ip, user_agent, request_id, token_sha256, runner_id, runner_name, target, reasons, policy_sha256,
            details)
        values (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        row.event,
        row.outcome,
        row.actor,
        row.principal_issuer,
        row.principal_subject,
        row.display_name,
        row.client_ip,
        row.user_agent,
        row.request_id,
        row.token_sha256,
        row.runner_id,
        row.runner_name,
        row.target,
        &row.reasons,
        row.policy_sha256,
        row.details
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Not before.
    pub since: DateTime<Utc>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// Only of this event, or of a group of events such as `provision`.
    pub event: Option<String>,
    /// Only of this subject or display name.
    pub user: Option<String>,
}

/// The entries of a selection in the order in which they were written, as a stream: any number in constant memory.
pub fn stream<'a>(pool: &'a PgPool, selection: &'a Selection) -> BoxStream<'a, sqlx::Result<Row>> {
    sqlx::query_as!(
        Row,
        "select id, occurred_at, event, outcome, actor, principal_issuer, principal_subject, display_name, client_ip,
            user_agent, request_id, token_sha256, runner_id, runner_name, target, reasons, policy_sha256, details
        from audit_log
        where occurred_at >= $1
            and ($2::timestamptz is null or occurred_at < $2)
            and ($3::text is null or event = $3 or event like $3 || '.%')
            and ($4::text is null or principal_subject = $4 or display_name = $4)
        order by id",
        selection.since,
        selection.until,
        selection.event,
        selection.user
    )
    .fetch(pool)
}
