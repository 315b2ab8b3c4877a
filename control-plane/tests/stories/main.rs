//! Stories over the real router, a real PostgreSQL and a GitHub with state.

mod access;
mod audit;
mod calls;
mod commands;
mod drain;
mod idempotency;
mod lost_answers;
mod manage;
mod provision;
mod reconcile;
mod replicas;
mod stale;
mod webhooks;
mod world;

use sqlx::migrate::Migrator;

/// The tables of each story's own database.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");
