//! `drop-audit-log`: old months of the audit log go, once a file holds what was in them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};

use super::confirm::{self, Consent, Unattended};
use super::progress::{Progress, during};
use super::table::{Cell, render};
use super::{Output, account, environment, open, screen};
use crate::audit::{AuditKey, Chain, Dropped, Entry, Event, Gaps, Outcome, Records};
use crate::config;
use crate::store::audit_partitions::{self, Partition, Sealed};
use crate::store::{self, audit_seals, roles};

/// So many seals are compared at a time.
const BATCH: i64 = 5_000;
/// The lock on the table waits no longer than this for those who read it; all who write would wait behind it.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '5s'";

#[derive(Args)]
pub(super) struct DropArgs {
    /// Months before this one: 2026-01
    #[arg(long, value_name = "MONTH", value_parser = parse_month)]
    before: DateTime<Utc>,
    /// The file (export-audit-log) that holds exactly their entries
    #[arg(long, value_name = "FILE")]
    export: PathBuf,
    #[command(flatten)]
    consent: Consent,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn parse_month(text: &str) -> Result<DateTime<Utc>, String> {
    let day = format!("{text}-01").parse::<NaiveDate>();
    day.map(|day| day.and_time(NaiveTime::MIN).and_utc()).map_err(|_| "write a month as 2026-01".to_owned())
}

pub(super) async fn drop_partitions(arguments: DropArgs) -> anyhow::Result<()> {
    let must_ask = arguments.consent.must_ask(Unattended::IsRefused)?;
    let (database, key) = config::database_and_audit_key(&environment)?;
    let options = json!({"before": arguments.before, "dry_run": arguments.consent.dry_run});
    let pool = open(&database, "drop-audit-log", options).await?;
    let rights = roles::audit_rights(&mut *pool.acquire().await?).await?;
    ensure!(
        rights.owns,
        "{} may not drop parts of the audit log; set DATABASE_URL to a role that is a member of its owner",
        rights.role
    );
    let partitions = audit_partitions::before(&mut *pool.acquire().await?, arguments.before).await?;
    ensure!(
        !partitions.is_empty(),
        "no month that is over has a partition before {}",
        arguments.before.format("%Y-%m")
    );
    let dropped = compare(&pool, &partitions, &arguments.export, key.as_ref()).await?;
    if must_ask {
        confirm::ask(&question(&dropped, arguments.before))?;
    }
    if !arguments.consent.dry_run {
        during("dropping", carry_out(&pool, &partitions, &dropped)).await?;
    }
    print(&dropped, &arguments)
}

fn question(dropped: &[Dropped], before: DateTime<Utc>) -> String {
    let entries: i64 = dropped.iter().map(|each| each.entries).sum();
    let names: Vec<&str> = dropped.iter().map(|each| each.partition_name.as_str()).collect();
    format!(
        "{entries} entries of the audit log, all those before {}, will be dropped from the database for good, with {} \
         partition(s): {}. The file holds each of them.",
        before.format("%Y-%m"),
        names.len(),
        names.join(", ")
    )
}

fn print(dropped: &[Dropped], arguments: &DropArgs) -> anyhow::Result<()> {
    let dry_run = arguments.consent.dry_run;
    if arguments.output == Output::Json {
        return screen::print_json(&json!({"dry_run": dry_run, "partitions": dropped}));
    }
    let row = |each: &Dropped| {
        let positions = [each.first_position, each.last_position].map(Cell::number);
        [Cell::new(&each.partition_name), Cell::number(Some(each.entries))].into_iter().chain(positions).collect()
    };
    let rows: Vec<Vec<Cell>> = dropped.iter().map(row).collect();
    screen::print(&render(&["PARTITION", "ENTRIES", "FIRST POSITION", "LAST POSITION"], &rows))?;
    screen::note(if dry_run { "nothing was dropped: a dry run" } else { "dropped" });
    Ok(())
}

/// Whether the file holds each entry of the partitions as it was sealed, and no other; what to record of each of them.
async fn compare(
    pool: &PgPool,
    partitions: &[Partition],
    path: &Path,
    key: Option<&AuditKey>,
) -> anyhow::Result<Vec<Dropped>> {
    let mut connection = pool.acquire().await?;
    let mut counts: Vec<Dropped> = partitions.iter().map(nothing_yet).collect();
    let mut file = Hashing { file: File::open(path).with_context(|| path.display().to_string())?, hash: Sha256::new() };
    let mut records = Records::new(&mut file)?;
    let mut chain = Chain::new(0, Gaps::Any);
    let mut after = 0;
    let mut progress = Progress::new("comparing entries with the file", None);
    loop {
        let seals = audit_partitions::seals(&mut connection, partitions, after, BATCH).await?;
        let Some(last) = seals.last() else { break };
        after = last.position;
        for sealed in &seals {
            let Some(record) = records.next().transpose()? else {
                bail!("the file ends before position {}; export the months whole", sealed.position);
            };
            if let Err(finding) = chain.take(&record) {
                bail!("the file does not verify: position {:?}: {}", finding.position, finding.detail);
            }
            ensure!(
                record.position == Some(sealed.position) && record.seal.as_ref() == Some(&sealed.seal),
                "the file has position {:?} where position {} is to be dropped, or it has another seal",
                record.position,
                sealed.position
            );
            count(&mut counts, partitions, sealed);
            progress.add(1);
        }
    }
    if let Some(record) = records.next().transpose()? {
        bail!("the file has an entry that would not be dropped (id {}); export the months alone", record.id);
    }
    drop(records);
    drop(progress);
    let sha256 = file.finish()?;
    let now = audit_seals::sent(&mut connection).await?.now;
    let sign = |each: Dropped| Dropped { export_sha256: sha256.clone(), made_at: now, ..each }.signed(key);
    Ok(counts.into_iter().map(sign).collect())
}

fn nothing_yet(partition: &Partition) -> Dropped {
    Dropped {
        partition_name: partition.name.clone(),
        entries: 0,
        first_position: None,
        last_position: None,
        seal: None,
        export_sha256: String::new(),
        made_at: DateTime::UNIX_EPOCH,
        key_id: None,
        signature: None,
    }
}

fn count(counts: &mut [Dropped], partitions: &[Partition], sealed: &Sealed) {
    let found = partitions.iter().zip(counts).find(|(partition, _)| partition.holds(sealed.occurred_at));
    if let Some((_, count)) = found {
        count.entries = count.entries.saturating_add(1);
        count.first_position = count.first_position.or(Some(sealed.position));
        count.last_position = Some(sealed.position);
        count.seal = Some(sealed.seal.clone());
    }
}

/// All or nothing, with an entry for each partition.
async fn carry_out(pool: &PgPool, partitions: &[Partition], dropped: &[Dropped]) -> anyhow::Result<()> {
    let mut transaction = store::begin(pool).await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
    for (partition, record) in partitions.iter().zip(dropped) {
        one(&mut transaction, partition, record).await.with_context(|| format!("{} stays", partition.name))?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn one(conn: &mut PgConnection, partition: &Partition, record: &Dropped) -> anyhow::Result<()> {
    let entries = audit_partitions::detach(conn, partition).await?;
    ensure!(
        entries == record.entries,
        "it has {entries} entries, of which {} are sealed and in the file; wait until the others are sealed, export again",
        record.entries
    );
    audit_partitions::drop(conn, record).await?;
    let entry = Entry::new(&account::origin(), Event::AuditLogDropped, Outcome::Success);
    entry.details(json!(record)).record(conn).await?;
    Ok(())
}

/// A file whose hash is taken while it is read.
struct Hashing {
    file: File,
    hash: Sha256,
}

impl Read for &mut Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Hashing {
    /// Of the whole file, what nobody read included.
    fn finish(mut self) -> std::io::Result<String> {
        std::io::copy(&mut &mut self, &mut std::io::sink())?;
        Ok(hex::encode(self.hash.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_with_its_first_day() {
        assert_eq!(parse_month("2026-01").unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert!(parse_month("2026").is_err() && parse_month("2026-01-05").is_err());
    }
}
