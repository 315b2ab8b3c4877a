//! docs/cli.md is what the definitions say, and every example on it is one that the program takes.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _, Parser as _};

use super::{Cli, EXIT_CODES, PROGRAM};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
const REMEDY: &str = "run UPDATE_DOCS=1 cargo test -p control-plane --lib cli and commit docs/cli.md";

const INTRODUCTION: &str = "\
# The command line

<!-- Made from control-plane/src/cli: UPDATE_DOCS=1 cargo test -p control-plane --lib cli -->

`runner-tokens` is one program: the service and what its administrators need. Settings come from the environment and from
`.env` ([configuration.md](configuration.md)). Results go to standard output, everything else to standard error, so that
`--output json` can be read by a program as it is. What a command changes is in the audit log, with the account that gave it.

On a terminal, tables fit its width: in columns where the words fit beside each other, else a line a value. Elsewhere a record
is a line. Colours are for terminals alone, and for none with `NO_COLOR`. What takes longer than a moment says what it is at: a
line that moves on a terminal, elsewhere a line now and then.

What destroys something says on a terminal how much, and asks. `--yes` answers for a script, `--dry-run` only looks. Without a
terminal nobody can be asked: `cleanup-stale-runners` and `revoke-principal --subject` go on, because a nightly job and the
first minutes of an incident call them so; `drop-audit-log`, and `revoke-principal` with `--claim` or `--whole-issuer`, change
nothing and end with exit code 5.

Completions: `source <(runner-tokens completions bash)`, and likewise for zsh; for fish
`runner-tokens completions fish > ~/.config/fish/completions/runner-tokens.fish`. Man pages:
`runner-tokens man | man -l -`, or all of them with `--directory`.
";

fn document() -> String {
    let mut text = format!("{INTRODUCTION}\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n");
    for (code, meaning) in EXIT_CODES {
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    for command in commands() {
        let _ = write!(text, "\n{}", section(&command));
    }
    text
}

/// Every command that does something, with its whole name.
fn commands() -> Vec<Command> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut found = Vec::new();
    let mut left: Vec<&Command> = program.get_subcommands().collect();
    left.reverse();
    while let Some(command) = left.pop() {
        if command.has_subcommands() {
            left.extend(command.get_subcommands().collect::<Vec<_>>().into_iter().rev());
        } else {
            found.push(command.clone());
        }
    }
    found
}

fn section(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    let usage = command.clone().render_usage().to_string().replace("Usage: ", "");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("## `{name}`\n\n{about}.\n\n```console\n$ {usage}\n```\n");
    let mut options = String::new();
    for argument in
        command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
    {
        let _ = writeln!(options, "| `{}` | {} |", form(argument), meaning(argument));
    }
    if !options.is_empty() {
        let _ = write!(text, "\n| option | |\n| --- | --- |\n{options}");
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = help.split_once("Example:\n").unwrap_or((&help, ""));
    if !notes.trim().is_empty() {
        let _ = write!(text, "\n{}\n", notes.trim());
    }
    let _ = write!(text, "\n```sh\n");
    for line in examples.lines() {
        let _ = writeln!(text, "{}", line.strip_prefix("  ").unwrap_or(line));
    }
    text + "```\n"
}

fn form(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(|name| format!("<{name}>"));
    let value = value.filter(|_| argument.is_positional() || argument.get_action().takes_values());
    let words = [argument.get_long().map(|long| format!("--{long}")), value];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    if argument.is_required_set() {
        text.push_str(". Required");
    }
    if argument.get_action().takes_values() {
        let choices: Vec<String> =
            argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !choices.is_empty() {
            let _ = write!(text, ": {}", choices.join(", "));
        }
        for default in argument.get_default_values().iter().filter(|default| !default.is_empty()) {
            let _ = write!(text, ". Default: `{}`", default.to_string_lossy());
        }
    }
    text.replace('|', "\\|")
}

/// The calls of the program in a command's examples, as their words.
fn examples(help: &str) -> Vec<Vec<String>> {
    let examples = help.split_once("Example:\n").map(|(_, examples)| examples).unwrap_or_default();
    let examples = examples.replace("\\\n", "");
    let words =
        examples.lines().flat_map(|line| line.split(" && ")).map(|call| shlex::split(call).expect("a shell reads it"));
    words
        .map(|words| {
            let words = words.into_iter().skip_while(|word| word.contains('='));
            words.take_while(|word| !["<", ">", "|"].contains(&word.as_str())).collect::<Vec<_>>()
        })
        .filter(|words| words.first().is_some_and(|program| program == PROGRAM))
        .collect()
}

#[test]
fn the_document_is_that_of_the_code() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, document()).unwrap();
    }
    let written = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(written == document(), "{REMEDY}");
}

#[test]
fn every_command_has_an_example_that_the_program_takes() {
    let all = commands();
    assert!(all.len() > 15, "{}", all.len());
    for command in all {
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = examples(&help);
        assert!(examples.iter().any(|example| example.join(" ").starts_with(&name)), "{name}: {examples:?}");
        let lines = help.split_once("Example:\n").map(|(_, examples)| examples.lines()).expect("an example");
        assert!(
            lines.into_iter().all(|line| line.len() <= 80),
            "{name}: lines of 80 columns can be copied from a terminal"
        );
        for example in examples {
            assert!(Cli::try_parse_from(&example).is_ok(), "{name}: {example:?}");
        }
    }
}

#[test]
fn every_result_is_there_for_programs_too() {
    // Logs, a script, a page, a schema that is JSON, and a file whose form has an option of its own.
    let apart = ["serve", "completions", "man", "schema", "export-audit-log"];
    for command in commands().iter().filter(|command| !apart.contains(&command.get_name())) {
        let output = command.get_arguments().find(|argument| argument.get_id() == "output");
        let forms: Vec<String> = output
            .map(Arg::get_possible_values)
            .unwrap_or_default()
            .iter()
            .map(|form| form.get_name().to_owned())
            .collect();
        assert_eq!(forms, ["table", "json"], "{:?}", command.get_bin_name());
    }
}

#[test]
fn every_command_and_option_says_what_it_is() {
    for command in commands() {
        assert!(command.get_about().is_some(), "{:?}", command.get_bin_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{:?} {}", command.get_bin_name(), argument.get_id());
        }
    }
}
