//! A simulated machine: does over HTTP what GitHub's runner program does.

mod command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::command::{Command, CommandError, ConfigCommand};
use super::world::Event;

/// Why a machine did not get what it wanted.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The command is wrong.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The JIT config is not one.
    #[error("the JIT config can't be unpacked")]
    JitConfig,
    /// GitHub said no. 404 on registration: the token does not hold, and GitHub does not say why.
    #[error("GitHub answered {status}: {body}")]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The answer's body.
        body: String,
    },
    /// No answer.
    #[error("GitHub could not be reached")]
    Unreachable(#[from] reqwest::Error),
}

/// A machine that is not a runner yet.
#[derive(Clone, Debug)]
pub struct Machine {
    base_url: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Shown {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Registered {
    runner: Shown,
    credential: String,
}

#[derive(Deserialize)]
struct Happened {
    id: u64,
    runner: Option<Shown>,
}

impl Machine {
    /// A machine in the same network as the fake at this URL.
    pub fn new(base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), http: reqwest::Client::new() }
    }

    /// Runs a command line as a user would paste it. `config.sh` leaves the runner offline, `run.sh` brings it online.
    pub async fn run_command(&self, line: &str) -> Result<RunnerMachine, MachineError> {
        match line.parse()? {
            Command::Config(command) => self.config(&command).await,
            Command::RunJit(config) => self.run_jit(&config).await,
        }
    }

    /// Registers, as `config.sh` does; the runner is offline until [`RunnerMachine::go_online`].
    pub async fn config(&self, command: &ConfigCommand) -> Result<RunnerMachine, MachineError> {
        let body = json!({
            "url": command.url,
            "name": command.name,
            "labels": command.labels,
            "group": command.group,
            "ephemeral": command.ephemeral,
            "replace": command.replace,
        });
        let request = self.http.post(format!("{}/fake/agent/register", self.base_url));
        let request = request.header("authorization", format!("RemoteAuth {}", command.token)).json(&body);
        let Registered { runner, credential } = accepted(request).await?.json().await?;
        Ok(RunnerMachine { machine: self.clone(), id: runner.id, name: runner.name, credential })
    }

    /// Brings a JIT runner online, as `run.sh --jitconfig` does.
    pub async fn run_jit(&self, encoded_jit_config: &str) -> Result<RunnerMachine, MachineError> {
        let credential = jit_credential(encoded_jit_config).ok_or(MachineError::JitConfig)?;
        let happened = self.report(&credential, Event::Online).await?;
        let name = happened.runner.map(|runner| runner.name).unwrap_or_default();
        Ok(RunnerMachine { machine: self.clone(), id: happened.id, name, credential })
    }

    async fn report(&self, credential: &str, event: Event) -> Result<Happened, MachineError> {
        let request = self.http.post(format!("{}/fake/agent/session", self.base_url));
        let request = request.json(&json!({"credential": credential, "event": event}));
        Ok(accepted(request).await?.json().await?)
    }
}

async fn accepted(request: reqwest::RequestBuilder) -> Result<reqwest::Response, MachineError> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(MachineError::Refused { status, body: response.text().await? })
}

/// The credential in a JIT config: base64 of a JSON object of files, each in base64 again.
fn jit_credential(encoded: &str) -> Option<String> {
    let decoded = |text: &str| serde_json::from_slice::<Value>(&BASE64_STANDARD.decode(text).ok()?).ok();
    let files = decoded(encoded)?;
    let credentials = decoded(files.get(".credentials")?.as_str()?)?;
    credentials.pointer("/Data/ClientId")?.as_str().map(str::to_owned)
}

/// A machine that is a runner.
#[derive(Clone, Debug)]
pub struct RunnerMachine {
    machine: Machine,
    id: u64,
    name: String,
    credential: String,
}

impl RunnerMachine {
    /// GitHub's id of the runner.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The runner's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects and waits for jobs, as `run.sh` does.
    pub async fn go_online(&mut self) -> Result<(), MachineError> {
        self.report(Event::Online).await.map(drop)
    }

    /// Disconnects.
    pub async fn go_offline(&mut self) -> Result<(), MachineError> {
        self.report(Event::Offline).await.map(drop)
    }

    /// Takes a job: busy until it is finished.
    pub async fn take_job(&mut self) -> Result<(), MachineError> {
        self.report(Event::JobStart).await.map(drop)
    }

    /// Finishes the job. `true` if the runner is still there; an ephemeral one vanishes.
    pub async fn finish_job(&mut self) -> Result<bool, MachineError> {
        Ok(self.report(Event::JobFinish).await?.runner.is_some())
    }

    /// Unregisters, as `config.sh remove --token …` does.
    pub async fn remove(self, remove_token: &str) -> Result<(), MachineError> {
        let request = self.machine.http.post(format!("{}/fake/agent/remove", self.machine.base_url));
        accepted(request.json(&json!({"credential": self.credential, "token": remove_token}))).await.map(drop)
    }

    async fn report(&self, event: Event) -> Result<Happened, MachineError> {
        self.machine.report(&self.credential, event).await
    }
}
