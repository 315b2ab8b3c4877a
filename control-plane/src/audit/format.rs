//! Entries as files: one array, an object a line, or rows for spreadsheets. All three can be verified.

use std::io::Write;

use serde_json::{Value, json};

use super::time;
use crate::store::audit_log::Record;

/// The form of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One array
    #[default]
    Json,
    /// An object a line
    Jsonl,
    /// For spreadsheets
    Csv,
}

/// Writes entries in a form.
pub enum Writer<W: Write> {
    /// One array.
    Json {
        /// Where to.
        out: W,
        /// Nothing was written yet.
        first: bool,
    },
    /// An object a line.
    Jsonl(W),
    /// A row an entry.
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn new(format: Format, mut out: W) -> anyhow::Result<Self> {
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

    /// Adds an entry.
    pub fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        match self {
            Self::Json { out, first } => {
                out.write_all(if *first { b"\n" } else { b",\n" })?;
                *first = false;
                serde_json::to_writer(out, record)?;
            }
            Self::Jsonl(out) => {
                serde_json::to_writer(&mut *out, record)?;
                out.write_all(b"\n")?;
            }
            Self::Csv(writer) => writer.write_record(cells(record))?,
        }
        Ok(())
    }

    /// Ends the file.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Json { mut out, .. } => {
                out.write_all(b"\n]\n")?;
                out.flush()?;
            }
            Self::Jsonl(mut out) => out.flush()?,
            Self::Csv(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}

pub(super) const COLUMNS: [&str; 22] = [
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
    "transaction_id",
    "position",
    "previous_seal",
    "seal",
];

fn cells(record: &Record) -> [String; 22] {
    let text = |value: &Option<String>| value.as_deref().map(inert).unwrap_or_default();
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        record.id.to_string(),
        time::text(record.occurred_at),
        inert(&record.event),
        inert(&record.outcome),
        inert(&record.actor),
        text(&record.principal_issuer),
        text(&record.principal_subject),
        text(&record.display_name),
        text(&record.client_ip),
        text(&record.user_agent),
        text(&record.request_id),
        text(&record.token_sha256),
        record.runner_id.map(|id| id.to_string()).unwrap_or_default(),
        text(&record.runner_name),
        text(&record.target),
        json!(record.reasons).to_string(),
        text(&record.policy_sha256),
        record.details.to_string(),
        record.transaction_id.to_string(),
        number(record.position),
        text(&record.previous_seal),
        text(&record.seal),
    ]
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV injection). So does one
/// that has one, and an empty text, which an empty cell would not tell from none: an apostrophe in front is always ours.
fn inert(cell: &str) -> String {
    if cell.is_empty() || cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

/// The record that a row holds.
pub(super) fn of_cells(cells: &csv::StringRecord) -> anyhow::Result<Record> {
    let value = |column: &str, cell: &str| -> anyhow::Result<Value> {
        Ok(match column {
            "id" | "transaction_id" | "position" if !cell.is_empty() => json!(cell.parse::<i64>()?),
            "reasons" | "details" => serde_json::from_str(cell)?,
            _ if cell.is_empty() => Value::Null,
            _ => json!(cell.strip_prefix('\'').unwrap_or(cell)),
        })
    };
    let members = COLUMNS.into_iter().zip(cells).map(|(column, cell)| Ok((column.to_owned(), value(column, cell)?)));
    Ok(serde_json::from_value(Value::Object(members.collect::<anyhow::Result<_>>()?))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::seal::tests::record;

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        assert_eq!(inert("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(inert("a=b"), "a=b");
    }

    #[test]
    fn rows_give_back_what_went_into_them() {
        for name in [None, Some(""), Some("'"), Some("=1"), Some("a,\"b\"\nc")] {
            let record = Record { display_name: name.map(str::to_owned), position: Some(3), ..record(1) };
            let cells = csv::StringRecord::from(cells(&record).to_vec());
            assert_eq!(of_cells(&cells).unwrap(), record);
        }
    }
}
