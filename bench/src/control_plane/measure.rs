//! Rounds of both in turn: processor time of the processes, time of each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use bench::kernel::processor_time_of_family;
use bench::rounds::{number, quartiles};
use futures_util::future::try_join_all;
use reqwest::Client;
use serde::Serialize;

use crate::Arguments;
use crate::calls::{Call, Side};
use crate::scene::Scene;

/// Requests under way at once.
const CLIENTS: u32 = 8;
/// So many requests to the control plane for one to Python: a round that is over at once tells little.
const MORE: u32 = 10;

/// One call on both sides.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// Processor time of Python's processes to that of the control plane: the quartiles of the rounds.
    pub(crate) ratio: [f64; 3],
    pub(crate) ours: Cost,
    pub(crate) peer: Cost,
}

/// The medians of the rounds on one side.
#[derive(Serialize)]
pub(crate) struct Cost {
    /// Of the service, in microseconds of processor time a request.
    pub(crate) service_us: f64,
    /// Of Postgres.
    pub(crate) database_us: f64,
    /// Of Envoy.
    pub(crate) edge_us: f64,
    pub(crate) requests_a_second: f64,
    /// Milliseconds until half of the answers are there, and nearly all.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A round's figures, in the order of [`Cost`].
type Round = [f64; 6];

/// A call of ours that Python has not, to tell what the others are made of.
#[derive(Serialize)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) ours: Cost,
}

/// What is measured, with what it needs.
pub(crate) struct Bench<'a> {
    scene: &'a Scene,
    arguments: &'a Arguments,
    processes: Processes,
    client: Client,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(scene: &'a mut Scene, arguments: &'a Arguments) -> anyhow::Result<Self> {
        let processes = Processes::of(scene)?;
        Ok(Self { scene, arguments, processes, client: Client::new() })
    }

    /// The calls that both sides have.
    pub(crate) async fn both(&self) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for call in Call::OF_BOTH {
            eprintln!("measuring: {}", call.described());
            let (mut ours, mut peer) = (Vec::new(), Vec::new());
            // Fills caches and pools, and lets Python import what it needs.
            self.round(call, Side::Ours).await?;
            self.round(call, Side::Peer).await?;
            for round in 0..self.arguments.rounds {
                if round % 2 == 0 {
                    ours.push(self.round(call, Side::Ours).await?);
                    peer.push(self.round(call, Side::Peer).await?);
                } else {
                    peer.push(self.round(call, Side::Peer).await?);
                    ours.push(self.round(call, Side::Ours).await?);
                }
            }
            let ratio = quartiles(peer.iter().zip(&ours).map(|(peer, ours)| peer[0] / ours[0]).collect())?;
            eprintln!("    {:.1}", ratio[1]);
            figures.push(Figure { name: call.described(), ratio, ours: medians(&ours)?, peer: medians(&peer)? });
        }
        Ok(figures)
    }

    /// The calls that only ours has.
    pub(crate) async fn parts(&self) -> anyhow::Result<Vec<Part>> {
        let mut parts = Vec::new();
        for call in Call::OF_OURS {
            eprintln!("measuring: {}", call.described());
            self.round(call, Side::Ours).await?;
            let mut ours = Vec::new();
            for _ in 0..self.arguments.rounds {
                ours.push(self.round(call, Side::Ours).await?);
            }
            parts.push(Part { name: call.described(), ours: medians(&ours)? });
        }
        Ok(parts)
    }

    async fn round(&self, call: Call, side: Side) -> anyhow::Result<Round> {
        let each = self.arguments.requests;
        let requests = if side == Side::Ours { each.saturating_mul(MORE) } else { each };
        let round = one_round(self, call, side, requests).await?;
        if call == Call::Provision {
            self.scene.forget_made().await?;
        }
        Ok(round)
    }
}

/// Where processor time goes.
struct Processes {
    control_plane: u32,
    python: u32,
    postgres: u32,
    envoy: u32,
}

impl Processes {
    fn of(scene: &mut Scene) -> anyhow::Result<Self> {
        let system = &mut scene.system;
        Ok(Self {
            control_plane: system.control_planes().first_mut().context("no control plane")?.process().id(),
            python: scene.peer.id(),
            postgres: system.postgres().context("no Postgres")?.process().id(),
            envoy: system.envoy().process().id(),
        })
    }

    /// Nanoseconds so far of the service, Postgres and Envoy.
    fn spent(&self, side: Side) -> anyhow::Result<[u64; 3]> {
        let service = if side == Side::Ours { self.control_plane } else { self.python };
        Ok([
            processor_time_of_family(service)?,
            processor_time_of_family(self.postgres)?,
            processor_time_of_family(self.envoy)?,
        ])
    }
}

async fn one_round(bench: &Bench<'_>, call: Call, side: Side, requests: u32) -> anyhow::Result<Round> {
    let Bench { scene, processes, client, .. } = bench;
    let (before, started) = (processes.spent(side)?, Instant::now());
    let left = Arc::new(AtomicU32::new(requests));
    let clients = (0..CLIENTS).map(|_| async {
        let mut times = Vec::new();
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let asked = Instant::now();
            let answer = call.request(client, scene, side).send().await?;
            let (status, text) = (answer.status().as_u16(), answer.text().await?);
            times.push(asked.elapsed().as_secs_f64() * 1e3);
            call.check(status, &text)?;
        }
        anyhow::Ok(times)
    });
    let mut times: Vec<f64> = try_join_all(clients).await?.into_iter().flatten().collect();
    let seconds = started.elapsed().as_secs_f64();
    let after = processes.spent(side)?;
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get(times.len().saturating_mul(percent) / 100).copied().context("no answers");
    let requests = f64::from(requests);
    let each = |part: usize| -> anyhow::Result<f64> {
        let (before, after) = (before.get(part).context("part")?, after.get(part).context("part")?);
        Ok(number(after.saturating_sub(*before)) / 1e3 / requests)
    };
    Ok([each(0)?, each(1)?, each(2)?, requests / seconds, at(50)?, at(99)?])
}

fn medians(rounds: &[Round]) -> anyhow::Result<Cost> {
    let median = |part: usize| -> anyhow::Result<f64> {
        let [_, median, _] = quartiles(rounds.iter().filter_map(|round| round.get(part).copied()).collect())?;
        Ok(median)
    };
    Ok(Cost {
        service_us: median(0)?,
        database_us: median(1)?,
        edge_us: median(2)?,
        requests_a_second: median(3)?,
        p50_ms: median(4)?,
        p99_ms: median(5)?,
    })
}
