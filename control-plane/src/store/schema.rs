//! The migrations, compiled in, and whether a database has them.

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

/// Everything in `migrations/`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Why a database can't be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Migrations are missing.
    #[error("the database lacks {0} migration(s); run `runner-tokens init-db`")]
    Behind(usize),
    /// Could not be read.
    #[error("the database can't be read")]
    Database(#[from] sqlx::Error),
}

/// Applies the migrations that are missing; safe to repeat, and for several at once. Tells how many there were.
pub async fn migrate(pool: &PgPool) -> Result<usize, MigrateError> {
    let missing = missing(pool).await.map_err(MigrateError::from)?;
    MIGRATIONS.run(pool).await?;
    Ok(missing)
}

/// Whether every migration is applied. Later ones of a newer version are fine: that is what a roll-out looks like.
pub async fn check(pool: &PgPool) -> Result<(), SchemaError> {
    match missing(pool).await? {
        0 => Ok(()),
        missing => Err(SchemaError::Behind(missing)),
    }
}

async fn missing(pool: &PgPool) -> Result<usize, sqlx::Error> {
    let applied = match sqlx::query_scalar!("select version from _sqlx_migrations where success").fetch_all(pool).await
    {
        Ok(versions) => versions,
        // The table itself is missing: nothing was ever applied. 42P01 is `undefined_table`.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count())
}
