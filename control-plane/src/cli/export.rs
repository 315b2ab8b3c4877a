//! `export-audit-log`: any number of entries in constant memory.

use std::fs::{File, OpenOptions, rename};
use std::io::{BufWriter, Write, stdout};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;
use futures_util::{Stream, TryStreamExt as _};
use serde_json::json;
use sqlx::PgPool;

use super::progress::Progress;
use super::{database, screen};
use crate::audit::{Format, Writer};
use crate::store::audit_log::{Record, Selection, rest, sealed, unsealed_from};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// From this day or time on: 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_parser = parse_time, required_unless_present = "after")]
    since: Option<DateTime<Utc>>,
    /// Until before this day or time
    #[arg(long, value_parser = parse_time)]
    until: Option<DateTime<Utc>>,
    /// Only this event, such as provision.issued, or group of events, such as provision
    #[arg(long)]
    event_type: Option<String>,
    /// Only of this caller: the subject or display name
    #[arg(long)]
    user: Option<String>,
    /// Only of this runner: its id or name
    #[arg(long)]
    runner: Option<String>,
    /// Only sealed entries behind this position, to go on where another export ended; 0 for all of them
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(0..))]
    after: Option<i64>,
    /// The form of the file
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The file to write, or - for standard output
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) async fn export(arguments: ExportArgs) -> anyhow::Result<()> {
    let ExportArgs { since, until, event_type, user, runner, after, format, output } = arguments;
    let options = json!({
        "since": since, "until": until, "event_type": event_type, "user": user, "runner": runner, "after": after,
    });
    let pool = database("export-audit-log", options).await?;
    let selection = Selection { since, until, event: event_type, user, runner };
    let mut destination = Destination::open(&output).with_context(|| format!("can't write {}", output.display()))?;
    let (count, last) = write(&pool, &selection, after, Writer::new(format, &mut destination.writer)?).await?;
    destination.finish()?;
    let position = last.map(|last| format!("; the last position is {last}")).unwrap_or_default();
    screen::note(&format!("{count} entries exported{position}"));
    Ok(())
}

/// How many entries were written, and the last position.
async fn write<W: Write>(
    pool: &PgPool,
    selection: &Selection,
    after: Option<i64>,
    writer: Writer<W>,
) -> anyhow::Result<(u64, Option<i64>)> {
    let mut export = Export { writer, count: 0, last: after, progress: Progress::new("exporting entries", None) };
    let from = unsealed_from(&mut *pool.acquire().await?).await?;
    export.write(sealed(pool, selection, after.unwrap_or(0))).await?;
    if after.is_none() {
        export.write(rest(pool, selection, from, export.last.unwrap_or(0))).await?;
    }
    export.writer.finish()?;
    Ok((export.count, export.last))
}

struct Export<W: Write> {
    writer: Writer<W>,
    count: u64,
    last: Option<i64>,
    progress: Progress,
}

impl<W: Write> Export<W> {
    async fn write(&mut self, mut records: impl Stream<Item = sqlx::Result<Record>> + Unpin) -> anyhow::Result<()> {
        while let Some(record) = records.try_next().await? {
            self.writer.write(&record)?;
            self.last = record.position.or(self.last);
            self.count = self.count.saturating_add(1);
            self.progress.add(1);
        }
        Ok(())
    }
}

/// A day, which begins at midnight UTC, or a time (RFC 3339).
pub(super) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "write a day as 2026-01-31 or a time as 2026-01-31T12:00:00Z".to_owned())
}

/// A file that appears under its name when it is whole, or standard output.
struct Destination {
    writer: Box<dyn Write>,
    rename: Option<(PathBuf, PathBuf)>,
}

impl Destination {
    fn open(path: &Path) -> std::io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { writer: Box::new(BufWriter::new(stdout())), rename: None });
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        // The log names people: it is for the account that exports it alone.
        let file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        Ok(Self { writer: Box::new(BufWriter::new(file)), rename: Some((partial, path.to_owned())) })
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.writer.flush()?;
        match self.rename {
            Some((partial, path)) => rename(partial, path),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read() {
        assert_eq!(parse_time("2026-01-31").unwrap().to_rfc3339(), "2026-01-31T00:00:00+00:00");
        assert_eq!(parse_time("2026-01-31T12:00:00+02:00").unwrap().to_rfc3339(), "2026-01-31T10:00:00+00:00");
        assert!(parse_time("yesterday").is_err());
    }
}
