//! The figures: a table for people, JSON for programs, a picture for the documentation.

use std::path::Path;

use bench::report::{write, write_json};
use bench::rounds::number;
use serde::Serialize;

use crate::footprint::Footprint;
use crate::measure::Outcome;

/// The size that the module is to stay below.
const MODULE_GOAL: u64 = 700_000;
/// Seconds until the filter is to answer.
const START_GOAL: f64 = 0.5;
/// Memory of kept tokens, to the peer's.
const MEMORY_GOAL: f64 = 0.25;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) module_bytes: u64,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) footprints: Option<Footprints>,
}

/// One comparison with its goal.
#[derive(Serialize)]
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    pub(crate) goal: Option<f64>,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What each filter takes in a process of its own.
#[derive(Serialize)]
pub(crate) struct Footprints {
    pub(crate) ours: Footprint,
    pub(crate) peer: Footprint,
}

impl Report {
    /// Prints the table, and writes `filter.json` and `filter.svg`.
    pub(crate) fn publish(&self, directory: &Path) -> anyhow::Result<()> {
        write_json(directory, "filter.json", self)?;
        write(directory, "filter.svg", &picture(&self.comparisons))?;
        println!("{}", self.table());
        Ok(())
    }

    fn table(&self) -> String {
        let mut lines = vec![
            "| to jwt_authn, processor time a request | ratio | quartiles | goal | | µs | peer µs |".to_owned(),
            "| --- | ---: | --- | ---: | --- | ---: | ---: |".to_owned(),
        ];
        lines.extend(self.comparisons.iter().map(Comparison::row));
        lines.push(String::new());
        let size = self.module_bytes;
        lines.push(format!("module: {} kB (goal {} kB){}", size / 1000, MODULE_GOAL / 1000, mark(size <= MODULE_GOAL)));
        if let Some(Footprints { ours, peer }) = &self.footprints {
            let ratio = number(ours.memory_of_tokens) / number(peer.memory_of_tokens);
            let megabytes = |bytes: u64| number(bytes) / 1e6;
            let (mine, theirs) = (megabytes(ours.memory_of_tokens), megabytes(peer.memory_of_tokens));
            lines.push(format!(
                "memory of 20,000 tokens: {mine:.0} MB, peer {theirs:.0} MB, ratio {ratio:.2} (goal {MEMORY_GOAL}){}",
                mark(ratio <= MEMORY_GOAL)
            ));
            lines.push(format!(
                "process before: {:.0} MB, peer {:.0} MB",
                megabytes(ours.memory),
                megabytes(peer.memory)
            ));
            lines.push(format!(
                "start to first answer: {:.2} s, peer {:.2} s (goal {START_GOAL} s more than the peer){}",
                ours.first_answer,
                peer.first_answer,
                mark(ours.first_answer - peer.first_answer <= START_GOAL)
            ));
        }
        lines.join("\n")
    }
}

impl Comparison {
    fn holds(&self) -> bool {
        self.goal.is_none_or(|goal| self.outcome.ratio <= goal)
    }

    fn row(&self) -> String {
        let Outcome { ratio, lower, upper, ours_us, peer_us, .. } = self.outcome;
        let goal = self.goal.map(|goal| format!("{goal:.2}")).unwrap_or_default();
        let mark = if self.goal.is_some() { mark(self.holds()) } else { "" };
        let name = self.name;
        format!("| {name} | {ratio:.2} | {lower:.2} – {upper:.2} | {goal} |{mark} | {ours_us:.1} | {peer_us:.1} |")
    }
}

fn mark(holds: bool) -> &'static str {
    if holds { " ✓" } else { " ✗" }
}

/// A bar a comparison, a line where the peer is, a stroke where the goal is.
fn picture(comparisons: &[Comparison]) -> String {
    const LEFT: f64 = 330.0;
    const STEP: f64 = 22.0;
    const WIDTH: f64 = 820.0;
    const FIGURE: f64 = 50.0;
    let end = |comparison: &Comparison| comparison.outcome.ratio.max(comparison.goal.unwrap_or_default());
    let longest = comparisons.iter().map(end).fold(1.0, f64::max);
    let unit = (WIDTH - LEFT - FIGURE) / longest;
    let mut top = 34.0;
    let mut parts = Vec::new();
    for comparison in comparisons {
        let Outcome { ratio, .. } = comparison.outcome;
        let (length, color) = (ratio * unit, if comparison.holds() { "#2e7d5b" } else { "#b4532a" });
        let (middle, after) = (top + 12.0, LEFT + end(comparison) * unit + 8.0);
        parts.push(format!(r#"<text x="{}" y="{middle}" text-anchor="end">{}</text>"#, LEFT - 10.0, comparison.name));
        parts.push(format!(r#"<rect x="{LEFT}" y="{top}" width="{length:.1}" height="15" fill="{color}"/>"#));
        parts.push(format!(r#"<text x="{after:.1}" y="{middle}">{ratio:.2}</text>"#));
        if let Some(goal) = comparison.goal {
            let x = LEFT + goal * unit;
            parts.push(format!(r##"<path d="M{x:.1} {top}v15" stroke="#222" stroke-width="2"/>"##));
        }
        top += STEP;
    }
    let (height, peer) = (top + 12.0, LEFT + unit);
    let body = parts.join("\n");
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{peer:.1}" y="20" text-anchor="middle" font-weight="bold">jwt_authn = 1</text>
{body}
<path d="M{peer:.1} 26V{top}" stroke="#888" stroke-dasharray="4 3"/>
</svg>
"##
    )
}
