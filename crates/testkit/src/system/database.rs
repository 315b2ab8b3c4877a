//! A database of its own for each system.

use std::str::FromStr as _;
use std::thread;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

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
        let options = PgConnectOptions::from_str(server)?.database(&name);
        Ok(Self { server: server.to_owned(), name, url: options.to_url_lossy().into() })
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
