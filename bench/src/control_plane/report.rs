//! The figures: tables for people, JSON for programs.

use std::path::Path;

use bench::report::write_json;
use serde::Serialize;

use crate::measure::{Cost, Figure, Part};

/// Processor time of Python to that of the control plane, at least.
const GOAL: f64 = 20.0;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) runners: u32,
    pub(crate) figures: Vec<Figure>,
    pub(crate) parts: Vec<Part>,
}

impl Report {
    /// Prints the tables, and writes `control-plane.json`.
    pub(crate) fn publish(&self, directory: &Path) -> anyhow::Result<()> {
        write_json(directory, "control-plane.json", self)?;
        println!("| processor time a request | Python to ours | quartiles | goal | | ours, µs | Python, µs |");
        println!("| --- | ---: | --- | ---: | --- | ---: | ---: |");
        for Figure { name, ratio: [lower, ratio, upper], ours, peer } in &self.figures {
            let (mine, theirs, mark) = (ours.service_us, peer.service_us, if *ratio >= GOAL { "✓" } else { "✗" });
            println!(
                "| {name} | {ratio:.1} | {lower:.1} – {upper:.1} | {GOAL:.0} | {mark} | {mine:.0} | {theirs:.0} |"
            );
        }
        println!("\n| | requests a second | p50, ms | p99, ms | service, µs | Postgres, µs | Envoy, µs |");
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
        for figure in &self.figures {
            println!("{}", row(&format!("{}: ours, through Envoy", figure.name), &figure.ours));
            println!("{}", row(&format!("{}: Python", figure.name), &figure.peer));
        }
        for Part { name, ours } in &self.parts {
            println!("{}", row(&format!("{name}: ours, through Envoy"), ours));
        }
        Ok(())
    }
}

fn row(name: &str, cost: &Cost) -> String {
    let Cost { service_us, database_us, edge_us, requests_a_second, p50_ms, p99_ms } = cost;
    format!(
        "| {name} | {requests_a_second:.0} | {p50_ms:.1} | {p99_ms:.1} | {service_us:.0} | {database_us:.0} | {edge_us:.0} |"
    )
}
