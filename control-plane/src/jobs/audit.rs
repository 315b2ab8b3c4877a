//! Seals the audit log outside the path of requests, signs how far it went, and sends it on.
//!
//! What is sealed, and in which order: docs/adr/0007-sealed-in-the-order-of-transactions.md. How: docs/audit.md.

use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use octocrab::Octocrab;
use serde::Serialize;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Turn, before};
use crate::audit::{AuditKey, Checkpoint, GENESIS, Seal, seal as seal_of};
use crate::config::AuditConfig;
use crate::operations::{App, OperationError};
use crate::store::audit_log::{self, Selection};
use crate::store::audit_seals::{self, Head, Link};

/// So many entries are sealed in a transaction, and sent in one go.
const BATCH: i64 = 1_000;
/// Partitions are there for this month and so many more: a service that could not make them for a quarter is noticed.
const MONTHS_AHEAD: i32 = 3;
/// What a webhook may take.
const POST_TIMEOUT: Duration = Duration::from_secs(10);
/// A transaction that is open for longer is worth a warning; those of this service last for seconds.
const LONG: f64 = 60.0;

/// One round: partitions, seals, a checkpoint if one is due, and everything that leaves the database. What fails does
/// not keep the rest from being done.
pub(super) async fn round(app: &App, config: &AuditConfig, turn: &Turn) -> Result<(), OperationError> {
    let partitions = add_partitions(app).await;
    seal(app, turn).await?;
    checkpoint(app, config.key.as_ref(), config.checkpoint_interval).await?;
    let published = publish(app, config).await;
    let pushed = match &config.file {
        Some(file) => push(app, file, turn).await.map(drop),
        None => Ok(()),
    };
    partitions.and(published).and(pushed)
}

async fn add_partitions(app: &App) -> Result<(), OperationError> {
    let left_out = audit_seals::add_partitions(&mut *app.connection().await?, MONTHS_AHEAD).await?;
    if !left_out.is_empty() {
        tracing::warn!(
            ?left_out,
            "months whose entries stay in audit_log_default, for they came before their partition"
        );
    }
    Ok(())
}

/// Seals every entry whose transaction, and all before it, have ended. Tells how many.
pub async fn seal(app: &App, turn: &Turn) -> Result<u64, OperationError> {
    let (mut sealed, mut after) = (0_u64, None);
    loop {
        turn.check()?;
        let batch = seal_batch(app, &mut after).await?;
        sealed = sealed.saturating_add(u64::try_from(batch).unwrap_or_default());
        if i64::try_from(batch).is_ok_and(|batch| batch < BATCH) {
            return Ok(sealed);
        }
    }
}

/// The lock keeps a second sealer off even if this process was frozen in the middle; the request's path never takes it.
async fn seal_batch(app: &App, after: &mut Option<(i64, i64)>) -> Result<usize, OperationError> {
    let mut transaction = app.pool.begin_with("begin isolation level repeatable read").await?;
    audit_seals::lock(&mut transaction).await?;
    let horizon = audit_seals::horizon(&mut transaction).await?;
    let records = audit_seals::unsealed(&mut transaction, &horizon, *after, BATCH).await?;
    let (mut position, mut previous) = match audit_seals::head(&mut transaction).await? {
        Some(Head { position, seal, .. }) => (position, Seal::try_from(seal.as_slice()).map_err(|_| broken())?),
        None => (0, GENESIS),
    };
    let mut links = Vec::with_capacity(records.len());
    for record in &records {
        position = position.checked_add(1).ok_or_else(broken)?;
        previous = seal_of(position, &previous, record);
        links.push(Link { position, entry_id: record.id, occurred_at: record.occurred_at, seal: previous });
    }
    audit_seals::extend(&mut transaction, &links).await?;
    let is_whole = i64::try_from(records.len()).is_ok_and(|count| count < BATCH);
    // A full batch may have ended in the middle of a transaction, which is looked at again.
    let sealed_below = match records.last() {
        _ if is_whole => Some(horizon.settled_below),
        Some(last) if !horizon.is_first => Some(last.transaction_id),
        _ => None,
    };
    if let Some(sealed_below) = sealed_below {
        audit_seals::set_sealed_below(&mut transaction, sealed_below, horizon.system_identifier).await?;
    }
    transaction.commit().await?;
    // Before an entry of another cluster, others may still come.
    let settled = records.last().filter(|last| last.transaction_id < horizon.settled_below);
    *after = settled.map(|last| (last.transaction_id, last.id));
    Ok(records.len())
}

