//! Rows of `runners`.

mod changes;
mod drains;
mod pages;

pub use changes::{Issued, begin_attempt, insert, set_deleted, set_issuance, set_issued, set_missing, set_seen};
pub use drains::{set_all_draining, set_drain_waits, set_draining};
pub use pages::{Page, Search, count, page, search};

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::{DateTime, Utc};
use identity::Principal;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::runner::{DeletedReason, Drift, Issuance, Mode, State, Target, TargetError};

/// A runner as recorded. The columns are described in the migration.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is described in migrations/*_runners.sql, *_drains.sql and *_drift.sql")]
pub struct Runner {
    pub id: Uuid,
    pub target: String,
    pub name: String,
    pub owner_issuer: String,
    pub owner_subject: String,
    pub owner_name: String,
    pub mode: Mode,
    pub labels: Vec<String>,
    pub runner_group_id: i64,
    pub ephemeral: bool,
    pub disable_update: bool,
    pub state: State,
    pub deleted_reason: Option<DeletedReason>,
    pub issuance: Issuance,
    pub requested_at: DateTime<Utc>,
    pub secret_expires_at: Option<DateTime<Utc>>,
    pub github_runner_id: Option<i64>,
    pub busy: bool,
    pub offline_since: Option<DateTime<Utc>>,
    pub missing_since: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub drain_requested_at: Option<DateTime<Utc>>,
    pub drain_attempts: i32,
    pub drain_next_at: Option<DateTime<Utc>>,
    pub drain_error: Option<String>,
    pub drift: Option<Json<Drift>>,
}

impl Runner {
    /// Where it belongs on GitHub. What is recorded was checked before, so an error means a damaged row.
    pub fn target(&self) -> Result<Target, TargetError> {
        self.target.parse()
    }

    /// Who sees and manages it.
    pub fn owner(&self) -> Principal {
        Principal { issuer: self.owner_issuer.clone(), subject: self.owner_subject.clone() }
    }
}

/// A query for whole runners: the columns are written here once, the rest is the caller's.
macro_rules! select_runners {
    ($rest:tt $(, $argument:expr)* $(,)?) => {
        select_runners!(from ("runners " + $rest) $(, $argument)*)
    };
    (from ($($source:tt)+) $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Runner,
            r#"select id, target, name, owner_issuer, owner_subject, owner_name, mode as "mode: Mode", labels,
                runner_group_id, ephemeral, disable_update, state as "state: State",
                deleted_reason as "deleted_reason: DeletedReason", issuance as "issuance: Issuance", requested_at,
                secret_expires_at, github_runner_id, busy, offline_since, missing_since, created_at,
                updated_at, deleted_at, drain_requested_at, drain_attempts, drain_next_at, drain_error,
                drift as "drift: Json<Drift>"
            from "# + $($source)+
            $(, $argument)*
        )
    };
}

use select_runners;

/// The runner with this id, locked until the transaction ends.
pub async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Runner>> {
    select_runners!("where id = $1 for update", id).fetch_optional(conn).await
}

/// The runner with this id.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Runner>> {
    select_runners!("where id = $1", id).fetch_optional(conn).await
}

