//! The figures: a table for people, JSON for programs.

use std::path::Path;

use bench::report::write_json;
use serde::Serialize;

use crate::figures::{Figure, Unit};

/// At the largest size, to the first.
const GOAL: f64 = 1.5;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) sizes: Vec<u32>,
    pub(crate) seed: u64,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// Prints a table for each shape, and writes `growth.json`.
    pub(crate) fn publish(&self, directory: &Path) -> anyhow::Result<()> {
        write_json(directory, "growth.json", self)?;
        let mut shape = "";
        for figure in &self.figures {
            if figure.shape != shape {
                shape = figure.shape;
                self.head(shape);
            }
            println!("{}", figure.row());
        }
        Ok(())
    }

    fn head(&self, shape: &str) {
        let sizes: Vec<String> = self.sizes.iter().map(u32::to_string).collect();
        println!("\n| {shape} | {} | last to first | quartiles | |", sizes.join(" | "));
        println!("| --- | {} | ---: | --- | --- |", sizes.iter().map(|_| "---:").collect::<Vec<_>>().join(" | "));
    }
}

impl Figure {
    fn row(&self) -> String {
        let cells: Vec<String> = self.medians.iter().map(|median| self.unit.shown(*median)).collect();
        let last = self.ratios.last().map(|[lower, median, upper]| {
            let mark = if *median <= GOAL { "✓" } else { "✗" };
            format!("{median:.2} | {lower:.2} – {upper:.2} | {mark}")
        });
        format!("| {} | {} | {} |", self.name, cells.join(" | "), last.unwrap_or_else(|| " | | ".to_owned()))
    }
}

impl Unit {
    fn shown(self, value: f64) -> String {
        match self {
            Self::Microseconds => format!("{:.2} ms", value / 1e3),
            Self::MicrosecondsPerEntry => format!("{value:.1} µs"),
            Self::Kibibytes => format!("{:.1} MiB", value / 1024.0),
        }
    }
}
