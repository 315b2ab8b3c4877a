//! What is so now, read when somebody asks.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};
use sqlx::PgConnection;
use tokio::time::timeout;

use super::Metric;
use super::catalogue::{
    AUDIT_OLDEST, AUDIT_UNSEALED, BUILD, CONNECTIONS, CONNECTIONS_MAX, DRAIN_LENGTH, DRAIN_OLDEST, GITHUB_LIMIT,
    GITHUB_PAUSED, GITHUB_REMAINING, GITHUB_RESETS, JOB_LAST, JOB_LEADER, POLICY, POLICY_LOADED, POLICY_RULES,
    POLICY_STALE, RUNNERS,
};
use crate::causes::causes;
use crate::github::BudgetState;
use crate::jobs::Job;
use crate::operations::App;
use crate::runner::State;
use crate::store::{job_runs, readings};

/// What is read from the database, each by itself.
pub(super) const READINGS: [&str; 4] = [RUNNERS_READING, DRAINS_READING, AUDIT_READING, JOBS_READING];
const RUNNERS_READING: &str = "runners";
const DRAINS_READING: &str = "drain_queue";
const AUDIT_READING: &str = "audit";
const JOBS_READING: &str = "jobs";

/// All readings together take less than the 10 s that Prometheus waits unless told otherwise.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// Everything, in Prometheus's text format.
pub(super) async fn scrape(app: &App) -> prometheus::Result<String> {
    let (gauges, now) = (Gauges(Registry::new()), app.clock.now());
    gauges.one(&BUILD, &[env!("CARGO_PKG_VERSION")], 1)?;
    policy(app, &gauges)?;
    pool(app, &gauges)?;
    github(&app.github.budgets(), &gauges, now)?;
    database(app, &gauges, now).await?;
    // Last, so that a reading that failed is counted.
    let families = [gauges.0.gather(), app.metrics.registry.gather()].concat();
    TextEncoder::new().encode_to_string(&families)
}

/// Gauges of one answer; nothing of them is kept, so none is ever stale.
struct Gauges(Registry);

impl Gauges {
    fn all<'a, const N: usize>(
        &self,
        metric: &Metric,
        values: impl IntoIterator<Item = ([&'a str; N], i64)>,
    ) -> prometheus::Result<()> {
        let gauges = IntGaugeVec::new(Opts::new(metric.name, metric.about), metric.labels)?;
        for (labels, value) in values {
            gauges.get_metric_with_label_values(&labels)?.set(value);
        }
        self.0.register(Box::new(gauges))
    }

    fn one<const N: usize>(&self, metric: &Metric, labels: &[&str; N], value: i64) -> prometheus::Result<()> {
        self.all(metric, [(*labels, value)])
    }
}

fn policy(app: &App, gauges: &Gauges) -> prometheus::Result<()> {
    let (status, rules) = (app.policy.status(), app.policy.current().size());
    gauges.one(&POLICY, &[status.status, status.sha256.as_deref().unwrap_or_default()], 1)?;
    gauges.one(&POLICY_STALE, &[], i64::from(status.status == "stale"))?;
    gauges.one(&POLICY_LOADED, &[], status.loaded_at.timestamp())?;
    gauges.all(&POLICY_RULES, rules.map(|rules| ([], i64::try_from(rules).unwrap_or(i64::MAX))))
}

fn pool(app: &App, gauges: &Gauges) -> prometheus::Result<()> {
    let idle = i64::try_from(app.pool.num_idle()).unwrap_or(i64::MAX);
    let used = i64::from(app.pool.size()).saturating_sub(idle).max(0);
    gauges.all(&CONNECTIONS, [(["idle"], idle), (["used"], used)])?;
    gauges.one(&CONNECTIONS_MAX, &[], app.pool.options().get_max_connections().into())
}

fn github(budgets: &[BudgetState], gauges: &Gauges, now: DateTime<Utc>) -> prometheus::Result<()> {
    let number = |calls: u64| i64::try_from(calls).unwrap_or(i64::MAX);
    let hours = || budgets.iter().filter_map(|budget| Some(([budget.account.as_str()], budget.hour?)));
    let current = || budgets.iter().filter_map(|budget| Some(([budget.account.as_str()], budget.hour_at(now)?)));
    gauges.all(&GITHUB_LIMIT, hours().map(|(account, hour)| (account, number(hour.limit))))?;
    gauges.all(&GITHUB_REMAINING, current().map(|(account, hour)| (account, number(hour.remaining))))?;
    gauges.all(&GITHUB_RESETS, current().map(|(account, hour)| (account, hour.resets_at.timestamp())))?;
    let paused = |budget: &BudgetState| i64::from(budget.pause_at(now).is_some());
    gauges.all(&GITHUB_PAUSED, budgets.iter().map(|budget| ([budget.account.as_str()], paused(budget))))
}

async fn database(app: &App, gauges: &Gauges, now: DateTime<Utc>) -> prometheus::Result<()> {
    if let Some(counts) = read(app, RUNNERS_READING, |conn| readings::live_runners(conn).boxed()).await {
        let of = |state: State| counts.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
        let live = State::ALL.into_iter().filter(|state| *state != State::Deleted);
        gauges.all(&RUNNERS, live.map(|state| ([state.as_str()], of(state))))?;
    }
    if let Some(queue) = read(app, DRAINS_READING, |conn| readings::drain_queue(conn, now).boxed()).await {
        gauges.one(&DRAIN_LENGTH, &[], queue.length)?;
        gauges.one(&DRAIN_OLDEST, &[], queue.oldest_seconds)?;
    }
    if let Some(unsealed) = read(app, AUDIT_READING, |conn| readings::unsealed(conn).boxed()).await {
        gauges.one(&AUDIT_UNSEALED, &[], unsealed.length)?;
        gauges.one(&AUDIT_OLDEST, &[], unsealed.oldest_seconds)?;
    }
    if let Some(runs) = read(app, JOBS_READING, |conn| job_runs::all(conn).boxed()).await {
        let runs: Vec<_> = Job::ALL
            .into_iter()
            .filter_map(|job| runs.iter().find(|run| run.job == job.name()).map(|run| (job.name(), run.done_at)))
            .collect();
        gauges.all(&JOB_LAST, runs.iter().map(|(job, done)| ([*job], done.timestamp())))?;
        let leads = |job: &str, done: DateTime<Utc>| i64::from(app.metrics.jobs.did(job, done));
        gauges.all(&JOB_LEADER, runs.iter().map(|(job, done)| ([*job], leads(job, *done))))?;
    }
    Ok(())
}

/// A reading within its time; nothing if there is none, which is counted.
async fn read<T>(
    app: &App,
    reading: &'static str,
    query: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>>,
) -> Option<T> {
    let work = async {
        let mut transaction = app.pool.begin_with("begin read only").await?;
        // For the server, which hears nothing of a reading that is given up.
        sqlx::query("set local statement_timeout = '2s'").execute(&mut *transaction).await?;
        let found = query(&mut transaction).await?;
        transaction.rollback().await?;
        Ok::<_, sqlx::Error>(found)
    };
    let error = match timeout(READ_TIMEOUT, work).await {
        Ok(Ok(found)) => return Some(found),
        Ok(Err(error)) => causes(&error),
        Err(_) => format!("no answer within {READ_TIMEOUT:?}"),
    };
    tracing::warn!(reading, error, "a reading for the metrics failed; it is left out");
    app.metrics.scrape_failures.add(&[reading]);
    None
}
