//! Which of the rules that grant a wish still has room for it.
//!
//! Counted in the transaction that adds the runner, under a lock that all replicas share, so that of any number of
//! requests at the same time no more are let through than a limit allows.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use identity::Principal;
use sqlx::PgConnection;

use super::OperationError;
use crate::policy::{Granted, Limits};
use crate::store::owners::{self, Usage};

/// The first of the grants whose limits have room for one more runner.
pub(super) async fn choose(
    conn: &mut PgConnection,
    grants: &[Granted],
    now: DateTime<Utc>,
) -> Result<Granted, OperationError> {
    let limited: BTreeSet<&Principal> =
        grants.iter().filter(|granted| !granted.limits.is_empty()).map(|granted| &granted.owner).collect();
    // Always in the same order, so that two requests can't wait for each other.
    for owner in limited {
        owners::lock(conn, owner).await?;
    }
    let mut refusals = Vec::new();
    for granted in grants {
        let reached = if granted.limits.is_empty() {
            Vec::new()
        } else {
            let hour_ago = now.checked_sub_signed(TimeDelta::hours(1)).unwrap_or(now);
            reached(granted.limits, &owners::usage(conn, &granted.owner, hour_ago).await?)
        };
        if reached.is_empty() {
            return Ok(granted.clone());
        }
        if !granted.enforced {
            let would = format!("the limit is not enforced and would have refused it: {}", reached.join(", "));
            let reasons = granted.reasons.iter().cloned().chain([would]).collect();
            return Ok(Granted { reasons, ..granted.clone() });
        }
        refusals.extend(granted.reasons.iter().cloned().chain(reached));
    }
    Err(OperationError::LimitReached(refusals))
}

fn reached(limits: Limits, usage: &Usage) -> Vec<String> {
    let one = |limit: Option<u32>, used: i64, what: &str| {
        limit.filter(|&limit| used >= i64::from(limit)).map(|limit| format!("the limit of {limit} {what} is reached"))
    };
    [
        one(limits.active, usage.live, "runners of this owner at a time"),
        one(limits.pending, usage.pending, "runners of this owner that no machine has come on line with yet"),
        one(limits.per_hour, usage.recent, "new runners of this owner within an hour"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
