//! The commands that users are told to run, read as a POSIX shell and GitHub's scripts would read them.

use std::str::FromStr;

/// Why a command can't be run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// A quote is not closed, or the line ends in a backslash.
    #[error("the shell could not split the command")]
    Quoting,
    /// Neither `config.sh` nor `run.sh`.
    #[error("no such program: {0}")]
    Program(String),
    /// An option that the script does not have, or an argument that belongs to none.
    #[error("unknown option: {0}")]
    UnknownOption(String),
    /// An option without its value.
    #[error("option {0} needs a value")]
    MissingValue(String),
    /// An option that must be there.
    #[error("option {0} is missing")]
    MissingOption(&'static str),
}

/// `./config.sh …`: registers a machine with a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigCommand {
    /// `--url`: the organisation's or repository's page.
    pub url: String,
    /// `--token`.
    pub token: String,
    /// `--name`.
    pub name: String,
    /// `--labels`, separated by commas.
    pub labels: Vec<String>,
    /// `--runnergroup`, a name.
    pub group: Option<String>,
    /// `--ephemeral`.
    pub ephemeral: bool,
    /// `--replace`: takes the place of a runner with the same name.
    pub replace: bool,
}

/// Either command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `./config.sh …`
    Config(ConfigCommand),
    /// `./run.sh --jitconfig …`
    RunJit(String),
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let words = shlex::split(line).ok_or(CommandError::Quoting)?;
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_default();
        match program.rsplit('/').next() {
            Some("config.sh") => config(words).map(Self::Config),
            Some("run.sh") => run(words).map(Self::RunJit),
            _ => Err(CommandError::Program(program)),
        }
    }
}

fn config(mut words: impl Iterator<Item = String>) -> Result<ConfigCommand, CommandError> {
    let mut command = ConfigCommand::default();
    let mut unattended = false;
    while let Some(option) = words.next() {
        match option.as_str() {
            "--url" => command.url = value(&option, &mut words)?,
            "--token" => command.token = value(&option, &mut words)?,
            "--name" => command.name = value(&option, &mut words)?,
            "--labels" => command.labels = split_labels(&value(&option, &mut words)?),
            "--runnergroup" => command.group = Some(value(&option, &mut words)?),
            "--work" => drop(value(&option, &mut words)?),
            "--ephemeral" => command.ephemeral = true,
            "--replace" => command.replace = true,
            "--unattended" => unattended = true,
            "--disableupdate" => {}
            _ => return Err(CommandError::UnknownOption(option)),
        }
    }
    let given = [("--url", &command.url), ("--token", &command.token), ("--name", &command.name)];
    if let Some((missing, _)) = given.into_iter().find(|(_, value)| value.is_empty()) {
        return Err(CommandError::MissingOption(missing));
    }
    // Without it the script would ask questions that nobody answers.
    if unattended { Ok(command) } else { Err(CommandError::MissingOption("--unattended")) }
}

fn run(mut words: impl Iterator<Item = String>) -> Result<String, CommandError> {
    let option = words.next().ok_or(CommandError::MissingOption("--jitconfig"))?;
    if option != "--jitconfig" {
        return Err(CommandError::UnknownOption(option));
    }
    let config = value(&option, &mut words)?;
    words.next().map_or(Ok(config), |extra| Err(CommandError::UnknownOption(extra)))
}

/// The scripts take a word that looks like an option for the next option, not for a value.
fn value(option: &str, words: &mut impl Iterator<Item = String>) -> Result<String, CommandError> {
    let value = words.next().filter(|word| !word.is_empty() && !word.starts_with("--"));
    value.ok_or_else(|| CommandError::MissingValue(option.to_owned()))
}

fn split_labels(labels: &str) -> Vec<String> {
    labels.split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_sh_is_split_like_a_shell_does() {
        let line = "./config.sh --url https://github.com/acme --token ABC --name 'it'\\''s' --labels a,b --unattended \
                    --ephemeral --runnergroup 'GPU pool' --disableupdate";
        let expected = ConfigCommand {
            url: "https://github.com/acme".into(),
            token: "ABC".into(),
            name: "it's".into(),
            labels: vec!["a".into(), "b".into()],
            group: Some("GPU pool".into()),
            ephemeral: true,
            replace: false,
        };
        assert_eq!(line.parse(), Ok(Command::Config(expected)));
    }

    #[test]
    fn run_sh_takes_a_jit_config_and_nothing_else() {
        assert_eq!("./run.sh --jitconfig abc=".parse(), Ok(Command::RunJit("abc=".into())));
        assert_eq!("./run.sh".parse::<Command>(), Err(CommandError::MissingOption("--jitconfig")));
        let extra = "./run.sh --jitconfig abc; rm".parse::<Command>();
        assert_eq!(extra, Err(CommandError::UnknownOption("rm".into())));
    }

    #[test]
    fn what_the_scripts_do_not_know_is_an_error() {
        let known = "./config.sh --url u --token t --name n --unattended";
        assert!(known.parse::<Command>().is_ok());
        for (line, error) in [
            (format!("{known} --sudo"), CommandError::UnknownOption("--sudo".into())),
            (format!("{known} && ./run.sh"), CommandError::UnknownOption("&&".into())),
            (format!("{known} --labels --ephemeral"), CommandError::MissingValue("--labels".into())),
            ("./config.sh --url u --token t --name n".into(), CommandError::MissingOption("--unattended")),
            ("./config.sh --url u --token t --unattended".into(), CommandError::MissingOption("--name")),
            ("./config.sh --name 'x".into(), CommandError::Quoting),
            ("curl x".into(), CommandError::Program("curl".into())),
        ] {
            assert_eq!(line.parse::<Command>(), Err(error), "{line}");
        }
    }
}
