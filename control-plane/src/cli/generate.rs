//! `completions`, `man`: made from the definitions of the command line, so that they can't say anything else.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Command, ValueEnum};
use clap_mangen::Man;

use super::{PROGRAM, screen};

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// Of which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args)]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this directory, which is made if it is not there
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "command")]
    pub(super) directory: Option<PathBuf>,
    /// The command whose page goes to standard output, such as `policy check`; the program's own unless given
    pub(super) command: Vec<String>,
}

pub(super) fn completions(arguments: &CompletionsArgs, program: Command) -> anyhow::Result<()> {
    screen::print(&script(arguments.shell, program))
}

pub(super) fn man(arguments: &ManArgs, program: Command) -> anyhow::Result<()> {
    let Some(directory) = &arguments.directory else {
        return screen::print(&page(&arguments.command, program)?);
    };
    let failed = || format!("can't write into {}", directory.display());
    fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(program, directory).with_context(failed)
}

pub(super) fn script(shell: Shell, mut program: Command) -> String {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, PROGRAM, &mut script);
    mended(&String::from_utf8_lossy(&script))
}

/// For bash, the generator writes the dash of the program's name in two ways, so that nothing behind a command is offered
/// (clap-rs/clap#6421).
fn mended(script: &str) -> String {
    script.replace(&PROGRAM.replace('-', "__subcmd__"), &PROGRAM.replace('-', "__"))
}

pub(super) fn page(path: &[String], program: Command) -> anyhow::Result<String> {
    let mut found = program.disable_help_subcommand(true);
    found.build();
    for name in path {
        let Some(next) = found.find_subcommand(name) else {
            bail!("there is no command {:?}; `{PROGRAM} --help` lists them", path.join(" "));
        };
        found = next.clone();
    }
    let mut page = Vec::new();
    Man::new(found).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
