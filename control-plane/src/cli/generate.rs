//! `completions`, `man`: made from the definitions of the command line, so that they can't say anything else.

use std::fs;
use std::io::{Write as _, stdout};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Command, ValueEnum};
use clap_mangen::Man;

use super::PROGRAM;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// Of which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args)]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this directory, which is made if it is not there
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "command")]
    directory: Option<PathBuf>,
    /// The command whose page goes to standard output, such as `policy check`; the program's own unless given
    command: Vec<String>,
}

pub(super) fn completions(arguments: &CompletionsArgs, program: Command) -> anyhow::Result<()> {
    Ok(stdout().write_all(script(arguments.shell, program).as_bytes())?)
}

pub(super) fn man(arguments: &ManArgs, program: Command) -> anyhow::Result<()> {
    let Some(directory) = &arguments.directory else {
        return Ok(stdout().write_all(&page(&arguments.command, program)?)?);
    };
    let failed = || format!("can't write into {}", directory.display());
    fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(program, directory).with_context(failed)
}

fn script(shell: Shell, mut program: Command) -> String {
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

fn page(path: &[String], program: Command) -> anyhow::Result<Vec<u8>> {
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
    Ok(page)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::process::{self, Output};

    use clap::CommandFactory as _;

    use super::super::Cli;
    use super::*;

    /// What a program says; none if the machine does not have it.
    fn run(program: &str, arguments: &[&str]) -> Option<Output> {
        match process::Command::new(program).args(arguments).output() {
            Ok(output) => Some(output),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{program}: {error}"),
        }
    }

    fn succeeds(program: &str, arguments: &[&str]) -> Option<String> {
        let output = run(program, arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {said}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{PROGRAM}-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn script(&self, shell: Shell) -> String {
            let path = self.0.join("script");
            fs::write(&path, script(shell, Cli::command())).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn bash_reads_its_script_and_offers_commands_and_options() {
        let folder = Folder::new("bash");
        let file = folder.script(Shell::Bash);
        succeeds("bash", &["--norc", "-n", &file]).expect("bash is everywhere");
        let offered = |words: &str, current: &str, previous: &str| {
            let script = format!(
                "source '{file}'; function=$(complete -p {PROGRAM} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
                 COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
                 $function {PROGRAM} '{current}' '{previous}'; echo \"${{COMPREPLY[@]}}\""
            );
            succeeds("bash", &["--norc", "-c", &script]).unwrap().trim().to_owned()
        };
        assert_eq!(offered("runner-tokens rev", "rev", PROGRAM), "revoke-principal");
        assert_eq!(offered("runner-tokens policy ex", "ex", "policy"), "explain");
        assert_eq!(offered("runner-tokens drop-audit-log --dry", "--dry", "drop-audit-log"), "--dry-run");
        assert_eq!(offered("runner-tokens list-runners --output j", "j", "--output"), "json");
    }

    #[test]
    fn zsh_and_fish_read_theirs_where_they_are_installed() {
        let folder = Folder::new("shells");
        let zsh = folder.script(Shell::Zsh);
        succeeds("zsh", &["-f", "-n", &zsh]);
        let fish = folder.script(Shell::Fish);
        succeeds("fish", &["--no-config", "--no-execute", &fish]);
        let offered = format!("source '{fish}'; complete -C '{PROGRAM} rev'");
        if let Some(offered) = succeeds("fish", &["--no-config", "-c", &offered]) {
            assert!(offered.starts_with("revoke-principal\t"), "{offered}");
        }
    }

    #[test]
    fn every_command_has_a_page_that_man_reads_without_a_warning() {
        let folder = Folder::new("man");
        let arguments = ManArgs { directory: Some(folder.0.join("man1")), command: Vec::new() };
        man(&arguments, Cli::command()).unwrap();
        let mut pages = Vec::new();
        for entry in fs::read_dir(folder.0.join("man1")).unwrap() {
            let path = entry.unwrap().path();
            let file = path.to_str().unwrap();
            if let Some(shown) = succeeds("man", &["--warnings", "--local-file", file]) {
                assert!(shown.contains("NAME") && shown.contains("SYNOPSIS"), "{file}: {shown}");
            }
            if let Some(linted) = run("mandoc", &["-T", "lint", "-W", "error", file]) {
                assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
            }
            pages.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        for page in ["runner-tokens.1", "runner-tokens-serve.1", "runner-tokens-policy-check.1"] {
            assert!(pages.contains(&page.to_owned()), "{page}: {pages:?}");
        }
        assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
    }

    #[test]
    fn one_page_is_found_by_the_words_of_the_command() {
        let text = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            page(&words, Cli::command()).map(|page| String::from_utf8(page).unwrap())
        };
        assert!(text(&[]).unwrap().contains("doctor"));
        assert!(text(&["policy", "explain"]).unwrap().contains("claims"));
        assert!(text(&["polcy"]).unwrap_err().to_string().contains("--help"));
    }
}
