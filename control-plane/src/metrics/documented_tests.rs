//! docs/telemetry.md has every metric.

use std::fmt::Write as _;

use super::{Kind, METRICS};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/telemetry.md");
const BEGIN: &str = "<!-- Made from control-plane/src/metrics/catalogue.rs: UPDATE_DOCS=1 cargo test -p control-plane --lib metrics -->\n";
const END: &str = "<!-- End -->\n";

fn table() -> String {
    let mut table = "\n| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(table, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.about);
    }
    table + "\n"
}

#[test]
fn the_table_is_that_of_the_code() {
    let written = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = written.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let document = [before, BEGIN, &table(), END, after].concat();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, &document).unwrap();
    }
    let written = std::fs::read_to_string(DOCUMENT).unwrap();
    assert!(written == document, "run UPDATE_DOCS=1 cargo test -p control-plane --lib metrics and commit {DOCUMENT}");
}
