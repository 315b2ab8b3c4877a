//! The container's program: images without a shell need one.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

const SIGNING_KEY: &str = "IDENTITY_SIGNING_KEY";
/// A health check that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts Envoy with the filter, configured by environment variables (envoy/README.md lists them)
#[derive(Parser)]
#[command(name = "edge", version, after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage.")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Fill in the configuration and become Envoy
    #[command(after_help = "Example:\n  edge run -- --concurrency 2 --log-level warning")]
    Run {
        /// More arguments for Envoy
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Print the configuration as Envoy would get it; it holds no secret
    #[command(after_help = "Example:\n  edge config > envoy.yaml && envoy --mode validate --config-path envoy.yaml")]
    Config,
    /// Ask the Envoy of this machine whether it is ready
    #[command(after_help = "Example:\n  edge health && echo ready")]
    Health,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> anyhow::Result<()> {
    match action {
        Action::Run { arguments } => become_envoy(&arguments),
        Action::Config => {
            print!("{}", configuration()?);
            Ok(())
        }
        Action::Health => health(),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The shipped template, or that of `ENVOY_TEMPLATE`.
fn configuration() -> anyhow::Result<String> {
    let own = variable("ENVOY_TEMPLATE").map(|path| fs::read_to_string(&path).context(path)).transpose()?;
    edge::configuration(own.as_deref().unwrap_or(edge::TEMPLATE), &variable)
}

fn signing_key() -> anyhow::Result<String> {
    match (variable(SIGNING_KEY), variable("IDENTITY_SIGNING_KEY_FILE")) {
        (Some(_), Some(_)) => bail!("{SIGNING_KEY} and IDENTITY_SIGNING_KEY_FILE are both set; unset one of them"),
        (Some(key), None) => Ok(key),
        (None, Some(path)) => fs::read_to_string(&path).with_context(|| format!("IDENTITY_SIGNING_KEY_FILE, {path}")),
        (None, None) => {
            bail!("set {SIGNING_KEY} or IDENTITY_SIGNING_KEY_FILE; `runner-tokens identity-keygen` makes a pair")
        }
    }
}

/// The configuration goes in by the command line, so that nothing needs to be written; the key by the environment.
fn become_envoy(arguments: &[OsString]) -> anyhow::Result<()> {
    let program = variable("ENVOY_BIN").unwrap_or_else(|| "envoy".to_owned());
    let mut envoy = Command::new(&program);
    envoy.arg("--config-yaml").arg(configuration()?).arg("--disable-hot-restart").args(arguments);
    envoy.env(SIGNING_KEY, signing_key()?);
    // Returns only if it could not be done.
    Err(envoy.exec()).with_context(|| format!("could not start {program}"))
}

fn health() -> anyhow::Result<()> {
    let (host, port) = (variable("ADMIN_HOST"), variable("ADMIN_PORT"));
    let (host, port) = (host.as_deref().unwrap_or("127.0.0.1"), port.as_deref().unwrap_or("9901"));
    let address = format!("{host}:{port}").to_socket_addrs()?.next().context("ADMIN_HOST names no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("Envoy does not listen")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /ready HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let ready = answer.starts_with(b"HTTP/1.1 200 ");
    if ready { Ok(()) } else { bail!("Envoy is not ready") }
}
