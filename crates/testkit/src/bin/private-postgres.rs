//! A private Postgres for as long as somebody holds its standard input: prints the URL on one line and waits.
//!
//! `cargo xtask test` starts one for all tests, `cargo xtask queries` one with the tables: the only argument is a
//! directory with migrations. It needs `PG_BIN`.

use std::env;
use std::io::{Read as _, Write as _, stderr, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};
use testkit::system::{Postgres, Scope};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed terminal is no reason to panic.
            let _ = writeln!(stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let programs = env::var_os("PG_BIN").context("PG_BIN is not set: use `cargo xtask test`")?;
    let scope = Arc::new(Scope::new()?);
    let postgres = Postgres::start(Path::new(&programs), &scope).await?;
    if let Some(migrations) = env::args_os().nth(1) {
        let mut connection = PgConnection::connect(postgres.url()).await?;
        Migrator::new(Path::new(&migrations)).await?.run(&mut connection).await.context("the migrations")?;
    }
    writeln!(stdout(), "{}", postgres.url())?;
    // Ends with an end of file: the other side has let go, or is no more.
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
