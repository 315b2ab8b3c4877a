//! The time that something takes, and the most memory that it has at once.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench::command::{self, Taken};
use bench::kernel::peak_memory;
use serde::Serialize;
use sqlx::PgConnection;
use testkit::system::System;

/// Between two looks at how far the chain is.
const SEALED: Duration = Duration::from_millis(100);

/// What was measured.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) entries: u32,
    pub(crate) seconds: f64,
    /// Resident, in bytes.
    pub(crate) peak_memory: u64,
}

/// Runs a command over so many entries, which must succeed.
pub(crate) fn run(name: &str, entries: u32, command: &mut Command) -> anyhow::Result<Figure> {
    eprintln!("{name}: {entries} entries");
    let Taken { seconds, peak_memory } = command::run(command)?;
    Ok(Figure { name: name.to_owned(), entries, seconds, peak_memory })
}

/// Waits until the service has sealed all that is there; from the first batch to the last.
pub(crate) async fn sealing(system: &mut System, connection: &mut PgConnection) -> anyhow::Result<Figure> {
    let process = system.control_planes().first_mut().context("no control plane")?.process().id();
    let all: i64 = sqlx::query_scalar("select count(*) from audit_log").fetch_one(&mut *connection).await?;
    let before = sealed(connection).await?;
    while sealed(connection).await? == before {
        tokio::time::sleep(SEALED).await;
    }
    let (began, first) = (Instant::now(), sealed(connection).await?);
    let mut last = first;
    while last < all {
        tokio::time::sleep(SEALED).await;
        last = sealed(connection).await?;
    }
    let (entries, seconds) = (u32::try_from(last.saturating_sub(first))?, began.elapsed().as_secs_f64());
    let peak_memory = peak_memory(process).context("the control plane has ended")?;
    Ok(Figure { name: "seal".to_owned(), entries, seconds, peak_memory })
}

/// How far the chain is.
async fn sealed(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let head = "select coalesce(max(position), 0) from audit_log_seals";
    sqlx::query_scalar(head).fetch_one(connection).await
}
