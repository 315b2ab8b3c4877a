//! Figures of several rounds.

use anyhow::Context as _;

/// The lower quartile, the median and the upper quartile; an error if there is no value.
pub fn quartiles(mut values: Vec<f64>) -> anyhow::Result<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |quarters: usize| values.get(last.saturating_mul(quarters) / 4).copied().context("no rounds");
    Ok([at(1)?, at(2)?, at(3)?])
}

/// Exact up to 2^53, which is 104 days in nanoseconds.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "exact for all that is measured here")]
pub fn number(value: u64) -> f64 {
    value as f64
}
