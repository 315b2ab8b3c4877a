//! The command that a machine runs to become the runner.

use secrecy::{ExposeSecret as _, SecretString};

use super::OperationError;
use crate::store::runners::Runner;

/// `config.sh` with a registration token. The group goes by name, and only if it is not GitHub's default one.
pub(super) fn with_token(
    runner: &Runner,
    github_url: &str,
    token: &SecretString,
    group: Option<&str>,
) -> Result<SecretString, OperationError> {
    let labels = runner.labels.join(",");
    let mut words = vec!["./config.sh", "--unattended", "--url", github_url, "--token", token.expose_secret()];
    words.extend(["--name", &runner.name]);
    if !labels.is_empty() {
        words.extend(["--labels", &labels]);
    }
    if let Some(group) = group {
        words.extend(["--runnergroup", group]);
    }
    if runner.ephemeral {
        words.push("--ephemeral");
    }
    if runner.disable_update {
        words.push("--disableupdate");
    }
    quote(words)
}

/// `run.sh` with a just-in-time configuration.
pub(super) fn with_jit_config(config: &SecretString) -> Result<SecretString, OperationError> {
    quote(vec!["./run.sh", "--jitconfig", config.expose_secret()])
}

/// Quoted for a POSIX shell. Only a NUL can't be.
fn quote(words: Vec<&str>) -> Result<SecretString, OperationError> {
    shlex::try_join(words)
        .map(SecretString::from)
        .map_err(|_| OperationError::Internal("GitHub's answer has a NUL in it".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_github_answers_stays_one_word() {
        let hostile = "$(reboot)`id`; rm -rf / #'\"\n";
        let command = with_jit_config(&SecretString::from(hostile)).unwrap();
        let words = shlex::split(command.expose_secret()).unwrap();
        assert_eq!(words, ["./run.sh", "--jitconfig", hostile]);
    }
}
