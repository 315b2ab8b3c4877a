//! Named points at which the program is made to stand still, and killed there.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use testkit::github::{Endpoint, Fault};

use crate::program::Surroundings;

/// Where it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// In the transaction that writes this audit entry: nothing of it is committed.
    Entry(&'static str),
    /// That transaction is committed, and the program has not heard of it.
    Committed(&'static str),
    /// GitHub has the call and has done nothing yet; it never will, for the caller is gone.
    Asked(Endpoint),
    /// GitHub has done what was asked and has not answered.
    Done(Endpoint),
    /// The client has its answer.
    Answered,
}

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_hours(1);
const PATIENCE: Duration = Duration::from_secs(20);
/// The name space of the locks below.
const LOCKS: i32 = 7;

/// Every entry passes a gate of its own, which a test can shut.
const GATES: &str = "
    create function pass_gate() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock_shared(7, hashtext(new.event));
        return new;
    end $$;
    create trigger gate before insert on audit_log for each row execute function pass_gate();
    create trigger gate before insert on webhook_deliveries for each row execute function pass_gate();";

/// Puts the gates into a database.
pub(crate) async fn install(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql(GATES).execute(pool).await?;
    Ok(())
}

/// A stop that is prepared. Dropping it opens its gate.
pub(crate) struct Prepared {
    stop: Stop,
    gate: Option<PoolConnection<Postgres>>,
    /// GitHub as it was before.
    calls: usize,
    runners: usize,
    secrets: usize,
}

impl Stop {
    pub(crate) async fn prepare(self, pool: &PgPool, around: &Surroundings) -> anyhow::Result<Prepared> {
        let mut gate = None;
        let mut calls = 0;
        match self {
            Self::Entry(event) | Self::Committed(event) => {
                let mut connection = pool.acquire().await?;
                set_gate("pg_advisory_lock", event, &mut connection).await?;
                gate = Some(connection);
            }
            Self::Asked(endpoint) | Self::Done(endpoint) => {
                calls = around.github.count(endpoint);
                let before = matches!(self, Self::Asked(_));
                let fault = if before { Fault::HangBeforeCommit } else { Fault::HangAfterCommit };
                around.github.inject(endpoint, fault(FOR_EVER), 1);
            }
            Self::Answered => {}
        }
        let (runners, secrets) = (around.github.runners().len(), around.github.runner_secrets().len());
        Ok(Prepared { stop: self, gate, calls, runners, secrets })
    }
}

impl Prepared {
    /// Waits until the program stands there.
    pub(crate) async fn reached(&mut self, pool: &PgPool, around: &Surroundings) -> anyhow::Result<()> {
        match self.stop {
            Stop::Entry(_) => until_somebody_waits(pool).await,
            Stop::Committed(event) => {
                until_somebody_waits(pool).await?;
                around.relay.keep_back_next_commit();
                if let Some(mut gate) = self.gate.take() {
                    set_gate("pg_advisory_unlock", event, &mut gate).await?;
                }
                Ok(tokio::time::timeout(PATIENCE, around.relay.until_kept_back()).await?)
            }
            Stop::Asked(endpoint) => self.until_done(around, endpoint, |_| true).await,
            Stop::Done(endpoint) => {
                let (runners, secrets) = (self.runners, self.secrets);
                let changed = |around: &Surroundings| {
                    around.github.runners().len() != runners || around.github.runner_secrets().len() != secrets
                };
                self.until_done(around, endpoint, changed).await
            }
            Stop::Answered => Ok(()),
        }
    }

    async fn until_done(
        &self,
        around: &Surroundings,
        endpoint: Endpoint,
        done: impl Fn(&Surroundings) -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        while around.github.count(endpoint) == self.calls || !done(around) {
            ensure!(started.elapsed() < PATIENCE, "{:?} was never reached", self.stop);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Opens what was shut; to be called when the program is dead.
    pub(crate) async fn release(mut self, around: &Surroundings) -> anyhow::Result<()> {
        if let (Some(mut gate), Stop::Entry(event)) = (self.gate.take(), self.stop) {
            set_gate("pg_advisory_unlock", event, &mut gate).await?;
        }
        around.github.clear_faults();
        Ok(())
    }
}

async fn set_gate(function: &str, event: &str, connection: &mut PoolConnection<Postgres>) -> anyhow::Result<()> {
    let call = format!("select {function}($1, hashtext($2))");
    sqlx::query(sqlx::AssertSqlSafe(call)).bind(LOCKS).bind(event).execute(&mut **connection).await?;
    Ok(())
}

async fn until_somebody_waits(pool: &PgPool) -> anyhow::Result<()> {
    let started = Instant::now();
    let query = "select exists (select from pg_locks where locktype = 'advisory' and classid = 7 and not granted
        and database = (select oid from pg_database where datname = current_database()))";
    while !sqlx::query_scalar::<_, bool>(query).fetch_one(pool).await? {
        ensure!(started.elapsed() < PATIENCE, "nobody came to the gate");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
