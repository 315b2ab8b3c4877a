//! The figures: a table for people, JSON for programs.

use std::path::Path;

use bench::report::write_json;
use serde::Serialize;

use crate::measure::Figure;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    /// Bad tokens a second that were to be sent.
    pub(crate) rate: u32,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// Prints the table, and writes `flood.json`.
    pub(crate) fn publish(&self, directory: &Path) -> anyhow::Result<()> {
        write_json(directory, "flood.json", self)?;
        println!(
            "| {} bad tokens a second | reached | p50, ms | ratio | p99, ms | ratio | Envoy | keys fetched |",
            self.rate
        );
        println!("| --- | ---: | ---: | --- | ---: | --- | ---: | ---: |");
        for figure in &self.figures {
            println!("{}", figure.row());
        }
        Ok(())
    }
}

impl Figure {
    fn row(&self) -> String {
        let times = |[without, with]: [f64; 2]| format!("{without:.1} → {with:.1}");
        let ratio = |[lower, median, upper]: [f64; 3]| format!("{median:.2} ({lower:.2} – {upper:.2})");
        format!(
            "| {} | {:.0} | {} | {} | {} | {} | {:.0} % | {} in {:.0} s |",
            self.kind.described(),
            self.reached,
            times(self.p50_ms),
            ratio(self.p50_ratio),
            times(self.p99_ms),
            ratio(self.p99_ratio),
            self.envoy_busy * 100.0,
            self.key_fetches,
            self.seconds
        )
    }
}
