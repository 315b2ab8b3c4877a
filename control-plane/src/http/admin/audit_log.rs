//! The sealed audit log, page by page; a feed for whoever asks again and again.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Admin;
use crate::http::body::invalid;
use crate::http::openapi::ProblemBody;
use crate::http::{ApiError, Web};
use crate::store::audit_log::{self, Record, Selection};

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1_000;

#[derive(Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AuditLogQuery {
    /// `next_cursor` of the page before; the beginning of the log unless given.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// How many a page, 1 to 1000; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// Not before this time.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
    /// Only this event, such as `provision.issued`, or group of events, such as `provision`.
    event_type: Option<String>,
    /// Only of this caller: the subject or display name.
    user: Option<String>,
    /// Only of this runner: its id or name.
    runner: Option<String>,
}

/// A page of the audit log.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct AuditLogPage {
    /// In the order of the chain.
    entries: Vec<Record>,
    /// Where to go on, now or when there is more: always there, and the same while nothing comes.
    next_cursor: i64,
}

/// Gives the entries of the audit log behind a cursor, as they are sealed.
///
/// Entries appear here seconds after they are made, each once and in an order that does not change: asking again with
/// `next_cursor` misses none. Asking leaves an entry, too.
#[utoipa::path(get, path = "/api/v1/admin/audit-log", tag = "admin",
    params(AuditLogQuery),
    responses(
        (status = 200, description = "A page of it.", body = AuditLogPage, example = json!({
            "entries": [], "next_cursor": 0
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn audit_log(
    State(web): State<Arc<Web>>,
    admin: Admin,
    query: Result<Query<AuditLogQuery>, QueryRejection>,
) -> Result<Json<AuditLogPage>, ApiError> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let (cursor, limit) = (query.cursor.unwrap_or(0), query.limit.unwrap_or(DEFAULT_LIMIT));
    if cursor < 0 || !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid(format!("cursor, limit: a cursor is 0 or more, a limit from 1 to {MAX_LIMIT}")));
    }
    if [&query.event_type, &query.user, &query.runner].into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(invalid("event_type, user, runner: no such characters occur"));
    }
    // Postgres knows no time that is much older.
    if [query.since, query.until].into_iter().flatten().any(|time| time < DateTime::UNIX_EPOCH) {
        return Err(invalid("since, until: nothing is older than 1970"));
    }
    admin.record_read(&web, "audit-log", json!(query)).await?;
    let AuditLogQuery { since, until, event_type, user, runner, .. } = query;
    let selection = Selection { since, until, event: event_type, user, runner };
    let entries = audit_log::page(&web.app.pool, &selection, cursor, limit).await?;
    let next_cursor = entries.last().and_then(|entry| entry.position).unwrap_or(cursor);
    Ok(Json(AuditLogPage { entries, next_cursor }))
}
