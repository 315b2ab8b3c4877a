//! `health`: the check of a container, which has no shell and no curl.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::progress::during;
use super::{Output, OutputArgs, screen};
use crate::config::{self, Environment};

/// A health check that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3);
/// The first line of an answer is far shorter.
const LONGEST_ANSWER: u64 = 4096;

pub(super) async fn health(environment: Environment<'_>, arguments: &OutputArgs) -> anyhow::Result<()> {
    let outcome = ask(environment).await;
    match (arguments.output, &outcome) {
        (Output::Table, Ok(())) => screen::print_verdict("ready", true, "")?,
        // Said by the error itself.
        (Output::Table, Err(_)) => {}
        (Output::Json, outcome) => {
            let problem = outcome.as_ref().err().map(|error| format!("{error:#}"));
            screen::print_json(&json!({"ready": problem.is_none(), "problem": problem}))?;
        }
    }
    outcome
}

async fn ask(environment: Environment<'_>) -> anyhow::Result<()> {
    let setting = |name| config::value(environment, name).or_else(|| config::default_of(name).map(str::to_owned));
    let host = setting("SERVICE_HOST").context("SERVICE_HOST is not set")?;
    let port = setting("SERVICE_PORT").context("SERVICE_PORT is not set")?;
    let port: u16 = port.parse().context("SERVICE_PORT is not a port")?;
    // Who listens on every address is asked on this machine's own.
    let host = if ["0.0.0.0", "::"].contains(&host.as_str()) { "127.0.0.1" } else { &host };
    let answer = tokio::time::timeout(PATIENCE, status(host, port));
    let answer = during("asking the service", answer).await;
    let answer = answer.with_context(|| format!("the service did not answer within {} s", PATIENCE.as_secs()))??;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        bail!("the service is not ready; its log and /health/ready say why");
    }
    Ok(())
}

async fn status(host: &str, port: u16) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((host, port)).await.context("the service does not listen")?;
    let request = format!("GET /health/ready HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}
