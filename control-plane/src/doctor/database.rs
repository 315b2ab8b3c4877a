//! The records: that they can be reached, are up to date, and can't be rewritten by the service.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{Finding, upkeep};
use crate::causes::causes;
use crate::store::readings::Backlog;
use crate::store::schema::{self, SchemaError};
use crate::store::{audit_seals, readings, roles};

/// Sealing that waits longer than this for somebody's transaction is stuck.
const LONGEST_TRANSACTION: f64 = 60.0;
/// Sealing takes seconds: an entry that waits longer, in seconds, waits for somebody to run it.
const LONGEST_LAG: i64 = 60;

/// Looks at the database, and in it at what the service does on its own. A runner that has been draining for longer than
/// `stuck_after` is stuck.
pub async fn check_database(pool: &PgPool, stuck_after: Option<Duration>, now: DateTime<Utc>) -> Vec<Finding> {
    match schema::check(pool).await {
        Err(error @ SchemaError::Behind(_)) => {
            vec![Finding::error("migrations", error.to_string(), "run `runner-tokens init-db` as the owner's role")]
        }
        Err(SchemaError::Database(error)) => vec![unreachable(&error)],
        Ok(()) => match records(pool, stuck_after, now).await {
            Ok(findings) => findings,
            Err(error) => vec![unreachable(&error)],
        },
    }
}

async fn records(pool: &PgPool, stuck_after: Option<Duration>, now: DateTime<Utc>) -> sqlx::Result<Vec<Finding>> {
    let mut conn = pool.acquire().await?;
    let mut findings = rights_and_seals(&mut conn).await?;
    findings.extend(upkeep::look(&mut conn, stuck_after, now).await?);
    Ok(findings)
}

fn unreachable(error: &sqlx::Error) -> Finding {
    let fix = "check host, port, name, user and password in DATABASE_URL, and that the database is running";
    Finding::error("database", format!("can't be read: {}", causes(error)), fix)
}

async fn rights_and_seals(conn: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let rights = roles::audit_rights(conn).await?;
    let roles = if rights.are_too_many() {
        let what = format!("{} can change the audit log", rights.role);
        let fix = "give the service a role of its own, a member of runner_tokens_service alone (docs/audit.md)";
        Finding::warning("roles", what, fix)
    } else {
        Finding::ok("roles", format!("{} can only add to the audit log", rights.role))
    };
    let found = vec![
        Finding::ok("database", "can be reached"),
        Finding::ok("migrations", "are all applied"),
        roles,
        seals(conn).await?,
    ];
    Ok(found)
}

async fn seals(conn: &mut PgConnection) -> sqlx::Result<Finding> {
    Ok(sealing(&readings::unsealed(conn).await?, audit_seals::waits_for(conn).await?))
}

/// How the sealing of the audit log does: what has no seal, and the age in seconds of the transaction that it waits for.
pub fn sealing(backlog: &Backlog, waits: Option<f64>) -> Finding {
    let (Backlog { length: unsealed, oldest_seconds: lag }, waits) = (*backlog, waits.unwrap_or_default());
    let what = match unsealed {
        0 => "every entry has its seal".to_owned(),
        _ => format!("{unsealed} entries have no seal yet, the oldest for {lag} s"),
    };
    if waits > LONGEST_TRANSACTION && unsealed > 0 {
        let fix = "end the transaction that pg_stat_activity shows as the oldest: sealing waits for it";
        Finding::warning("audit-seals", format!("{what}; a transaction is open for {waits:.0} s"), fix)
    } else if lag > LONGEST_LAG {
        Finding::warning("audit-seals", what, "see that `runner-tokens serve` is running, and what its log says")
    } else {
        Finding::ok("audit-seals", what)
    }
}
