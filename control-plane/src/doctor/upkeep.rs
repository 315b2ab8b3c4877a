//! What the service does on its own: that each job runs and does well, and that runners go which are to go.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use sqlx::PgConnection;

use super::Finding;
use crate::jobs::{self, Job};
use crate::store::job_runs::{JobRun, Report};
use crate::store::runners;

/// A job looks twice a second whether it is due: one that is so late has nobody to do it.
const LATE: TimeDelta = TimeDelta::minutes(1);

/// At most so many stuck runners are counted and told; `GET /api/v1/admin/runners?stuck=true` tells all.
pub const MAX_STUCK: i64 = 100;

/// Looks at the jobs, and at the drain queue, in which a runner that has waited for longer than `stuck_after` is stuck; not at
/// the queue if that is not known.
pub(super) async fn look(
    conn: &mut PgConnection,
    stuck_after: Option<Duration>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Finding>> {
    let states = jobs::states(conn).await?;
    let found = states.into_iter().map(|(each, run, is_running)| job(each, run.as_ref(), is_running, now));
    let mut findings: Vec<Finding> = found.collect();
    if let Some(stretch) = stuck_after.and_then(|stretch| TimeDelta::from_std(stretch).ok()) {
        let stuck = runners::draining_since_before(conn, stuck_before(stretch, now), MAX_STUCK).await?;
        findings.push(drains(stuck.len(), stretch));
    }
    Ok(findings)
}

/// Who has been draining since before this time has been for longer than a stretch of time.
pub fn stuck_before(stretch: TimeDelta, now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_sub_signed(stretch).unwrap_or(DateTime::UNIX_EPOCH)
}

/// How a job does: by its newest run, and whether somebody is at it now.
pub fn job(job: Job, run: Option<&JobRun>, is_running: bool, now: DateTime<Utc>) -> Finding {
    let name = job.name();
    let serve = "see that `runner-tokens serve` is running, and docs/operations.md on jobs that are stuck";
    let Some(run) = run else {
        return Finding::warning("jobs", format!("{name} has not come to its end yet"), serve);
    };
    match &run.report {
        Some(Report { problem: Some(problem), replica, .. }) => {
            let what = format!("{name} failed at {}: {problem}", run.done_at.trunc_subsecs(0));
            Finding::warning("jobs", what, format!("it is tried again; the log of {replica} says more, at level WARN"))
        }
        Some(Report { next_at, .. }) if !is_running && now.signed_duration_since(*next_at) > LATE => Finding::warning(
            "jobs",
            format!("{name} was due at {}, and nobody does it", next_at.trunc_subsecs(0)),
            serve,
        ),
        _ => Finding::ok("jobs", format!("{name} is done on time")),
    }
}

/// How the drain queue does, of which so many runners have waited for longer than a stretch of time.
pub fn drains(stuck: usize, stretch: TimeDelta) -> Finding {
    if stuck == 0 {
        return Finding::ok("drains", "no runner is stuck");
    }
    let what = format!("{stuck} runner(s) have been draining for longer than {} s", stretch.num_seconds());
    let fix = "see why each of them waits; cancel the job that it runs if that hangs (docs/operations.md)";
    Finding::warning("drains", what, fix)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_job_is_found_that_failed_or_that_nobody_does() {
        let now = DateTime::UNIX_EPOCH;
        let run = |problem: Option<&str>, late: TimeDelta| {
            let (problem, next_at) = (problem.map(str::to_owned), now - late);
            let report = Report { problem, replica: "a:1".to_owned(), next_at };
            JobRun { job: "upkeep".to_owned(), done_at: now - TimeDelta::hours(1), report: Some(report) }
        };
        let level = |run: Option<JobRun>, is_running| job(Job::Upkeep, run.as_ref(), is_running, now).level;
        assert_eq!(level(Some(run(None, LATE)), false), Level::Ok);
        assert_eq!(level(Some(run(None, LATE * 2)), false), Level::Warning);
        assert_eq!(level(Some(run(None, LATE * 2)), true), Level::Ok, "a long run");
        assert_eq!(level(Some(run(Some("GitHub does not answer"), -LATE)), false), Level::Warning);
        assert_eq!(level(None, false), Level::Warning);
        let of_older_version = JobRun { report: None, ..run(None, LATE) };
        assert_eq!(level(Some(of_older_version), false), Level::Ok);
    }
}
