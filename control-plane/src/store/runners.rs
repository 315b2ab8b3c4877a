//! Rows of `runners`.

use chrono::{DateTime, Utc};
use identity::Principal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::github::RemoteRunner;
use crate::runner::{DeletedReason, Issuance, Mode, State, Target, TargetError};

/// A runner as recorded. The columns are described in the migration.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is described in migrations/*_runners.sql")]
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
        sqlx::query_as!(
            Runner,
            r#"select id, target, name, owner_issuer, owner_subject, owner_name, mode as "mode: Mode", labels,
                runner_group_id, ephemeral, disable_update, state as "state: State",
                deleted_reason as "deleted_reason: DeletedReason", issuance as "issuance: Issuance", requested_at,
                secret_expires_at, github_runner_id, busy, offline_since, missing_since, created_at,
                updated_at, deleted_at
            from runners "# + $rest
            $(, $argument)*
        )
    };
}

/// Records the intent to register a runner. False if a live runner of the target has the name.
pub async fn insert(conn: &mut PgConnection, runner: &Runner) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into runners (id, target, name, owner_issuer, owner_subject, owner_name, mode, labels, runner_group_id,
            ephemeral, disable_update, state, issuance, requested_at, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $14)
        on conflict (target, lower(name)) where state <> 'deleted' do nothing",
        runner.id,
        runner.target,
        runner.name,
        runner.owner_issuer,
        runner.owner_subject,
        runner.owner_name,
        runner.mode.as_str(),
        &runner.labels,
        runner.runner_group_id,
        runner.ephemeral,
        runner.disable_update,
        runner.state.as_str(),
        runner.issuance.as_str(),
        runner.requested_at,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The runner with this id, locked until the transaction ends.
pub async fn lock(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Runner>> {
    select_runners!("where id = $1 for update", id).fetch_optional(conn).await
}

/// The owner's live runner of this name.
pub async fn find_by_name(conn: &mut PgConnection, owner: &Principal, name: &str) -> sqlx::Result<Option<Runner>> {
    select_runners!(
        "where owner_issuer = $1 and owner_subject = $2 and lower(name) = lower($3) and state <> 'deleted'
        order by id desc limit 1",
        owner.issuer,
        owner.subject,
        name
    )
    .fetch_optional(conn)
    .await
}

/// The owner's runner with this id, also a deleted one.
pub async fn find_by_id(conn: &mut PgConnection, owner: &Principal, id: Uuid) -> sqlx::Result<Option<Runner>> {
    select_runners!("where owner_issuer = $1 and owner_subject = $2 and id = $3", owner.issuer, owner.subject, id)
        .fetch_optional(conn)
        .await
}

/// Which of an owner's runners are wanted.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// Whose.
    pub owner: &'a Principal,
    /// Only of this state; otherwise all live ones.
    pub state: Option<State>,
    /// Only with this label.
    pub label: Option<&'a str>,
    /// Only older than this one.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// One page of an owner's runners, the newest first.
pub async fn page(conn: &mut PgConnection, page: &Page<'_>) -> sqlx::Result<Vec<Runner>> {
    select_runners!(
        "where owner_issuer = $1 and owner_subject = $2
            and (state = $3 or ($3 is null and state <> 'deleted'))
            and ($4::text is null or $4 = any(labels))
            and ($5::uuid is null or id < $5)
        order by id desc limit $6",
        page.owner.issuer,
        page.owner.subject,
        page.state.map(State::as_str),
        page.label,
        page.before,
        page.limit
    )
    .fetch_all(conn)
    .await
}

/// How many runners all pages together have.
pub async fn count(conn: &mut PgConnection, page: &Page<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from runners
        where owner_issuer = $1 and owner_subject = $2
            and (state = $3 or ($3 is null and state <> 'deleted'))
            and ($4::text is null or $4 = any(labels))"#,
        page.owner.issuer,
        page.owner.subject,
        page.state.map(State::as_str),
        page.label
    )
    .fetch_one(conn)
    .await
}

/// Every live runner of a target.
pub async fn live_of_target(conn: &mut PgConnection, target: &Target) -> sqlx::Result<Vec<Runner>> {
    select_runners!("where target = $1 and state <> 'deleted' order by id", target.to_string()).fetch_all(conn).await
}

/// Targets that have live runners.
pub async fn live_targets(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select distinct target from runners where state <> 'deleted' order by target")
        .fetch_all(conn)
        .await
}

/// Starts another attempt to have a secret issued.
pub async fn begin_attempt(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update runners set issuance = 'requested', requested_at = $2, updated_at = $2 where id = $1", id, now)
        .execute(conn)
        .await
        .map(drop)
}

/// Records how far an attempt went, other than that a secret was issued.
pub async fn set_issuance(
    conn: &mut PgConnection,
    id: Uuid,
    issuance: Issuance,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("update runners set issuance = $2, updated_at = $3 where id = $1", id, issuance.as_str(), now)
        .execute(conn)
        .await
        .map(drop)
}

/// What is recorded of a secret.
pub struct Issued<'a> {
    /// SHA-256 of the secret, in lower-case hex.
    pub sha256: &'a str,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
    /// The runner that GitHub made with it, in just-in-time mode.
    pub github_runner_id: Option<i64>,
}

/// Records that a secret was issued.
pub async fn set_issued(
    conn: &mut PgConnection,
    id: Uuid,
    issued: &Issued<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set issuance = 'issued', secret_sha256 = $2, secret_expires_at = $3,
            github_runner_id = coalesce($4, github_runner_id), missing_since = null, updated_at = $5
        where id = $1",
        id,
        issued.sha256,
        issued.expires_at,
        issued.github_runner_id,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records what GitHub says of a runner, and the state that follows.
pub async fn set_seen(
    conn: &mut PgConnection,
    id: Uuid,
    remote: &RemoteRunner,
    state: State,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set github_runner_id = $2, busy = $3, state = $4, updated_at = $5,
            missing_since = null, offline_since = case when $6 then null else coalesce(offline_since, $5) end
        where id = $1",
        id,
        remote.id,
        remote.busy,
        state.as_str(),
        now,
        remote.is_online()
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records that a complete listing lacked a runner.
pub async fn set_missing(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update runners set missing_since = $2 where id = $1", id, now).execute(conn).await.map(drop)
}

/// Records the end of a runner.
pub async fn set_deleted(
    conn: &mut PgConnection,
    id: Uuid,
    reason: DeletedReason,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update runners set state = 'deleted', deleted_reason = $2, deleted_at = $3, updated_at = $3, busy = false
        where id = $1",
        id,
        reason.as_str(),
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Which runners an administrator asks for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Only of this state; otherwise all live ones.
    pub state: Option<State>,
    /// Only of this subject or display name.
    pub user: Option<String>,
    /// Only with this label.
    pub label: Option<String>,
}

/// Everybody's runners, the oldest first.
pub async fn search(conn: &mut PgConnection, search: &Search) -> sqlx::Result<Vec<Runner>> {
    select_runners!(
        "where (state = $1 or ($1 is null and state <> 'deleted'))
            and ($2::text is null or owner_subject = $2 or owner_name = $2)
            and ($3::text is null or $3 = any(labels))
        order by id",
        search.state.map(State::as_str),
        search.user,
        search.label
    )
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
        "where (state = 'pending' and issuance = 'issued' and secret_expires_at < $1)
            or (state = 'offline' and offline_since < $2)
        order by id",
        expired,
        offline
    )
    .fetch_all(conn)
    .await
}
