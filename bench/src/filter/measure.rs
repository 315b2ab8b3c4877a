//! Rounds, interleaved, and the ratio of each.

use std::net::SocketAddr;

use bench::kernel::processor_time;
use bench::rounds::{number, quartiles};
use serde::Serialize;

use crate::cases::requests_a_round;
use bench::load::{Load, Request};

/// A comparison's outcome. Times are processor time of the whole Envoy process a request, in microseconds.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) ratio: f64,
    /// The quartiles of the rounds' ratios: how far to believe the figure.
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) ours_us: f64,
    pub(crate) peer_us: f64,
    pub(crate) rounds: usize,
    /// On each side.
    pub(crate) requests: usize,
}

/// One side of a comparison: where it listens, and what it is asked.
pub(crate) struct Subject {
    load: Load,
    requests: Vec<Request>,
}

impl Subject {
    pub(crate) fn new(address: SocketAddr, requests: Vec<Request>) -> anyhow::Result<Self> {
        Ok(Self { load: Load::connect(address)?, requests })
    }

    /// Asks for everything once; gives microseconds a request.
    fn round(&mut self, envoy: u32) -> anyhow::Result<f64> {
        let count = requests_a_round(self.requests.len());
        let before = processor_time(envoy)?;
        self.load.send(self.requests.iter().cycle().take(count))?;
        let spent = processor_time(envoy)?.saturating_sub(before);
        Ok(number(spent) / 1000.0 / number(u64::try_from(count)?))
    }
}

/// Compares two: each round asks both, by turns the one and the other first.
pub(crate) fn compare(ours: &mut Subject, peer: &mut Subject, envoy: u32, rounds: usize) -> anyhow::Result<Outcome> {
    // Fills the caches, and lets the engine settle.
    ours.round(envoy)?;
    peer.round(envoy)?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            mine.push(ours.round(envoy)?);
            theirs.push(peer.round(envoy)?);
        } else {
            theirs.push(peer.round(envoy)?);
            mine.push(ours.round(envoy)?);
        }
    }
    let ratios = mine.iter().zip(&theirs).map(|(mine, theirs)| mine / theirs).collect();
    let [lower, ratio, upper] = quartiles(ratios)?;
    let [_, ours_us, _] = quartiles(mine)?;
    let [_, peer_us, _] = quartiles(theirs)?;
    let requests = requests_a_round(ours.requests.len()).saturating_mul(rounds);
    Ok(Outcome { ratio, lower, upper, ours_us, peer_us, rounds, requests })
}
