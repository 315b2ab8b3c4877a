//! The real program, killed at every step of what it does and at any moment: whatever was half done is put right,
//! nothing is left on GitHub, and nobody holds a secret of which the audit log does not know.

mod deletions;
mod moments;
mod program;
mod provisions;
mod recovery;
mod stops;
mod upkeep;
mod webhooks;

use sqlx::migrate::Migrator;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");
