//! Whose turn it is: an advisory lock of PostgreSQL, held by a session of its own that must keep showing signs of life.
//!
//! The lock ends with its session. A process that dies closes it; of one that is frozen or cut off, the server hears
//! nothing and ends the session itself. A process that can't reach the server gives up before that, so two never work
//! at the same time, except for one that was frozen in the middle of a step: see [`Turn::check`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Job;
use crate::operations::App;

/// How often the session shows that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// What comes later than this is no answer. With the pause before it, less than the silence that the server allows.
const BEAT_TIMEOUT: Duration = Duration::from_secs(3);
/// The last answer is at most so old while the turn is held.
const HELD: Duration = BEAT.saturating_add(BEAT_TIMEOUT);
/// The server ends a session that is silent for so long, and somebody else may take the turn.
const SILENCE: &str = "set idle_session_timeout = '5s'";

/// Proof that this process alone does a job. It ends when it is dropped, at once.
pub struct Turn {
    alive: Arc<Mutex<Instant>>,
    lost: CancellationToken,
    over: CancellationToken,
    session: JoinHandle<()>,
}

/// The turn was lost: another process may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the turn was lost: the database did not hear of this process, or it not of the database")]
pub struct Lost;

/// The turn, if nobody has it.
pub async fn try_turn(app: &App, job: Job) -> sqlx::Result<Option<Turn>> {
    let mut session = app.connection().await?;
    let query = "select pg_try_advisory_lock(hashtextextended($1, 0))";
    if sqlx::query_scalar(query).bind(job.lock()).fetch_one(&mut *session).await? {
        // It leaves the pool: while it works, the job needs connections like everybody else.
        return Turn::of(session.detach()).await.map(Some);
    }
    Ok(None)
}

/// The turn, as soon as nobody else has it.
pub async fn wait_for_turn(app: &App, job: Job) -> sqlx::Result<Turn> {
    let mut session = app.connection().await?.detach();
    let query = "select pg_advisory_lock(hashtextextended($1, 0))";
    sqlx::query(query).bind(job.lock()).execute(&mut session).await?;
    Turn::of(session).await
}

/// The jobs whose turn somebody has now, here or elsewhere.
pub(super) async fn taken(conn: &mut PgConnection) -> sqlx::Result<Vec<Job>> {
    let locks: Vec<String> = Job::ALL.into_iter().map(Job::lock).collect();
    // A lock's number is kept in two halves.
    let query = sqlx::query_scalar!(
        r#"select lock as "lock!" from unnest($1::text[]) as lock where exists (
            select from pg_locks where locktype = 'advisory' and granted and objsubid = 1
                and database = (select oid from pg_database where datname = current_database())
                and ((classid::bigint << 32) | objid::bigint) = hashtextextended(lock, 0)
        )"#,
        &locks
    );
    let held = query.fetch_all(conn).await?;
    Ok(Job::ALL.into_iter().filter(|job| held.contains(&job.lock())).collect())
}

impl Turn {
    async fn of(mut session: PgConnection) -> sqlx::Result<Self> {
        let asked = Instant::now();
        sqlx::query(SILENCE).execute(&mut session).await?;
        let (lost, over) = (CancellationToken::new(), CancellationToken::new());
        let alive = Arc::new(Mutex::new(asked));
        let session = tokio::spawn(keep(session, Arc::clone(&alive), lost.clone(), over.clone()));
        Ok(Self { alive, lost, over, session })
    }

    /// Works as long as the turn is held.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Err(Lost),
            done = work => Ok(done),
        }
    }

    /// Whether the turn is still held, to be asked before each step that can't be undone. A process that was frozen
    /// learns here that somebody else has worked meanwhile.
    pub fn check(&self) -> Result<(), Lost> {
        let alive = *self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lost.is_cancelled() || alive.elapsed() > HELD { Err(Lost) } else { Ok(()) }
    }

    /// Gives the turn up, and waits until others can have it.
    pub async fn release_now(mut self) -> sqlx::Result<()> {
        self.over.cancel();
        // It can only end; a panic in it has been reported by then.
        let _ = (&mut self.session).await;
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// Shows signs of life until the turn is over or lost, then ends the session and with it the lock.
async fn keep(mut session: PgConnection, alive: Arc<Mutex<Instant>>, lost: CancellationToken, over: CancellationToken) {
    loop {
        tokio::select! {
            () = over.cancelled() => break,
            () = sleep(BEAT) => {}
        }
        let asked = Instant::now();
        if !matches!(timeout(BEAT_TIMEOUT, session.ping()).await, Ok(Ok(()))) {
            lost.cancel();
            return;
        }
        *alive.lock().unwrap_or_else(PoisonError::into_inner) = asked;
    }
    let unlock = async {
        sqlx::query("select pg_advisory_unlock_all()").execute(&mut session).await?;
        session.close().await
    };
    // If that fails, the connection is closed all the same.
    if !matches!(timeout(BEAT_TIMEOUT, unlock).await, Ok(Ok(()))) {
        tracing::debug!("the session of a turn did not end in order");
    }
}
