//! Rounds: without a flood, then with each kind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench::kernel::processor_time;
use bench::rounds::{number, quartiles};
use bench::system::{WORKERS, options};
use serde::Serialize;
use testkit::system::{System, SystemOptions};

use crate::attack::Attack;
use crate::good::{Felt, Good};
use crate::kinds::{Bad, Kind};

/// More numbers than a part of a round uses, so that no token comes twice.
const APART: u64 = 100_000_000;

/// The whole system with a good client.
pub(crate) struct Scene {
    system: System,
    edge: SocketAddr,
    good: Good,
    bad: Bad,
}

/// What a kind of flood does: medians of the rounds, and for ratios their quartiles too.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) kind: Kind,
    /// Tokens refused a second.
    pub(crate) reached: f64,
    /// The good client's milliseconds without and with it.
    pub(crate) p50_ms: [f64; 2],
    pub(crate) p99_ms: [f64; 2],
    pub(crate) p50_ratio: [f64; 3],
    pub(crate) p99_ratio: [f64; 3],
    /// Envoy's processor time a second, of one processor.
    pub(crate) envoy_busy: f64,
    /// How often the issuer was asked for its keys, in all rounds, and in how many seconds.
    pub(crate) key_fetches: u64,
    pub(crate) seconds: f64,
}

/// What one kind did in a round.
struct Part {
    quiet: Felt,
    felt: Felt,
    reached: f64,
    envoy_busy: f64,
    key_fetches: u64,
    seconds: f64,
}

impl Scene {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let options = SystemOptions { envoy_concurrency: WORKERS, ..options(&[]) };
        let system = System::start(options).await?;
        let edge = system.edge_url().trim_start_matches("http://").parse().context("the edge has no address")?;
        let (good, bad) = (Good::new(&system)?, Bad::new(system.issuer())?);
        Ok(Self { system, edge, good, bad })
    }

    async fn flood(
        &mut self,
        kind: Kind,
        quiet: Felt,
        (first, rate): (u64, u32),
        time: Duration,
    ) -> anyhow::Result<Part> {
        let envoy = self.system.envoy().process().id();
        let (fetches, busy, started) = (self.system.issuer().jwks_fetches(), processor_time(envoy)?, Instant::now());
        let attack = Attack::start(self.edge, self.bad.clone(), kind, first, rate)?;
        let felt = self.good.ask_for(time).await?;
        let reached = tokio::task::block_in_place(|| attack.end())?;
        let seconds = started.elapsed().as_secs_f64();
        let busy = processor_time(envoy)?.saturating_sub(busy);
        let key_fetches = self.system.issuer().jwks_fetches().saturating_sub(fetches);
        Ok(Part { quiet, felt, reached, envoy_busy: number(busy) / 1e9 / seconds, key_fetches, seconds })
    }
}

pub(crate) async fn all(scene: &mut Scene, rate: u32, rounds: u16, time: Duration) -> anyhow::Result<Vec<Figure>> {
    // Connections, caches, the pool.
    scene.good.ask_for(time / 2).await?;
    let mut parts: Vec<(Kind, Vec<Part>)> = Kind::ALL.map(|kind| (kind, Vec::new())).into();
    let mut first = 0;
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for (kind, parts) in &mut parts {
            let quiet = scene.good.ask_for(time).await?;
            first += APART;
            parts.push(scene.flood(*kind, quiet, (first, rate), time).await?);
        }
    }
    parts.into_iter().map(|(kind, parts)| figure(kind, &parts)).collect()
}

fn figure(kind: Kind, parts: &[Part]) -> anyhow::Result<Figure> {
    let spread = |value: fn(&Part) -> f64| quartiles(parts.iter().map(value).collect());
    let median = |value: fn(&Part) -> f64| spread(value).map(|[_, median, _]| median);
    Ok(Figure {
        kind,
        reached: median(|part| part.reached)?,
        p50_ms: [median(|part| part.quiet.p50)?, median(|part| part.felt.p50)?],
        p99_ms: [median(|part| part.quiet.p99)?, median(|part| part.felt.p99)?],
        p50_ratio: spread(|part| part.felt.p50 / part.quiet.p50)?,
        p99_ratio: spread(|part| part.felt.p99 / part.quiet.p99)?,
        envoy_busy: median(|part| part.envoy_busy)?,
        key_fetches: parts.iter().map(|part| part.key_fetches).sum(),
        seconds: parts.iter().map(|part| part.seconds).sum(),
    })
}
