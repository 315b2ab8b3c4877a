//! The shells that completions are tried in, and a reader of man pages that finds fault with them.

use anyhow::Result;

use crate::command::exists;
use crate::debian;

const PROGRAMS: [&str; 4] = ["bash", "fish", "mandoc", "zsh"];

/// Makes sure that they are there.
pub(crate) fn shells() -> Result<()> {
    if PROGRAMS.iter().all(|program| exists(program)) {
        return Ok(());
    }
    // Each is in a package of its name.
    debian::install(&PROGRAMS, "completions and man pages are tried with bash, fish, mandoc and zsh; install these")
}
