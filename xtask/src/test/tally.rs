//! How many tests passed and failed, from what the test programs say.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::progress::result;

/// Sums over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Runs `cargo test`, shows what it prints, and counts. Whether it succeeded.
    pub(super) fn count(&mut self, command: &mut Command) -> Result<bool> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("could not start cargo")?;
        let output = child.stdout.take().context("cargo has no standard output")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            result(&line);
            self.add(&line);
        }
        Ok(child.wait()?.success())
    }

    /// Adds a line like `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
    fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.1.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed = self.passed.saturating_add(number),
                "failed" => self.failed = self.failed.saturating_add(number),
                "ignored" => self.skipped = self.skipped.saturating_add(number),
                _ => {}
            }
        }
    }

    /// How many were run.
    pub(super) fn ran(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }

    /// How many failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 { write!(formatter, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.add(line);
        }
        tally
    }

    #[test]
    fn results_of_all_programs_are_summed() {
        let tally = tally(&[
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 39 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.20s",
        ]);
        assert_eq!(tally, Tally { passed: 42, failed: 2, skipped: 1 });
        assert_eq!((tally.ran(), tally.to_string().as_str()), (44, "42 passed, 2 failed, 1 skipped"));
    }

    #[test]
    fn nothing_else_counts() {
        let tally = tally(&["the log says: test result: ok. 9 passed; 0 failed", "9 passed; 0 failed", ""]);
        assert_eq!((tally.ran(), tally.to_string().as_str()), (0, "0 passed, 0 failed"));
    }
}
