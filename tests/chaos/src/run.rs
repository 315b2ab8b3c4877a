//! One case after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use testkit::choices::Random;

use crate::clients;
use crate::faults::Strike;
use crate::invariants;
use crate::limits::Watch;
use crate::matrix::Case;
use crate::report::{CaseReport, Report, seconds};
use crate::schedule::Schedule;
use crate::secrets;
use crate::world::{Outside, World};

/// Nothing fails meanwhile.
const CALM: Duration = Duration::from_secs(1);
/// How long a fault lasts unless its case says so: at least, and so many milliseconds more at most.
const FAULT: (Duration, usize) = (Duration::from_secs(2), 2000);
/// Everything must work again so long after a fault.
const RECOVERY: Duration = Duration::from_mins(1);
/// So many times in a row, on fresh connections, so that each worker and each control plane had a turn.
const IN_A_ROW: u32 = 4;
const MOMENT: Duration = Duration::from_millis(50);

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides the order of faults and the clients' wishes.
    pub seed: u64,
    /// At most so many cases.
    pub cases: usize,
    /// No case begins later than this.
    pub time: Duration,
    /// The filter's module, which traps at a request with more than sixty headers.
    pub filter: PathBuf,
}

/// Runs it, and tells of each case as it ends. An error is a failure of the run itself.
pub async fn run(options: Options, mut tell: impl FnMut(usize, &CaseReport)) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut random = Random::new(options.seed);
    let schedule = Schedule::new(Random::new(random.number()));
    let mut world = World::start(options.filter).await?;
    let outside = Arc::new(world.outside());
    clients::keep(&outside).await?;
    let pool = world.database(3).await?;
    let watch = Watch::start(pool.clone(), Arc::clone(&outside));
    let mut load = clients::start(&outside, &mut random)?;
    let mut chaos = Chaos { world: &mut world, outside: &outside, pool: &pool, random: &mut random, probes: 0 };
    let mut cases = Vec::new();
    for case in schedule.take(options.cases) {
        if started.elapsed() > options.time {
            break;
        }
        cases.push(chaos.one(&case).await?);
        cases.last().into_iter().for_each(|report| tell(cases.len(), report));
    }
    load.shutdown().await;
    let (secrets, most) = (outside.github.runner_secrets().len(), watch.most());
    let sweep = secrets::sweep(&mut world, &outside, &pool).await?;
    Ok(Report { seed: options.seed, seconds: seconds(started.elapsed()), cases, secrets, sweep, most })
}

struct Chaos<'a> {
    world: &'a mut World,
    outside: &'a Arc<Outside>,
    pool: &'a PgPool,
    random: &'a mut Random,
    probes: u64,
}

impl Chaos<'_> {
    async fn one(&mut self, case: &Case) -> anyhow::Result<CaseReport> {
        tokio::time::sleep(CALM).await;
        let more = u64::try_from(self.random.below(FAULT.1)).unwrap_or_default();
        let length = case.lasts.unwrap_or(FAULT.0 + Duration::from_millis(more));
        let struck = Instant::now();
        let strike = Strike::begin(case.action.clone(), self.world, self.outside, self.random).await?;
        tokio::time::sleep(length).await;
        strike.lift(self.world, self.outside).await?;
        let lasted = struck.elapsed();
        let (recovery, not_recovered) = self.recover().await?;
        // Whoever has a request under way finishes it, and nobody begins another.
        let paused = self.outside.gate.write().await;
        let (settled, mut wrong) = invariants::settle(self.pool, self.outside).await;
        wrong.extend(not_recovered);
        wrong.extend(invariants::check(self.world).await?);
        drop(paused);
        let mut report = CaseReport::new(case, self.outside.book.take_tally());
        report.broken = self.outside.book.take_broken();
        report.broken.extend(wrong);
        (report.lasted, report.recovery, report.settled) = (seconds(lasted), seconds(recovery), seconds(settled));
        Ok(report)
    }

    /// Waits until everything works again, without a hand. How long it took, and what did not.
    async fn recover(&mut self) -> anyhow::Result<(Duration, Option<String>)> {
        let (lifted, mut in_a_row) = (Instant::now(), 0);
        let mut first = Duration::ZERO;
        while in_a_row < IN_A_ROW {
            let begun = lifted.elapsed();
            self.probes += 1;
            match clients::works(self.outside, self.probes).await? {
                Ok(()) => {
                    first = if in_a_row == 0 { begun } else { first };
                    in_a_row += 1;
                }
                Err(why) if lifted.elapsed() > RECOVERY => {
                    return Ok((lifted.elapsed(), Some(format!("no recovery within {RECOVERY:?}: {why}"))));
                }
                Err(_) => {
                    in_a_row = 0;
                    tokio::time::sleep(MOMENT).await;
                }
            }
        }
        Ok((first, None))
    }
}
