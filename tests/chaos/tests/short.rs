//! The short version of `cargo xtask chaos`: a few of the faults, the same seed every time.

use std::time::Duration;

use chaos::{Options, run};
use testkit::system::path;

const SEED: u64 = 38_549;
/// Each part fails, two of them twice.
const CASES: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn what_must_hold_holds_after_each_of_a_few_faults() -> anyhow::Result<()> {
    println!("seed {SEED}");
    let filter = path("TRAPPING_FILTER_WASM")?;
    let options = Options { seed: SEED, cases: CASES, time: Duration::from_mins(4), filter };
    let report = run(options, |_, _| {}).await?;
    println!("{}", report.table());
    assert_eq!(report.broken(), [""; 0]);
    assert_eq!(report.cases.len(), CASES, "it took too long");
    let errors = |part: &str| report.cases.iter().any(|case| case.part == part && !case.errors.is_empty());
    assert!(errors("control plane") || errors("Postgres") || errors("Envoy"), "nothing was felt of any fault");
    Ok(())
}
