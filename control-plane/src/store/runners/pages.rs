//! Runners page by page: an owner's, and everybody's.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use identity::Principal;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Runner, columns, select_runners};
use crate::runner::{DeletedReason, Drift, Issuance, Mode, State};

/// Which runners a query is about, as two queries: an index of live runners serves only one that asks for nothing else.
/// The wanted state is `$3` in both.
macro_rules! in_state {
    ($state:expr, $query:ident ! ($($arguments:tt)*)) => {
        match $state {
            Some(State::Deleted) => $query!("state = 'deleted' and $3::text is not null", $($arguments)*),
            _ => $query!("state <> 'deleted' and ($3::text is null or state = $3)", $($arguments)*),
        }
    };
}

/// Which of the owners' runners are wanted.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// Whose.
    pub owners: &'a BTreeSet<Principal>,
    /// Only of this state; otherwise all live ones.
    pub state: Option<State>,
    /// Only with this label.
    pub label: Option<&'a str>,
    /// Only older than this one.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// One page of the owners' runners, the newest first. Each owner's page is read along its index, whatever else it has.
pub async fn page(conn: &mut PgConnection, page: &Page<'_>) -> sqlx::Result<Vec<Runner>> {
    let (issuers, subjects) = columns(page.owners);
    macro_rules! of_owners {
        ($in_state:tt,) => {
            select_runners!(
                from(
                    "unnest($1::text[], $2::text[]) as owner (issuer, subject) cross join lateral (
                        select * from runners
                        where owner_issuer = owner.issuer and owner_subject = owner.subject and id < $5
                            and ($4::text is null or $4 = any(labels)) and "
                        + $in_state
                        + " order by id desc limit $6
                    ) as of_owner
                    order by id desc limit $6"
                ),
                &issuers,
                &subjects,
                page.state.map(State::as_str),
                page.label,
                page.before.unwrap_or(Uuid::max()),
                page.limit
            )
            .fetch_all(conn)
            .await
        };
    }
    in_state!(page.state, of_owners!())
}

/// How many runners all pages together have.
pub async fn count(conn: &mut PgConnection, page: &Page<'_>) -> sqlx::Result<i64> {
    let (issuers, subjects) = columns(page.owners);
    macro_rules! of_owners {
        ($in_state:tt,) => {
            sqlx::query_scalar!(
                r#"select coalesce(sum(of_owner.count), 0)::bigint as "count!"
                from unnest($1::text[], $2::text[]) as owner (issuer, subject) cross join lateral (
                    select count(*) from runners
                    where owner_issuer = owner.issuer and owner_subject = owner.subject
                        and ($4::text is null or $4 = any(labels)) and "#
                    + $in_state
                    + ") as of_owner",
                &issuers,
                &subjects,
                page.state.map(State::as_str),
                page.label
            )
            .fetch_one(conn)
            .await
        };
    }
    in_state!(page.state, of_owners!())
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
    /// Only those in the drain queue since before this time.
    pub draining_since_before: Option<DateTime<Utc>>,
    /// Only newer than this one.
    pub after: Option<Uuid>,
    /// At most so many; otherwise all.
    pub limit: Option<i64>,
}

/// Everybody's runners, the oldest first.
pub async fn search(conn: &mut PgConnection, search: &Search) -> sqlx::Result<Vec<Runner>> {
    macro_rules! everybodys {
        ($in_state:tt,) => {
            select_runners!(
                from(
                    "runners where id > $1 and ($2::text is null or owner_subject = $2 or owner_name = $2)
                        and ($4::text is null or $4 = any(labels))
                        and ($6::timestamptz is null or drain_requested_at < $6) and "
                        + $in_state
                        + " order by id limit $5"
                ),
                search.after.unwrap_or(Uuid::nil()),
                search.user,
                search.state.map(State::as_str),
                search.label,
                search.limit,
                search.draining_since_before
            )
            .fetch_all(conn)
            .await
        };
    }
    in_state!(search.state, everybodys!())
}
