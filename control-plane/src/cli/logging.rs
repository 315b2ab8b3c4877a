//! Logs, on standard error: lines for people at a terminal, JSON elsewhere.

use std::io::{IsTerminal as _, stderr};

use anyhow::{Context as _, bail};
use tracing_subscriber::EnvFilter;

/// `LOG_LEVEL` counts for this service alone. Libraries speak up at `warn` only: at finer levels some of them write
/// headers into the log, and with them credentials. octocrab's errors are logged by us, with their meaning.
const LIBRARIES: &str = "warn,octocrab=off";

pub(super) fn start() -> anyhow::Result<()> {
    let level = level(&std::env::var("LOG_LEVEL").unwrap_or_default())?;
    let filter =
        EnvFilter::builder().parse(format!("{LIBRARIES},control_plane={level}")).context("the log's filter")?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    if stderr().is_terminal() {
        logs.init();
    } else {
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
    }
    Ok(())
}

/// The level by its name, also by those of Python, in which the original service was configured.
fn level(name: &str) -> anyhow::Result<&'static str> {
    Ok(match name.trim().to_ascii_lowercase().as_str() {
        "" | "info" => "info",
        "trace" => "trace",
        "debug" => "debug",
        "warn" | "warning" => "warn",
        "error" | "critical" => "error",
        "off" => "off",
        other => bail!("LOG_LEVEL is {other:?}; set it to trace, debug, info, warn, error or off"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_known_by_both_names() {
        assert_eq!(level("WARNING").unwrap(), "warn");
        assert_eq!(level("").unwrap(), "info");
        assert!(level("loud").is_err());
    }
}
