//! The clients' examples, run against the whole system.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use testkit::system::{CLIENT, CLIENT_SECRET, System, SystemOptions};

/// Stands in front of curl and jq and notes what everybody on the machine could see of them.
const OBSERVER: &str = "#!/bin/sh\nprintf '%s\\n' \"$0 $*\" >> \"$SEEN\"\nPATH=$REST exec \"${0##*/}\" \"$@\"\n";
/// Instead of GitHub's runner: keeps what it was given for the fake's machine.
const RUNNER: &str =
    "#!/bin/sh\nprintf '%s' \"$ACTIONS_RUNNER_INPUT_JITCONFIG\" > given\nprintf '%s\\n' \"$0 $*\" >> \"$SEEN\"\n";

fn program(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

struct Machine {
    directory: PathBuf,
}

impl Machine {
    fn new(system: &System) -> anyhow::Result<Self> {
        let directory = system.scope().directory().join("machine");
        fs::create_dir(&directory)?;
        program(&directory.join("run.sh"), RUNNER)?;
        for name in ["curl", "jq"] {
            program(&directory.join(name), OBSERVER)?;
        }
        fs::write(directory.join("secret"), CLIENT_SECRET)?;
        Ok(Self { directory })
    }

    /// A shell command on this machine.
    fn command(&self, program: &str) -> Command {
        let rest = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.env("PATH", format!("{}:{rest}", self.directory.display())).env("REST", rest);
        command.env("SEEN", self.directory.join("seen")).env("NO_PROXY", "*");
        command
    }

    fn provision(&self, system: &System, secret_file: &str) -> anyhow::Result<Output> {
        let mut script = self.command(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/provision-runner.sh"));
        script.env("EDGE_URL", system.edge_url()).env("TOKEN_URL", system.issuer().token_endpoint());
        script.env("CLIENT_ID", CLIENT).env("CLIENT_SECRET_FILE", self.directory.join(secret_file));
        script.env("RUNNER_DIRECTORY", &self.directory).env("RUNNER_PREFIX", "cloud").env("RUNNER_LABELS", "linux,x64");
        Ok(script.output()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_makes_a_machine_a_runner_and_shows_nobody_a_secret() -> anyhow::Result<()> {
    let system = System::start(SystemOptions::default()).await?;
    let machine = Machine::new(&system)?;
    let output = machine.provision(&system, "secret")?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    ensure!(output.status.success() && said.contains("this machine is cloud-"), "{said}");

    let config = fs::read_to_string(machine.directory.join("given"))?;
    let mut runner = system.github().machine().run_command(&format!("./run.sh --jitconfig {config}")).await?;
    runner.go_online().await?;

    let seen = fs::read_to_string(machine.directory.join("seen"))?;
    ensure!(seen.lines().count() > 5, "{seen}");
    let mut secrets = system.issuer().issued_tokens();
    secrets.extend([config, CLIENT_SECRET.to_owned()]);
    ensure!(secrets.len() > 2);
    for secret in secrets {
        ensure!(!seen.contains(&secret) && !said.contains(&secret), "{secret} was shown");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_an_error_that_says_so() -> anyhow::Result<()> {
    let system = System::start(SystemOptions::default()).await?;
    let machine = Machine::new(&system)?;
    fs::write(machine.directory.join("wrong"), "wrong-secret")?;
    let output = machine.provision(&system, "wrong")?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && said.contains("answered 401: unknown client or wrong secret"), "{said}");
    ensure!(!said.contains("wrong-secret") && !machine.directory.join("given").exists());
    Ok(())
}

/// The step of the workflow as GitHub runs it, with the dev issuer's token where GitHub's own would be.
#[tokio::test(flavor = "multi_thread")]
async fn the_workflow_provisions_with_its_own_token() -> anyhow::Result<()> {
    let system = System::start(SystemOptions::default()).await?;
    let machine = Machine::new(&system)?;
    let workflow: Value = serde_saphyr::from_str(include_str!("../../examples/provision.workflow.yml"))?;
    let step = workflow.pointer("/jobs/provision/steps/0/run").and_then(Value::as_str).context("no step")?;
    let token = token(&system)?;
    let granted = machine.directory.join("granted");
    fs::write(&granted, serde_json::json!({"value": token}).to_string())?;
    let mut shell = machine.command("bash");
    shell.args(["-e", "-c", step]).env("EDGE_URL", system.edge_url()).env("AUDIENCE", "runner-tokens");
    // GitHub's endpoint only wants to be asked; a file answers as well. curl takes what follows `?` as a query.
    shell.env("ACTIONS_ID_TOKEN_REQUEST_URL", format!("file://{}?api-version=2", granted.display()));
    shell.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token");
    let output = shell.output()?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    ensure!(output.status.success() && said.contains("provisioned job-"), "{said}");
    // What it prints of secrets are the orders to mask them.
    let shown = said.lines().filter(|line| !line.starts_with("::add-mask::")).any(|line| line.contains(&token));
    ensure!(!shown && !fs::read_to_string(machine.directory.join("seen"))?.contains(&token));
    Ok(())
}

fn token(system: &System) -> anyhow::Result<String> {
    system.issuer().mint(&testkit::issuer::Mint::new("team-blue", testkit::system::AUDIENCE))
}

/// The machine's unit and files are what the script needs.
#[test]
fn cloud_init_sets_what_the_script_asks_for() -> anyhow::Result<()> {
    let config: Value = serde_saphyr::from_str(include_str!("../../examples/cloud-init.yaml"))?;
    let environment = config.pointer("/write_files/0/content").and_then(Value::as_str).context("no environment")?;
    for name in ["EDGE_URL", "TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET_FILE", "RUNNER_DIRECTORY"] {
        ensure!(environment.lines().any(|line| line.starts_with(&format!("{name}="))), "{name} is not set");
    }
    Ok(())
}