fn broken() -> OperationError {
    OperationError::Internal("the end of the audit log's chain is no seal".to_owned())
}

/// Makes a checkpoint of the end of the chain, unless there is one, or a newer one than the interval asks for.
pub async fn checkpoint(
    app: &App,
    key: Option<&AuditKey>,
    interval: Duration,
) -> Result<Option<Checkpoint>, OperationError> {
    let mut connection = app.connection().await?;
    let Some(Head { position, seal, .. }) = audit_seals::head(&mut connection).await? else { return Ok(None) };
    let now = audit_seals::sent(&mut connection).await?.now;
    let limit = before(now, TimeDelta::from_std(interval).unwrap_or(TimeDelta::MAX));
    let last = audit_seals::last_checkpoint(&mut connection).await?;
    if last.is_some_and(|last| last.position >= position || last.made_at > limit) {
        return Ok(None);
    }
    let made = Checkpoint::new(position, hex::encode(seal), now, key);
    audit_seals::insert_checkpoint(&mut connection, &made).await?;
    if let Some(age) = audit_seals::waits_for(&mut connection).await?
        && age > LONG
    {
        tracing::warn!(
            seconds = age,
            "a transaction is open for long; entries made since then are sealed when it ends"
        );
    }
    Ok(Some(made))
}

/// Has the newest checkpoint leave the database, once it is there: what is only in it can be replaced with it.
async fn publish(app: &App, config: &AuditConfig) -> Result<(), OperationError> {
    let mut connection = app.connection().await?;
    let published = audit_seals::sent(&mut connection).await?.published;
    let last = audit_seals::last_checkpoint(&mut connection).await?;
    drop(connection);
    let Some(last) = last.filter(|last| last.position > published) else { return Ok(()) };
    if let Some(file) = &config.checkpoint_file {
        append(file, &lines(&[&last])?).await.map_err(|error| failed("AUDIT_CHECKPOINT_FILE", &error))?;
    }
    if let Some(url) = &config.checkpoint_url {
        post(url, &last).await.map_err(|error| failed("AUDIT_CHECKPOINT_URL", &*error))?;
    }
    tracing::info!(
        position = last.position,
        seal = last.seal,
        made_at = crate::audit::time::text(last.made_at),
        key_id = last.key_id,
        signature = last.signature,
        "audit checkpoint"
    );
    audit_seals::set_published(&mut *app.connection().await?, last.position).await?;
    Ok(())
}

/// A checkpoint as JSON, by the HTTP client that is there for GitHub. Its address may hold a password, so no error shows it.
async fn post(url: &str, checkpoint: &Checkpoint) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = Octocrab::builder().build()?;
    let answer = timeout(POST_TIMEOUT, client._post(url, Some(checkpoint))).await??;
    if answer.status().is_success() { Ok(()) } else { Err(format!("the answer is {}", answer.status()).into()) }
}

/// Adds every sealed entry to a file as a line of JSON, at least once: how far it came is recorded after it is on disk.
pub async fn push(app: &App, file: &Path, turn: &Turn) -> Result<u64, OperationError> {
    let selection = Selection::default();
    let mut pushed = audit_seals::sent(&mut *app.connection().await?).await?.pushed;
    let mut count = 0_usize;
    loop {
        let records = audit_log::page(&app.pool, &selection, pushed, BATCH).await?;
        let Some(last) = records.last().and_then(|record| record.position) else {
            return Ok(u64::try_from(count).unwrap_or_default());
        };
        turn.check()?;
        append(file, &lines(&records)?).await.map_err(|error| failed("AUDIT_FILE", &error))?;
        audit_seals::set_pushed(&mut *app.connection().await?, last).await?;
        pushed = last;
        count = count.saturating_add(records.len());
    }
}

fn lines<T: Serialize>(items: &[T]) -> Result<Vec<u8>, OperationError> {
    let mut bytes = Vec::new();
    for item in items {
        serde_json::to_writer(&mut bytes, item).map_err(|error| OperationError::Internal(error.to_string()))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Opened anew each time, so that it may be rotated. A line that a crash cut off is ended first; it comes again whole.
async fn append(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // It names people: it is for the service's account alone.
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).await?;
    if file.metadata().await?.len() > 0 {
        file.seek(std::io::SeekFrom::End(-1)).await?;
        if file.read_u8().await? != b'\n' {
            file.write_all(b"\n").await?;
        }
    }
    file.write_all(bytes).await?;
    file.sync_data().await
}

fn failed(variable: &str, error: &(dyn std::error::Error + 'static)) -> OperationError {
    OperationError::Internal(format!("{variable}: {error}"))
}
