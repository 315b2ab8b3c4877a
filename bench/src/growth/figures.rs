//! What something costs at each size, and the ratios to the first.

use anyhow::Context as _;
use bench::rounds::quartiles;
use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    Microseconds,
    MicrosecondsPerEntry,
    Kibibytes,
}

/// What something costs at each size.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// Which runners live.
    pub(crate) shape: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// At each size.
    pub(crate) medians: Vec<f64>,
    /// At each size but the first, to the first: the lower quartile of the rounds, the median, and the upper one.
    pub(crate) ratios: Vec<[f64; 3]>,
    pub(crate) rounds: usize,
}

impl Figure {
    /// From the rounds at each size; those of the same number were made one after the other.
    pub(crate) fn of(shape: &'static str, name: &'static str, unit: Unit, sizes: &[Vec<f64>]) -> anyhow::Result<Self> {
        let (first, others) = sizes.split_first().context("no size")?;
        let ratios =
            others.iter().map(|rounds| quartiles(rounds.iter().zip(first).map(|(at, base)| at / base).collect()));
        let medians = sizes.iter().map(|rounds| quartiles(rounds.clone()).map(|[_, median, _]| median));
        Ok(Self {
            shape,
            name,
            unit,
            medians: medians.collect::<anyhow::Result<_>>()?,
            ratios: ratios.collect::<anyhow::Result<_>>()?,
            rounds: first.len(),
        })
    }
}
