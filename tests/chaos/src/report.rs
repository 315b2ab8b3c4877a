//! What came of it: a table for people, JSON for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::book::Tally;
use crate::limits::Most;
use crate::matrix::Case;
use crate::secrets::Sweep;

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// The part that failed.
    pub part: &'static str,
    /// How.
    pub fault: &'static str,
    /// How long, in seconds.
    pub lasted: f64,
    /// Requests of clients with good tokens.
    pub requests: u64,
    /// Those of them that succeeded.
    pub succeeded: u64,
    /// Refusals that need no fault, by kind.
    pub refused: BTreeMap<String, u64>,
    /// Errors that clients saw, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Requests without a good token.
    pub hostile: u64,
    /// Seconds from the end of the fault until everything worked again.
    pub recovery: f64,
    /// Seconds from the end of the load until all that was half done was put right.
    pub settled: f64,
    /// What must hold and did not.
    pub broken: BTreeSet<String>,
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What repeats the order of faults and the clients' wishes.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The cases in their order.
    pub cases: Vec<CaseReport>,
    /// Secrets that GitHub made.
    pub secrets: usize,
    /// Everything searched for every secret.
    pub sweep: Sweep,
    /// The most that the limits were used.
    pub(crate) most: Most,
}

impl CaseReport {
    pub(crate) fn new(case: &Case, tally: Tally) -> Self {
        let Tally { requests, succeeded, refused, errors, hostile } = tally;
        Self {
            part: case.part.name(),
            fault: case.name,
            lasted: 0.0,
            requests,
            succeeded,
            refused,
            errors,
            hostile,
            recovery: 0.0,
            settled: 0.0,
            broken: BTreeSet::new(),
        }
    }

    fn row(&self) -> String {
        let errors: Vec<String> = self.errors.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
        let broken: Vec<&str> = self.broken.iter().map(String::as_str).collect();
        let invariants = if broken.is_empty() { "hold".to_owned() } else { format!("BROKEN: {}", broken.join("; ")) };
        format!(
            "| {} | {} | {:.1} | {} | {errors} | {:.1} | {:.1} | {invariants} |",
            self.part, self.fault, self.lasted, self.requests, self.recovery, self.settled
        )
    }
}

impl Report {
    /// Everything that must hold and did not, with its case.
    pub fn broken(&self) -> Vec<String> {
        let each = |case: &CaseReport| {
            let (part, fault) = (case.part, case.fault);
            case.broken.iter().map(|what| format!("{part} {fault}: {what}")).collect::<Vec<_>>()
        };
        let found = self.sweep.found.iter().map(|what| format!("a secret was found: {what}"));
        let overlooked = self.sweep.overlooked.iter().map(|what| format!("a planted secret was overlooked: {what}"));
        self.cases.iter().flat_map(each).chain(found).chain(overlooked).collect()
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut lines = vec![
            "| part | fault | lasted, s | requests | errors that clients saw | recovery, s | settled, s | invariants |"
                .to_owned(),
            "| --- | --- | ---: | ---: | --- | ---: | ---: | --- |".to_owned(),
        ];
        lines.extend(self.cases.iter().map(CaseReport::row));
        let total = |count: fn(&CaseReport) -> u64| self.cases.iter().map(count).sum::<u64>();
        let Most { live, pending, per_hour } = self.most;
        lines.push(format!(
            "\nseed {}: {} cases in {:.0} s; {} requests, {} of them succeeded; {} without a good token, none let in; \
             {} secrets of GitHub; at most {live} runners of a client at a time, {pending} pending, {per_hour} within an \
             hour; {} invariants broken",
            self.seed,
            self.cases.len(),
            self.seconds,
            total(|case| case.requests),
            total(|case| case.succeeded),
            total(|case| case.hostile),
            self.secrets,
            self.broken().len(),
        ));
        let Sweep { secrets, places, found, .. } = &self.sweep;
        lines.push(format!(
            "{} secrets of {} kinds looked for in {} MB of {} places: {} found",
            secrets.values().sum::<usize>(),
            secrets.len(),
            places.values().sum::<usize>() / 1_000_000,
            places.len(),
            found.len(),
        ));
        lines.join("\n")
    }

    /// Writes it as JSON; gives where.
    pub fn write(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let path = directory.join(format!("seed-{}.json", self.seed));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        Ok(path)
    }
}

/// Seconds as reports have them: to the millisecond.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
