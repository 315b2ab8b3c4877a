//! What happened over time: registrations and denials of `audit_log`, and rows of `runner_samples`.
//!
//! A window is cut into stretches of equal length; each is known by its start, in seconds since 1970, which is a multiple of
//! the length.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

/// Samples are kept for so many days.
const KEPT_DAYS: i32 = 31;

/// What time is counted over.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Not before.
    pub since: DateTime<Utc>,
    /// Before.
    pub until: DateTime<Utc>,
    /// How long a stretch is, in seconds.
    pub stretch: i64,
}

/// What happened in a stretch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Happened {
    /// Runners that were registered.
    pub provisions: i64,
    /// What was denied.
    pub denials: Denials,
}

/// Denials by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Denials {
    /// Nobody was verified: no assertion of the edge, or one that does not hold.
    pub unauthenticated: i64,
    /// Of somebody who is revoked.
    pub revoked: i64,
    /// Too many requests of a principal in a minute.
    pub rate_limited: i64,
    /// Calls of administrators by somebody who is none.
    pub admin: i64,
    /// Registrations: by the policy, by its limits, or for what was asked.
    pub provision: i64,
    /// Anything else, such as deleting a busy runner or asking for one that is not there.
    pub other: i64,
}

impl Happened {
    /// The number that entries of this kind count in.
    fn of_kind(&mut self, kind: &str) -> &mut i64 {
        match kind {
            "provision.issued" => &mut self.provisions,
            "unauthenticated" => &mut self.denials.unauthenticated,
            "revoked" => &mut self.denials.revoked,
            "rate_limited" => &mut self.denials.rate_limited,
            "admin.denied" => &mut self.denials.admin,
            "provision.denied" => &mut self.denials.provision,
            _ => &mut self.denials.other,
        }
    }
}

/// What happened in those stretches of a window in which something did, by their starts.
pub async fn happened(conn: &mut PgConnection, window: &Window) -> sqlx::Result<HashMap<i64, Happened>> {
    let rows = sqlx::query!(
        r#"select floor(extract(epoch from occurred_at) / $3::bigint)::bigint * $3 as "start!", case
                when reasons[1] like 'revoked: %' then 'revoked'
                when event <> 'access.denied' then event
                when actor = 'anonymous' then 'unauthenticated'
                else 'rate_limited'
            end as "kind!", count(*) as "count!"
        from audit_log
        where (event = 'provision.issued' or outcome = 'denied') and occurred_at >= $1 and occurred_at < $2
        group by 1, 2"#,
        window.since,
        window.until,
        window.stretch
    );
    let mut happened: HashMap<i64, Happened> = HashMap::new();
    for row in rows.fetch_all(conn).await? {
        let number = happened.entry(row.start).or_default().of_kind(&row.kind);
        *number = number.saturating_add(row.count);
    }
    Ok(happened)
}

/// Why something was denied.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct DenialReason {
    /// The event, such as `provision.denied`.
    pub event: String,
    /// The reason as the audit log has it, its first 200 characters.
    pub reason: String,
    /// In how many entries.
    pub count: i64,
}

/// The most frequent reasons of denials in a window.
pub async fn reasons(conn: &mut PgConnection, window: &Window, limit: i64) -> sqlx::Result<Vec<DenialReason>> {
    sqlx::query_as!(
        DenialReason,
        r#"select event as "event!", left(reason, 200) as "reason!", count(*) as "count!"
        from audit_log cross join unnest(reasons) as reason
        where (event = 'provision.issued' or outcome = 'denied') and outcome = 'denied'
            and occurred_at >= $1 and occurred_at < $2
        group by 1, 2 order by 3 desc, 1, 2 limit $3"#,
        window.since,
        window.until,
        limit
    )
    .fetch_all(conn)
    .await
}

/// How many live runners there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Runners {
    /// Registered, and no machine came on line yet.
    pub pending: i64,
    /// On line.
    pub active: i64,
    /// Off line.
    pub offline: i64,
    /// To go when they are idle, whatever state they are in; the others don't count them.
    pub draining: i64,
}

/// Counts live runners, and forgets what is too old to be shown.
pub async fn sample(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into runner_samples (sampled_at, pending, active, offline, draining)
        select $1, count(*) filter (where state = 'pending' and drain_next_at is null),
            count(*) filter (where state = 'active' and drain_next_at is null),
            count(*) filter (where state = 'offline' and drain_next_at is null),
            count(*) filter (where drain_next_at is not null)
        from runners where state <> 'deleted'
        on conflict do nothing",
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from runner_samples where sampled_at < $1::timestamptz - make_interval(days => $2)",
        now,
        KEPT_DAYS
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The newest sample in each stretch of a window that has one, by their starts.
pub async fn samples(conn: &mut PgConnection, window: &Window) -> sqlx::Result<HashMap<i64, Runners>> {
    let rows = sqlx::query!(
        r#"select distinct on (1) floor(extract(epoch from sampled_at) / $3::bigint)::bigint * $3 as "start!",
            pending, active, offline, draining
        from runner_samples where sampled_at >= $1 and sampled_at < $2 order by 1, sampled_at desc"#,
        window.since,
        window.until,
        window.stretch
    );
    let samples = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let (pending, active, offline, draining) = (row.pending, row.active, row.offline, row.draining);
        (row.start, Runners { pending, active, offline, draining })
    });
    Ok(samples.collect())
}
