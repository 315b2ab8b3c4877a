//! Completions and man pages, tried with the shells and the readers that they are for. `cargo xtask test` installs those.

use std::fs;
use std::path::PathBuf;
use std::process::{self, Output};

use clap::CommandFactory as _;

use super::generate::{ManArgs, Shell, man, page, script};
use super::{Cli, PROGRAM};

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = process::Command::new(program);
    command.args(arguments).env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
    command.output().unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask test` installs what is needed"))
}

/// What a program says; it must say nothing on standard error.
fn succeeds(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {} {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
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

/// What was typed, and how it must go on.
const TYPED: [(&str, &str); 4] = [
    ("runner-tokens rev", "revoke-principal"),
    ("runner-tokens policy ex", "explain"),
    ("runner-tokens drop-audit-log --dry", "--dry-run"),
    ("runner-tokens list-runners --output j", "json"),
];

#[test]
fn bash_offers_commands_options_and_values() {
    let folder = Folder::new("bash");
    let file = folder.script(Shell::Bash);
    succeeds("bash", &["--norc", "-n", &file]);
    for (typed, expected) in TYPED {
        let words: Vec<&str> = typed.split(' ').collect();
        let (current, previous) = (words[words.len() - 1], words[words.len() - 2]);
        let script = format!(
            "source '{file}'; function=$(complete -p {PROGRAM} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             $function {PROGRAM} '{current}' '{previous}'; echo \"${{COMPREPLY[@]}}\""
        );
        assert_eq!(succeeds("bash", &["--norc", "-c", &script]).trim(), expected, "{typed}");
    }
}

#[test]
fn zsh_completes_commands_options_and_values() {
    let folder = Folder::new("zsh");
    let file = folder.script(Shell::Zsh);
    succeeds("zsh", &["-f", "-n", &file]);
    for (typed, expected) in TYPED {
        let last = typed.rsplit(' ').next().unwrap();
        let added = expected.strip_prefix(last).unwrap();
        // A shell in a terminal, to which the words and a tab are typed; what it adds is waited for.
        let script = format!(
            "zmodload zsh/zpty; zpty shell zsh -f -i; \
             zpty -w shell 'PS1= ZLE_RPROMPT_INDENT=0; autoload -U compinit; compinit -u -D; source {file}; print RE''ADY'; \
             zpty -r shell said '*READY*'; zpty -w -n shell $'{typed}\\t'; \
             zpty -r shell said '*{added}*'; print -r -- \"$said\"; zpty -d shell"
        );
        let output = run("timeout", &["30", "zsh", "-f", "-c", &script]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(added), "{typed}: {} {said:?}", output.status);
    }
}

#[test]
fn fish_offers_commands_options_and_values() {
    let folder = Folder::new("fish");
    let file = folder.script(Shell::Fish);
    succeeds("fish", &["--no-config", "--no-execute", &file]);
    for (typed, expected) in TYPED {
        let offered = succeeds("fish", &["--no-config", "-c", &format!("source '{file}'; complete -C '{typed}'")]);
        let words: Vec<&str> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(words, [expected], "{typed}");
    }
}

#[test]
fn every_command_has_a_page_that_mandoc_finds_no_fault_with() {
    let folder = Folder::new("man");
    let arguments = ManArgs { directory: Some(folder.0.join("man1")), command: Vec::new() };
    man(&arguments, Cli::command()).unwrap();
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder.0.join("man1")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.to_str().unwrap();
        let linted = run("mandoc", &["-T", "lint", "-W", "error", file]);
        assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
        let shown = succeeds("mandoc", &["-T", "ascii", file]).replace('\u{8}', "");
        assert!(shown.contains("SSYYNNOOPPSSIISS") && shown.contains("DDEESSCCRRIIPPTTIIOONN"), "{file}: {shown}");
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
        page(&words, Cli::command())
    };
    assert!(text(&[]).unwrap().contains("doctor"));
    assert!(text(&["policy", "explain"]).unwrap().contains("claims"));
    assert!(text(&["polcy"]).unwrap_err().to_string().contains("--help"));
}
