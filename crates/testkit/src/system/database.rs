//! A database of its own for each system.

use std::thread;

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::random::{Random, seed};

/// An empty database that is dropped with this handle.
pub struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    /// Makes one on the server with this URL, whose user must be allowed to.
    pub async fn create(server: &str) -> anyhow::Result<Self> {
        let name = format!("rts_{}", Random::new(seed()).hex(12));
        run(server, format!("create database {name}")).await?;
        let url = with_database(server, &name).context("the server's URL names no database")?;
        Ok(Self { server: server.to_owned(), name, url })
    }

    /// Its URL, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("drop database if exists {} with (force)", self.name));
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(&server, statement))
        });
        // The server may have been stopped on purpose, and what remains goes with it.
        let _ = dropping.join();
    }
}

async fn run(server: &str, statement: String) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server).await.context("could not connect to Postgres")?;
    // The name in it is this module's own.
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The URL with another database, everything else as it is.
fn with_database(url: &str, database: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (server, old) = rest.split_once('/')?;
    let query = old.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    Some(format!("{scheme}://{server}/{database}{query}"))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_changes() {
        let url = |url| with_database(url, "mine").unwrap();
        assert_eq!(url("postgres://u:p@127.0.0.1:1/postgres"), "postgres://u:p@127.0.0.1:1/mine");
        assert_eq!(url("postgres://u@host/db?sslmode=disable&x=/"), "postgres://u@host/mine?sslmode=disable&x=/");
        assert_eq!(with_database("postgres", "mine"), None);
    }
}
