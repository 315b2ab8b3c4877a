//! What is kept in PostgreSQL: plain functions over a connection, each query checked at compile time.

pub mod audit_log;
pub mod audit_partitions;
pub mod audit_seals;
pub mod cache;
pub mod deliveries;
pub mod history;
pub mod idempotency;
pub mod job_runs;
pub mod owners;
pub mod readings;
pub mod revocations;
pub mod roles;
pub mod runners;
pub mod schema;

use std::time::Duration;

use futures_util::TryFutureExt as _;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Postgres, Transaction};

use crate::config::DatabaseConfig;

/// How long a request waits for a connection before it answers 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The server ends a transaction whose process is frozen or cut off, and frees what it locked. None of ours waits for
/// anything but the database.
const IDLE_IN_TRANSACTION: &str = "set idle_in_transaction_session_timeout = '10s'";

/// A connection that rested for longer is tried before it is used: the server may have ended it meanwhile. One that was
/// used a moment ago is not, which saves each request two ways to the database and back.
const RESTED: Duration = Duration::from_secs(1);

/// A pool of connections; connects when first used, so that `serve` can start before the database.
pub fn pool(config: &DatabaseConfig) -> PgPool {
    PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, rest| Box::pin(is_alive(connection, rest.idle_for)))
        .after_connect(|connection, _| Box::pin(connection.execute(IDLE_IN_TRANSACTION).map_ok(drop)))
        .connect_lazy_with(config.options.clone())
}

/// Begins a transaction, in a task of its own. Whoever waits for it may go away (a client, a time-out) while the database is
/// being told; the task goes on, and rolls back what nobody takes. Without that, the connection would go to the next one in
/// a transaction that nobody knows of and nobody commits (<https://github.com/launchbadge/sqlx/issues/4393>).
pub async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    tokio::spawn(async move { pool.begin().await }).await.map_err(|error| sqlx::Error::Io(error.into()))?
}

async fn is_alive(connection: &mut PgConnection, rested: Duration) -> sqlx::Result<bool> {
    if rested > RESTED {
        connection.ping().await?;
    }
    Ok(true)
}
