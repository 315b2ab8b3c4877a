//! Rounds over all sizes, interleaved.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench::kernel::peak_memory;
use bench::rounds::{number, quartiles};

use crate::calls::Call;
use crate::export::NEWEST;
use crate::figures::{Figure, Unit};
use crate::side::{Shape, Side};

/// So often each call is made before it counts: a prepared statement may get another plan after five.
const WARM_UP: u32 = 12;
/// Fewer give no quartiles.
const LEAST_ROUNDS: u16 = 3;
/// Exports of everything: each takes seconds.
const WHOLE_EXPORTS: u16 = 3;

/// How long a call is measured.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rounds: u16,
    pub(crate) repeats: u32,
    pub(crate) time: Duration,
}

/// Measures everything for a shape, the memory of the services last.
pub(crate) async fn all(sides: &mut [Side], shape: Shape, limits: Limits) -> anyhow::Result<Vec<Figure>> {
    let mut figures = if shape == Shape::Gone { exports(sides, shape, limits)? } else { Vec::new() };
    for call in Call::of(shape) {
        eprintln!("measuring: {}", call.described());
        figures.push(one(sides, shape, call, limits).await?);
    }
    let peaks = sides.iter_mut().map(|side| {
        let process = side.system.control_planes().first_mut().context("no control plane")?.process().id();
        anyhow::Ok(vec![kibibytes(peak_memory(process).context("it has ended")?)])
    });
    let peaks = peaks.collect::<anyhow::Result<Vec<_>>>()?;
    figures.push(Figure::of(shape.described(), "peak memory of the service", Unit::Kibibytes, &peaks)?);
    Ok(figures)
}

async fn one(sides: &mut [Side], shape: Shape, call: Call, limits: Limits) -> anyhow::Result<Figure> {
    let repeats = limits.repeats.min(call.most_repeats());
    for side in sides.iter_mut() {
        for _ in 0..WARM_UP.min(repeats) {
            side.time(call).await?;
        }
    }
    let mut times: Vec<Vec<f64>> = sides.iter().map(|_| Vec::new()).collect();
    let started = Instant::now();
    for round in 0..limits.rounds {
        if round >= LEAST_ROUNDS && started.elapsed() > limits.time {
            break;
        }
        for turn in 0..sides.len() {
            // Each size comes first in its turn.
            let at = (turn + usize::from(round)) % sides.len();
            let (side, times) = (sides.get_mut(at).context("no side")?, times.get_mut(at).context("no times")?);
            times.push(one_round(side, call, repeats).await?);
        }
    }
    Figure::of(shape.described(), call.described(), Unit::Microseconds, &times)
}

/// The median of a round, in microseconds.
async fn one_round(side: &mut Side, call: Call, repeats: u32) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..repeats {
        times.push(side.time(call).await?.as_secs_f64() * 1e6);
    }
    let [_, median, _] = quartiles(times)?;
    Ok(median)
}

/// The newest entries, which must not cost more in a long log, and all of them, which must not take more memory.
fn exports(sides: &[Side], shape: Shape, limits: Limits) -> anyhow::Result<Vec<Figure>> {
    eprintln!("measuring: exports");
    let mut newest: Vec<Vec<f64>> = sides.iter().map(|_| Vec::new()).collect();
    let (mut whole, mut memory) = (newest.clone(), newest.clone());
    for round in 0..limits.rounds {
        for (side, times) in sides.iter().zip(&mut newest) {
            times.push(side.export(NEWEST)?.seconds * 1e6);
        }
        if round < WHOLE_EXPORTS {
            for (side, (times, memory)) in sides.iter().zip(whole.iter_mut().zip(&mut memory)) {
                let taken = side.export(side.size)?;
                times.push(taken.seconds * 1e6 / f64::from(side.size));
                memory.push(kibibytes(taken.peak_memory));
            }
        }
    }
    let figure = |name, unit, rounds: &[Vec<f64>]| Figure::of(shape.described(), name, unit, rounds);
    Ok(vec![
        figure("export of the newest 1,000 entries", Unit::Microseconds, &newest)?,
        figure("export of all entries, each", Unit::MicrosecondsPerEntry, &whole)?,
        figure("peak memory of that export", Unit::Kibibytes, &memory)?,
    ])
}

fn kibibytes(bytes: u64) -> f64 {
    number(bytes / 1024)
}
