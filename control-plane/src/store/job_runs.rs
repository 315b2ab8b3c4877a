//! Rows of `job_runs`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The newest run of a job that came to its end, of all replicas.
#[derive(Clone, Debug)]
pub struct JobRun {
    /// The job's name.
    pub job: String,
    /// When it was begun.
    pub done_at: DateTime<Utc>,
    /// What came of it; nothing if a version did it that did not tell.
    pub report: Option<Report>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// In a few words why it failed; nothing if it went well.
    pub problem: Option<String>,
    /// The process that did it.
    pub replica: String,
    /// When the next one is due.
    pub next_at: DateTime<Utc>,
}

/// When a job was begun that came to its end, the newest of all replicas.
pub async fn done_at(conn: &mut PgConnection, job: &str) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select done_at from job_runs where job = $1", job).fetch_optional(conn).await
}

/// The newest run of each job that ever came to its end.
pub async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<JobRun>> {
    let rows = sqlx::query!("select job, done_at, told_of, problem, replica, next_at from job_runs");
    let runs = rows.fetch_all(conn).await?.into_iter().map(|row| {
        let told = row.replica.zip(row.next_at).filter(|_| row.told_of == Some(row.done_at));
        let report = told.map(|(replica, next_at)| Report { problem: row.problem, replica, next_at });
        JobRun { job: row.job, done_at: row.done_at, report }
    });
    Ok(runs.collect())
}

/// Records that a job came to its end.
pub async fn set_done(conn: &mut PgConnection, job: &str, done_at: DateTime<Utc>, told: &Report) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into job_runs (job, done_at, told_of, problem, replica, next_at) values ($1, $2, $2, $3, $4, $5)
        on conflict (job) do update set done_at = excluded.done_at, told_of = excluded.told_of,
            problem = excluded.problem, replica = excluded.replica, next_at = excluded.next_at",
        job,
        done_at,
        told.problem,
        told.replica,
        told.next_at
    )
    .execute(conn)
    .await
    .map(drop)
}
