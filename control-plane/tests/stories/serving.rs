//! The binary, serving.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use crate::commands::Cli;
use crate::metrics::Scrape;
use crate::world::World;

/// Time for whatever should happen soon.
const SOON: Duration = Duration::from_secs(20);

/// `runner-tokens serve` with a world's GitHub and database; it is killed when this is dropped.
pub(crate) struct Service {
    pub(crate) base: String,
    /// The URL of its metrics.
    pub(crate) metrics: String,
    lines: Arc<Mutex<Vec<String>>>,
    _process: Child,
    _cli: Cli,
}

impl Service {
    /// Starts it with a configuration that is changed first, and waits until it listens.
    pub(crate) async fn start(
        world: &World,
        pool: &PgPool,
        story: &str,
        change: impl FnOnce(&mut Cli) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut cli = Cli::new(world, pool, story)?;
        cli.environment.push(("METRICS_ADDR", "127.0.0.1:0".to_owned()));
        change(&mut cli)?;
        let mut process = cli.command(&["serve"]).stderr(Stdio::piped()).spawn()?;
        let mut log = BufReader::new(process.stderr.take().context("no log")?).lines();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut service = Self { base: String::new(), metrics: String::new(), lines, _process: process, _cli: cli };
        let started = Instant::now();
        while service.base.is_empty() || service.metrics.is_empty() {
            ensure!(started.elapsed() < SOON, "it does not listen: {:?}", service.log());
            sleep(Duration::from_millis(10)).await;
            let after = |text: &str| {
                let messages = service.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
                let mut found =
                    messages.filter_map(|line| line.get("message")?.as_str()?.strip_prefix(text).map(str::to_owned));
                found.next().unwrap_or_default()
            };
            (service.base, service.metrics) = (after("listening on "), after("metrics are at "));
        }
        Ok(service)
    }

    /// The lines that it wrote so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Scrapes it until that is so.
    pub(crate) async fn until(&self, holds: impl Fn(&Scrape) -> bool) -> anyhow::Result<Scrape> {
        let started = Instant::now();
        loop {
            let scrape = Scrape::of(self).await?;
            if holds(&scrape) {
                return Ok(scrape);
            }
            ensure!(started.elapsed() < SOON, "it never held");
            sleep(Duration::from_millis(100)).await;
        }
    }
}
