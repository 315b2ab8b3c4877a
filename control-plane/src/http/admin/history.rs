//! How it went: registrations, denials and runners over time.

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
use crate::store::history::{self, DenialReason, Denials, Happened, Runners, Window};

const DEFAULT_HOURS: i64 = 24;
/// Samples of runners are kept for a day longer.
const MAX_HOURS: i64 = 30 * 24;
/// How long a stretch may be, in seconds: the shortest counts that cuts the window into no more than [`MAX_STRETCHES`].
const STRETCHES: [i64; 8] = [300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200];
const MAX_STRETCHES: i64 = 60;
/// So many reasons are told.
const REASONS: i64 = 10;
const HOUR: i64 = 3_600;

#[derive(Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct HistoryQuery {
    /// How far back, 1 to 720; 24 unless given.
    #[param(minimum = 1, maximum = 720)]
    hours: Option<i64>,
}

/// How it went.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct History {
    hours: i64,
    /// How long each stretch is.
    bucket_seconds: i64,
    /// The oldest first; the newest is not over.
    buckets: Vec<Bucket>,
    /// The ten most frequent reasons of denials.
    reasons: Vec<DenialReason>,
}

/// A stretch of time.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::http) struct Bucket {
    starts_at: DateTime<Utc>,
    /// Runners that were registered.
    provisions: i64,
    denials: Denials,
    /// Live runners at its end; none if nobody counted them.
    runners: Option<Runners>,
}

/// Tells how many runners were registered, what was denied and why, and how many runners there were, over time.
///
/// Registrations and denials are those of the audit log. Runners are counted after each comparison with GitHub.
#[utoipa::path(get, path = "/api/v1/admin/history", tag = "admin",
    params(HistoryQuery),
    responses(
        (status = 200, description = "How it went.", body = History, example = json!({
            "hours": 24, "bucket_seconds": 1800,
            "buckets": [{
                "starts_at": "2026-11-23T12:00:00Z", "provisions": 3,
                "denials": {
                    "unauthenticated": 0, "revoked": 0, "rate_limited": 0, "admin": 0, "provision": 1, "other": 0
                },
                "runners": {"pending": 1, "active": 12, "offline": 2, "draining": 0}
            }],
            "reasons": [{"event": "provision.denied", "reason": "label gpu is not granted", "count": 1}]
        })),
        (status = "default", description = "A problem; docs/errors.md lists the types.", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub(in crate::http) async fn history(
    State(web): State<Arc<Web>>,
    admin: Admin,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<History>, ApiError> {
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let hours = query.hours.unwrap_or(DEFAULT_HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(invalid(format!("hours: 1 to {MAX_HOURS}")));
    }
    admin.record_read(&web, "history", json!(query)).await?;
    let (starts, window) = window(hours, web.app.clock.now());
    let mut conn = web.app.connection().await?;
    let happened = history::happened(&mut conn, &window).await?;
    let samples = history::samples(&mut conn, &window).await?;
    let reasons = history::reasons(&mut conn, &window, REASONS).await?;
    let buckets = starts.into_iter().filter_map(|start| {
        let Happened { provisions, denials } = happened.get(&start).copied().unwrap_or_default();
        let starts_at = DateTime::from_timestamp(start, 0)?;
        Some(Bucket { starts_at, provisions, denials, runners: samples.get(&start).copied() })
    });
    Ok(Json(History { hours, bucket_seconds: window.stretch, buckets: buckets.collect(), reasons }))
}

/// The starts of the stretches, of which the last holds this time, and the window that they make.
fn window(hours: i64, now: DateTime<Utc>) -> (Vec<i64>, Window) {
    let seconds = hours.saturating_mul(HOUR);
    let count = |stretch: i64| seconds.checked_div(stretch).unwrap_or(MAX_STRETCHES);
    let [.., longest] = STRETCHES;
    let stretch = STRETCHES.into_iter().find(|stretch| count(*stretch) <= MAX_STRETCHES).unwrap_or(longest);
    let last = now.timestamp().div_euclid(stretch).saturating_mul(stretch);
    let start = |back: i64| last.saturating_sub(back.saturating_mul(stretch));
    let starts: Vec<i64> = (0..count(stretch).max(1)).rev().map(start).collect();
    let time = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap_or(now);
    let since = time(starts.first().copied().unwrap_or(last));
    (starts, Window { since, until: time(last.saturating_add(stretch)), stretch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_window_is_cut_into_stretches_that_a_chart_has_room_for() {
        let now = DateTime::from_timestamp(1_790_000_123, 0).unwrap();
        for hours in 1..=MAX_HOURS {
            let (starts, window) = window(hours, now);
            assert!((10..=60).contains(&starts.len()), "{hours}: {}", starts.len());
            assert!(starts.iter().all(|start| start % window.stretch == 0), "{hours}");
            assert!(window.since.timestamp() == starts[0] && window.since <= now && now < window.until, "{hours}");
            assert!(window.until - window.since <= chrono::TimeDelta::hours(hours), "{hours}");
        }
        assert_eq!(window(24, now).0.len(), 48);
    }
}
