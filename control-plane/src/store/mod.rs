//! What is kept in PostgreSQL: plain functions over a connection, each query checked at compile time.

pub mod audit_log;
pub mod cache;
pub mod deliveries;
pub mod idempotency;
pub mod job_runs;
pub mod runners;
pub mod schema;

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::config::DatabaseConfig;

/// How long a request waits for a connection before it answers 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool of connections; connects when first used, so that `serve` can start before the database.
pub fn pool(config: &DatabaseConfig) -> PgPool {
    PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(config.options.clone())
}
