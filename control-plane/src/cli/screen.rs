//! What is printed: results on standard output, everything else on standard error.

use std::io::{self, ErrorKind, IsTerminal, Write as _, stderr, stdout};
use std::os::fd::AsFd;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde_json::Value;
use terminal_size::{Width, terminal_size_of};

use super::table;

/// Of a terminal that does not say how wide it is.
const USUAL_WIDTH: u16 = 80;
/// Nothing can be lined up in less.
const LEAST_WIDTH: u16 = 40;

/// What standard output can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// In columns; none where it is no terminal, so that programs find a line a record.
    pub(super) width: Option<u16>,
    /// Whether colours are wanted: on a terminal, and not with `NO_COLOR`.
    pub(super) colour: bool,
}

impl Screen {
    pub(super) fn stdout() -> Self {
        Self { width: width(&stdout()), colour: AutoStream::choice(&stdout()) != ColorChoice::Never }
    }
}

/// Whether colours are wanted on standard error.
pub(super) fn is_stderr_coloured() -> bool {
    AutoStream::choice(&stderr()) != ColorChoice::Never
}

fn width(stream: &(impl IsTerminal + AsFd)) -> Option<u16> {
    let measured = || terminal_size_of(stream).map_or(0, |(Width(width), _)| width);
    let usable = |width: u16| if width == 0 { USUAL_WIDTH } else { width.max(LEAST_WIDTH) };
    stream.is_terminal().then(measured).map(usable)
}

/// Whoever was to read the result has gone, as `head` does. There is nobody to tell.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub(super) struct NobodyReads;

/// A result, as it is.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(NobodyReads.into()),
        written => Ok(written?),
    }
}

/// A result for programs.
pub(super) fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

/// Sentences of a result. A terminal gets whole words in each line.
pub(super) fn print_sentences(text: &str) -> anyhow::Result<()> {
    print(&format!("{}\n", table::flow(text, width(&stdout()))))
}

/// A result in one word, which a colour stands for, and the rest of its line.
pub(super) fn print_verdict(verdict: &str, is_good: bool, rest: &str) -> anyhow::Result<()> {
    let style = if is_good { AnsiColor::Green.on_default() } else { AnsiColor::Red.on_default() }.bold();
    let text = table::flow(&format!("{verdict}{rest}"), width(&stdout()));
    print(&format!("{}\n", highlighted(&text, verdict, style)))
}

/// Something to know beside the result. That nobody can be told is no reason to fail.
pub(super) fn note(text: &str) {
    let _ = say(&format!("{}\n", table::flow(text, width(&stderr()))));
}

/// A question, or what goes before one.
pub(super) fn ask(text: &str, question: &str) -> io::Result<()> {
    say(&format!("{}\n{question} ", table::flow(text, width(&stderr()))))
}

/// Why the command failed.
pub(super) fn complain(error: &anyhow::Error) {
    const LABEL: &str = "error:";
    let text = table::flow(&format!("{LABEL} {error:#}"), width(&stderr()));
    let _ = say(&format!("{}\n", highlighted(&text, LABEL, AnsiColor::Red.on_default().bold())));
}

fn highlighted(text: &str, first: &str, style: Style) -> String {
    let rest = text.strip_prefix(first).unwrap_or_default();
    if rest.is_empty() && text != first { text.to_owned() } else { format!("{style}{first}{style:#}{rest}") }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = anstream::stderr();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_words_are_highlighted() {
        let style = Style::new().bold();
        assert_eq!(highlighted("error: error:", "error:", style), "\u{1b}[1merror:\u{1b}[0m error:");
        assert_eq!(highlighted("ALLOWED", "ALLOWED", style), "\u{1b}[1mALLOWED\u{1b}[0m");
        assert_eq!(highlighted("other", "error:", style), "other");
    }

    #[test]
    fn what_is_no_terminal_has_no_width() {
        assert_eq!(width(&std::fs::File::open("/dev/null").unwrap()), None);
    }
}