/// The runners with these ids, the oldest first.
pub async fn find_all(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Runner>> {
    select_runners!("where id = any($1) order by id", ids).fetch_all(conn).await
}

/// Runners of the drain queue whose next attempt is due, the longest waiting first.
pub async fn drains_due(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Runner>> {
    select_runners!("where state <> 'deleted' and drain_next_at <= $1 order by drain_next_at limit $2", now, limit)
        .fetch_all(conn)
        .await
}

/// Runners that have been in the drain queue since before this time, the longest waiting first.
pub async fn draining_since_before(
    conn: &mut PgConnection,
    time: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Runner>> {
    select_runners!(
        "where state <> 'deleted' and drain_next_at is not null and drain_requested_at < $1
        order by drain_requested_at limit $2",
        time,
        limit
    )
    .fetch_all(conn)
    .await
}

/// The newest live runner of this name that one of the owners has.
pub async fn find_by_name(
    conn: &mut PgConnection,
    owners: &BTreeSet<Principal>,
    name: &str,
) -> sqlx::Result<Option<Runner>> {
    let (issuers, subjects) = columns(owners);
    select_runners!(
        "where (owner_issuer, owner_subject) in (select * from unnest($1::text[], $2::text[]))
            and lower(name) = lower($3) and state <> 'deleted'
        order by id desc limit 1",
        &issuers,
        &subjects,
        name
    )
    .fetch_optional(conn)
    .await
}

/// Everybody's newest runner of this name, also a deleted one.
pub async fn newest_named(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<Runner>> {
    select_runners!("where lower(name) = lower($1) order by id desc limit 1", name).fetch_optional(conn).await
}

/// The runner with this id, also a deleted one, if it is one of the owners'.
pub async fn find_by_id(
    conn: &mut PgConnection,
    owners: &BTreeSet<Principal>,
    id: Uuid,
) -> sqlx::Result<Option<Runner>> {
    Ok(find(conn, id).await?.filter(|runner| owners.contains(&runner.owner())))
}

/// Owners as two arrays, for `unnest`.
fn columns(owners: &BTreeSet<Principal>) -> (Vec<String>, Vec<String>) {
    owners.iter().map(|owner| (owner.issuer.clone(), owner.subject.clone())).unzip()
}

/// The live runner that did a job: by GitHub's id, or by its name if the id is not known yet.
pub async fn of_job(
    conn: &mut PgConnection,
    targets: &[String],
    github_runner_id: i64,
    name: &str,
) -> sqlx::Result<Option<Runner>> {
    select_runners!(
        "where target = any($1) and state <> 'deleted' and issuance <> 'requested'
            and (github_runner_id = $2 or (github_runner_id is null and lower(name) = lower($3)))
        order by github_runner_id nulls last limit 1",
        targets,
        github_runner_id,
        name
    )
    .fetch_optional(conn)
    .await
}

/// Every live runner of a target.
pub async fn live_of_target(conn: &mut PgConnection, target: &Target) -> sqlx::Result<Vec<Runner>> {
    select_runners!("where target = $1 and state <> 'deleted' order by id", target.to_string()).fetch_all(conn).await
}

/// Just-in-time runners of a target that ended in this span without anybody knowing whether GitHub had made them, and
/// whose name no live runner has.
pub async fn interrupted(
    conn: &mut PgConnection,
    target: &Target,
    span: Range<DateTime<Utc>>,
) -> sqlx::Result<Vec<Runner>> {
    select_runners!(
        "where target = $1 and deleted_at >= $2 and deleted_at < $3 and mode = 'jit'
            and (deleted_reason = 'provision-interrupted' or (deleted_reason = 'deprovisioned' and github_runner_id is null))
            and not exists (
                select from runners as live
                where live.target = runners.target and lower(live.name) = lower(runners.name) and live.state <> 'deleted'
            )
        order by id",
        target.to_string(),
        span.start,
        span.end
    )
    .fetch_all(conn)
    .await
}

/// Targets that have live runners.
pub async fn live_targets(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select distinct target from runners where state <> 'deleted' order by target")
        .fetch_all(conn)
        .await
}

/// Runners that look abandoned: pending although their secret ended before `expired`, or off line since before
/// `offline` (if given).
pub async fn stale(
    conn: &mut PgConnection,
    expired: DateTime<Utc>,
    offline: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<Runner>> {
    select_runners!(
        "where state <> 'deleted' and (
            (state = 'pending' and issuance = 'issued' and secret_expires_at < $1)
            or (state = 'offline' and offline_since < $2)
        )
        order by id",
        expired,
        offline
    )
    .fetch_all(conn)
    .await
}
