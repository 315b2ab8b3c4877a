//! One client with a good token, that asks at a steady pace.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::rounds::quartiles;
use reqwest::{Client, StatusCode};
use testkit::issuer::Mint;
use testkit::system::{AUDIENCE, SUBJECT, System};
use tokio::time::sleep_until;

/// Between two requests; each is answered long before the next.
const PACE: Duration = Duration::from_millis(10);

/// A client with a good token.
pub(crate) struct Good {
    client: Client,
    url: String,
    token: String,
}

/// Until an answer was there, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Felt {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Good {
    pub(crate) fn new(system: &System) -> anyhow::Result<Self> {
        let token = system.issuer().mint(&Mint::new(SUBJECT, AUDIENCE))?;
        Ok(Self { client: Client::new(), url: format!("{}/api/v1/runners", system.edge_url()), token })
    }

    /// Lists its runners for so long. A request that is late because the one before it took long counts from when it was
    /// due.
    pub(crate) async fn ask_for(&self, time: Duration) -> anyhow::Result<Felt> {
        let started = Instant::now();
        let (mut due, mut times) = (started, Vec::new());
        while started.elapsed() < time {
            due += PACE;
            let late = Instant::now() > due;
            sleep_until(due.into()).await;
            let asked = if late { due } else { Instant::now() };
            let answer = self.client.get(&self.url).bearer_auth(&self.token).send().await?;
            let status = answer.status();
            let text = answer.text().await?;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
            ensure!(status == StatusCode::OK, "a good token: {status} {text}");
        }
        let [_, p50, _] = quartiles(times.clone())?;
        times.sort_by(f64::total_cmp);
        let p99 = times.get(times.len().saturating_mul(99) / 100).copied().context("no answer")?;
        Ok(Felt { p50, p99 })
    }
}
