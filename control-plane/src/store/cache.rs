//! Rows of `github_runners_cache`: what GitHub has.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::github::RemoteRunner;
use crate::runner::Target;

/// Replaces what is known of a target with a complete listing, in one statement each however long it is.
pub async fn replace(
    conn: &mut PgConnection,
    target: &Target,
    runners: &[RemoteRunner],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    // Arrays of arrays must be rectangular in PostgreSQL, so the labels travel as JSON.
    let rows = serde_json::json!(
        runners
            .iter()
            .map(|runner| serde_json::json!({
                "id": runner.id, "name": runner.name, "status": runner.status, "busy": runner.busy,
                "ephemeral": runner.ephemeral, "group": runner.runner_group_id, "labels": runner.label_names(),
            }))
            .collect::<Vec<_>>()
    );
    sqlx::query!(
        r#"insert into github_runners_cache (target, github_runner_id, name, status, busy, ephemeral, runner_group_id,
            labels, first_seen_at, seen_at)
        select $1, id, name, status, busy, ephemeral, "group", labels, $3, $3
        from jsonb_to_recordset($2) as row(id bigint, name text, status text, busy boolean, ephemeral boolean,
            "group" bigint, labels text[])
        on conflict (target, github_runner_id) do update set name = excluded.name, status = excluded.status,
            busy = excluded.busy, ephemeral = excluded.ephemeral, runner_group_id = excluded.runner_group_id,
            labels = excluded.labels, seen_at = excluded.seen_at"#,
        target.to_string(),
        rows,
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from github_runners_cache where target = $1 and seen_at < $2", target.to_string(), now)
        .execute(conn)
        .await
        .map(drop)
}

/// Whether GitHub had this runner before `time`, so that whatever was registered later is another one.
pub async fn was_there_before(
    conn: &mut PgConnection,
    target: &Target,
    github_runner_id: i64,
    time: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
            select from github_runners_cache where target = $1 and github_runner_id = $2 and first_seen_at < $3
        ) as "exists!""#,
        target.to_string(),
        github_runner_id,
        time
    )
    .fetch_one(conn)
    .await
}

/// Forgets a runner that GitHub has no more.
pub async fn forget(conn: &mut PgConnection, target: &str, github_runner_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from github_runners_cache where target = $1 and github_runner_id = $2",
        target,
        github_runner_id
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A runner on GitHub that this service did not register.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Unmanaged {
    /// Where it is.
    pub target: String,
    /// GitHub's id.
    pub github_runner_id: i64,
    /// Its name.
    pub name: String,
    /// `online` or `offline`.
    pub status: String,
    /// Whether it runs a job.
    pub busy: bool,
    /// Its labels.
    pub labels: Vec<String>,
    /// When a listing showed it first.
    pub first_seen_at: DateTime<Utc>,
    /// The newest complete listing that showed it.
    pub seen_at: DateTime<Utc>,
}

/// Runners on GitHub that no live runner of ours stands for.
pub async fn unmanaged(conn: &mut PgConnection) -> sqlx::Result<Vec<Unmanaged>> {
    sqlx::query_as!(
        Unmanaged,
        "select target, github_runner_id, name, status, busy, labels, first_seen_at, seen_at
        from github_runners_cache as cache
        where not exists (
            select from runners
            where runners.target = cache.target and runners.github_runner_id = cache.github_runner_id
                and runners.state <> 'deleted'
        )
        order by target, name"
    )
    .fetch_all(conn)
    .await
}
