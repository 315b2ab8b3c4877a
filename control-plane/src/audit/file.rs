//! Reads exported files, one entry after the other, whatever their size.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize as _;

use super::Checkpoint;
use super::format::{COLUMNS, of_cells};
use crate::store::audit_log::Record;

/// The entries of a file; its form is known by its first letter.
pub enum Records<R: Read> {
    /// JSON, as an array or as lines.
    Json(Values<R>),
    /// Rows.
    Csv(Box<csv::Reader<BufReader<R>>>),
}

/// JSON values one after the other, perhaps in an array.
pub struct Values<R> {
    input: BufReader<R>,
    in_array: bool,
    count: u64,
}

impl<R: Read> Records<R> {
    /// Begins to read.
    pub fn new(input: R) -> anyhow::Result<Self> {
        let mut input = BufReader::with_capacity(256 * 1024, input);
        match next_letter(&mut input)? {
            None | Some(b'{') => Ok(Self::Json(Values { input, in_array: false, count: 0 })),
            Some(b'[') => {
                input.consume(1);
                Ok(Self::Json(Values { input, in_array: true, count: 0 }))
            }
            Some(_) => {
                let mut reader = csv::Reader::from_reader(input);
                let headings = reader.headers()?;
                ensure!(headings.iter().eq(COLUMNS), "the file is no export: neither JSON nor CSV with its columns");
                Ok(Self::Csv(Box::new(reader)))
            }
        }
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = anyhow::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Json(values) => values.next_value().transpose(),
            Self::Csv(reader) => {
                let mut cells = csv::StringRecord::new();
                match reader.read_record(&mut cells) {
                    Ok(false) => None,
                    Ok(true) => {
                        let line = cells.position().map(csv::Position::line).unwrap_or_default();
                        Some(of_cells(&cells).with_context(|| format!("line {line} is no entry")))
                    }
                    Err(error) => Some(Err(error.into())),
                }
            }
        }
    }
}

impl<R: Read> Values<R> {
    fn next_value(&mut self) -> anyhow::Result<Option<Record>> {
        let letter = next_letter(&mut self.input)?;
        match (letter, self.in_array) {
            (Some(b']'), true) => {
                self.input.consume(1);
                self.in_array = false;
                return Ok(None);
            }
            (None, true) => bail!("the file is cut off after {} entries", self.count),
            (None, false) => return Ok(None),
            (Some(b','), true) => self.input.consume(1),
            _ => {}
        }
        self.count = self.count.saturating_add(1);
        // An object ends with its brace, so no byte of the next one is taken.
        let mut reader = serde_json::Deserializer::from_reader(&mut self.input);
        Record::deserialize(&mut reader).map(Some).with_context(|| format!("entry {} of the file is none", self.count))
    }
}

/// The next byte that is no white space; it stays.
fn next_letter(input: &mut impl BufRead) -> std::io::Result<Option<u8>> {
    loop {
        match input.fill_buf()?.first() {
            Some(b' ' | b'\t' | b'\r' | b'\n') => input.consume(1),
            other => return Ok(other.copied()),
        }
    }
}

/// Published checkpoints, one a line, in the order of their positions.
pub struct Checkpoints<R> {
    lines: std::io::Lines<BufReader<R>>,
    last: i64,
}

impl<R: Read> Checkpoints<R> {
    /// Begins to read.
    pub fn new(input: R) -> Self {
        Self { lines: BufReader::new(input).lines(), last: 0 }
    }

    fn read(&mut self, line: &str) -> anyhow::Result<Checkpoint> {
        let checkpoint: Checkpoint = serde_json::from_str(line).context("a line of the file is no checkpoint")?;
        let (before, position) = (self.last, checkpoint.position);
        ensure!(before <= position, "the checkpoints are not in order: {position} comes after {before}");
        self.last = position;
        Ok(checkpoint)
    }
}

impl<R: Read> Iterator for Checkpoints<R> {
    type Item = anyhow::Result<Checkpoint>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.lines.next()? {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => return Some(self.read(&line)),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::seal::tests::record;
    use crate::audit::{Format, Writer};

    fn written(format: Format) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(format, &mut bytes).unwrap();
        (1..=3).for_each(|id| writer.write(&record(id)).unwrap());
        writer.finish().unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> anyhow::Result<Vec<Record>> {
        Records::new(bytes)?.collect()
    }

    #[test]
    fn every_form_is_read_as_it_was_written() {
        for format in [Format::Json, Format::Jsonl, Format::Csv] {
            assert_eq!(read(&written(format)).unwrap(), [1, 2, 3].map(record), "{format:?}");
        }
        assert!(read(b"").unwrap().is_empty());
        assert!(read(b"[\n]\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_off_or_is_no_export_is_told() {
        let json = written(Format::Json);
        for cut in [json.len() - 2, json.len() - 10, json.len() / 2, 1] {
            assert!(read(&json[..cut]).is_err(), "{cut}");
        }
        assert!(read(&written(Format::Jsonl)[..100]).is_err());
        assert!(read(b"a,b\n1,2\n").is_err());
        assert!(read(br#"{"id": 1, "extra": true}"#).is_err());
    }
}
