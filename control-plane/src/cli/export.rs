//! `export-audit-log`: any number of entries in constant memory.

use std::fs::{File, OpenOptions, rename};
use std::io::{BufWriter, Write, stdout};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, ValueEnum};
use futures_util::TryStreamExt as _;

use super::database;
use crate::store::audit_log::{Row, Selection, stream};

/// A line of progress after so many entries.
const PROGRESS: u64 = 10_000;

#[derive(Args)]
pub(super) struct ExportArgs {
    /// From this day or time on: 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_parser = parse_time)]
    since: DateTime<Utc>,
    /// Until before this day or time
    #[arg(long, value_parser = parse_time)]
    until: Option<DateTime<Utc>>,
    /// Only this event, such as provision.issued, or group of events, such as provision
    #[arg(long)]
    event_type: Option<String>,
    /// Only of this caller: the subject or display name
    #[arg(long)]
    user: Option<String>,
    /// The form of the file
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The file to write, or - for standard output
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One array
    #[default]
    Json,
    /// An object a line
    Jsonl,
    /// For spreadsheets
    Csv,
}

pub(super) async fn export(arguments: ExportArgs) -> anyhow::Result<()> {
    let pool = database().await?;
    let ExportArgs { since, until, event_type, user, format, output } = arguments;
    let selection = Selection { since, until, event: event_type, user };
    let mut destination = Destination::open(&output).with_context(|| format!("can't write {}", output.display()))?;
    let mut writer = Writer::new(format, &mut destination.writer)?;
    let mut rows = stream(&pool, &selection);
    let mut count = 0_u64;
    while let Some(row) = rows.try_next().await? {
        writer.write(&row)?;
        count = count.saturating_add(1);
        if count.is_multiple_of(PROGRESS) {
            eprintln!("{count} entries …");
        }
    }
    writer.finish()?;
    destination.finish()?;
    eprintln!("{count} entries exported");
    Ok(())
}

/// A day, which begins at midnight UTC, or a time (RFC 3339).
fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
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

/// Writes entries in a form.
enum Writer<W: Write> {
    Json { out: W, first: bool },
    Jsonl(W),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> Writer<W> {
    fn new(format: Format, mut out: W) -> anyhow::Result<Self> {
        Ok(match format {
            Format::Json => {
                out.write_all(b"[")?;
                Self::Json { out, first: true }
            }
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(COLUMNS)?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    fn write(&mut self, row: &Row) -> anyhow::Result<()> {
        match self {
            Self::Json { out, first } => {
                out.write_all(if *first { b"\n" } else { b",\n" })?;
                *first = false;
                serde_json::to_writer(out, row)?;
            }
            Self::Jsonl(out) => {
                serde_json::to_writer(&mut *out, row)?;
                out.write_all(b"\n")?;
            }
            Self::Csv(writer) => writer.write_record(cells(row))?,
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Json { mut out, .. } => out.write_all(b"\n]\n")?,
            Self::Jsonl(_) => {}
            Self::Csv(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}

const COLUMNS: [&str; 18] = [
    "id",
    "occurred_at",
    "event",
    "outcome",
    "actor",
    "principal_issuer",
    "principal_subject",
    "display_name",
    "client_ip",
    "user_agent",
    "request_id",
    "token_sha256",
    "runner_id",
    "runner_name",
    "target",
    "reasons",
    "policy_sha256",
    "details",
];

fn cells(row: &Row) -> [String; 18] {
    let text = |value: &Option<String>| inert(value.as_deref().unwrap_or_default());
    [
        row.id.to_string(),
        row.occurred_at.to_rfc3339(),
        inert(&row.event),
        inert(&row.outcome),
        inert(&row.actor),
        text(&row.principal_issuer),
        text(&row.principal_subject),
        text(&row.display_name),
        text(&row.client_ip),
        text(&row.user_agent),
        text(&row.request_id),
        text(&row.token_sha256),
        row.runner_id.map(|id| id.to_string()).unwrap_or_default(),
        text(&row.runner_name),
        text(&row.target),
        inert(&row.reasons.join("; ")),
        text(&row.policy_sha256),
        row.details.to_string(),
    ]
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV injection).
fn inert(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
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

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        assert_eq!(inert("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(inert("a=b"), "a=b");
    }
}
