//! Logs, on standard error: lines for people at a terminal, JSON elsewhere.

use std::io::{self, IsTerminal as _, Write, stderr};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use super::{log_line, screen};
use crate::config::{LogConfig, LogFormat};

pub(super) fn start(config: &LogConfig) -> anyhow::Result<()> {
    let terminal = stderr().is_terminal();
    let pretty = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    // Values are compared as they are: a regular expression would be one more thing to get wrong.
    let filter =
        EnvFilter::builder().with_regex(false).parse(config.directives.join(",")).context("the log's filter")?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(screen::is_stderr_coloured());
    if pretty {
        logs.with_writer(|| Bounded(log_line::pretty)).init();
    } else {
        let logs = logs.with_writer(|| Bounded(log_line::json));
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
    }
    Ok(())
}

/// Writes lines after they were made to fit; each comes in one piece.
struct Bounded(fn(&[u8]) -> Option<Vec<u8>>);

impl Write for Bounded {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        stderr().write_all(self.0(line).as_deref().unwrap_or(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}
