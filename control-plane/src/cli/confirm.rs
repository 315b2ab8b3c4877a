//! Asks before something is lost.
//!
//! Who sits at a terminal is asked, with what exactly is about to happen. A script says `--yes`. What the commands that
//! were always called without it do in a script is [`Unattended::GoesOn`]: a nightly `cleanup-stale-runners --hours N`
//! and a `revoke-principal` of one subject in somebody's response to an incident must go on working as they are.

use std::fmt;
use std::io::{BufRead as _, IsTerminal as _, stderr, stdin};

use anyhow::Context as _;
use clap::Args;

use super::screen;

/// How a command that destroys something is told to go on, or not to.
#[derive(Args)]
pub(super) struct Consent {
    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do it without asking; for scripts
    #[arg(long)]
    yes: bool,
}

/// What happens without a terminal and without `--yes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unattended {
    /// It is done: scripts call it this way.
    GoesOn,
    /// It is refused.
    IsRefused,
}

/// It was not done, because nobody said yes. Nothing is changed.
#[derive(Debug)]
pub(super) enum NotConfirmed {
    /// There was nobody to ask.
    NobodyThere,
    /// The answer was not yes.
    Declined,
}

impl fmt::Display for NotConfirmed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NobodyThere => {
                "nothing was done: there is no terminal to ask on. Look at what would happen with --dry-run, and repeat \
                 with --yes"
            }
            Self::Declined => "nothing was done: the answer was not yes",
        })
    }
}

impl std::error::Error for NotConfirmed {}

impl Consent {
    /// Whether somebody must be asked before anything is done. Refuses at once where nobody can be.
    pub(super) fn must_ask(&self, unattended: Unattended) -> Result<bool, NotConfirmed> {
        needed(self.yes || self.dry_run, stdin().is_terminal() && stderr().is_terminal(), unattended)
    }
}

fn needed(told: bool, terminal: bool, unattended: Unattended) -> Result<bool, NotConfirmed> {
    match (told, terminal, unattended) {
        (true, ..) | (false, false, Unattended::GoesOn) => Ok(false),
        (false, true, _) => Ok(true),
        (false, false, Unattended::IsRefused) => Err(NotConfirmed::NobodyThere),
    }
}

/// Says what is about to happen, and goes on only after a yes.
pub(super) fn ask(what: &str) -> anyhow::Result<()> {
    screen::ask(what, "Go on? [y/N]")?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("the answer can't be read")?;
    if is_yes(&answer) { Ok(()) } else { Err(NotConfirmed::Declined.into()) }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_or_a_flag_lets_it_go_on() {
        assert!(!needed(true, true, Unattended::IsRefused).unwrap());
        assert!(!needed(true, false, Unattended::IsRefused).unwrap());
        assert!(needed(false, true, Unattended::GoesOn).unwrap());
        assert!(!needed(false, false, Unattended::GoesOn).unwrap());
        assert!(needed(false, false, Unattended::IsRefused).is_err());
    }

    #[test]
    fn only_yes_means_yes() {
        assert!(is_yes("y\n") && is_yes(" YES \n"));
        for no in ["", "\n", "n\n", "yeah\n", "yes please\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
