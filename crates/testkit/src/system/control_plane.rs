//! The binary `runner-tokens`.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::process::{Process, Program};
use super::scope::Scope;

const START: Duration = Duration::from_mins(1);
/// What it writes to its log before the URL that it serves.
const LISTENING: &str = "listening on http://";

/// The environment variables that configure it.
pub type Environment = Vec<(String, String)>;

/// A running control plane; it stops when it is dropped.
pub struct ControlPlane {
    process: Process,
    address: String,
}

impl ControlPlane {
    /// Runs `runner-tokens serve` and waits until it listens. `SERVICE_PORT=0` lets it take a free port. `name` is that
    /// of its log, and of its sessions in the database.
    pub async fn start(
        name: &str,
        binary: &Path,
        environment: &Environment,
        scope: &Arc<Scope>,
    ) -> anyhow::Result<Self> {
        let variables = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables = variables.chain([("PGAPPNAME", name)]);
        let mut process = Program::new(name, binary).args(["serve"]).envs(variables).start(scope)?;
        let address = process.until("it listens", START, async |process| address_in(&process.log())).await?;
        Ok(Self { process, address })
    }

    /// Base URL of the port that only the edge should reach.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port.
    pub fn host_and_port(&self) -> anyhow::Result<(String, u16)> {
        let (host, port) = self.address.rsplit_once(':').context("its address has no port")?;
        Ok((host.to_owned(), port.parse()?))
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The address in a log with a line like `… listening on http://127.0.0.1:8000`, plain or in JSON or coloured.
fn address_in(log: &str) -> Option<String> {
    let (_, rest) = log.split_once(LISTENING)?;
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !".:[]".contains(letter))?;
    rest.get(..end).map(str::to_owned)
}

/// The command line of `runner-tokens` with a configuration.
#[derive(Clone, Debug)]
pub struct Cli {
    pub(super) binary: PathBuf,
    pub(super) environment: Environment,
}

impl Cli {
    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().current_dir("/").kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.output().await.with_context(|| format!("could not run {}", self.binary.display()))
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub async fn succeed(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "runner-tokens {}: {}\n{errors}", arguments.join(" "), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::address_in;

    #[test]
    fn the_address_is_found_in_every_form_of_log() {
        for log in [
            "INFO listening on http://127.0.0.1:8000\n",
            "{\"message\":\"listening on http://127.0.0.1:8000\",\"level\":\"INFO\"}\n",
            "listening on http://127.0.0.1:8000\u{1b}[0m address=x\n",
        ] {
            assert_eq!(address_in(log).unwrap(), "127.0.0.1:8000");
        }
        assert_eq!(address_in("listening on http://[::1]:80\n").unwrap(), "[::1]:80");
    }

    #[test]
    fn half_a_line_is_not_an_address_yet() {
        assert_eq!(address_in("listening on http://127.0.0.1:80"), None);
        assert_eq!(address_in("starting"), None);
    }
}
