//! The filter's decisions beside those of `envoy.filters.http.jwt_authn`, with the same configuration in the same
//! Envoy: never looser, and stricter only where [`stricter::Stricter`] says so.
//!
//! Every change is tried alone at every route, then changes in combination. `DIFFERENTIAL_SEED` repeats a run,
//! `DIFFERENTIAL_CASES` sets how many combinations are tried.

mod case;
mod claims;
mod draft;
mod random;
mod requests;
mod stricter;
mod texts;
mod verdict;
mod world;

use std::env;

use testkit::system::edge::{Edge, Listener, Paths, native, ours, to_upstream};

use self::case::{Case, Change, Workshop};
use self::random::Random;
use self::verdict::Verdicts;
use self::world::{Issuers, ROUTES, for_jwt_authn};
use crate::echo;
use crate::wire::Client;

/// The date of the first run; another one is as good.
const SEED: u64 = 20_261_123;
/// Combinations of changes, after every change alone.
const COMBINATIONS: u64 = 6000;

/// The two filters behind one way of reading paths.
struct Pair {
    name: &'static str,
    ours: Client,
    native: Client,
}

impl Pair {
    async fn new(edge: &Edge, name: &'static str, ours: &str, native: &str) -> anyhow::Result<Self> {
        Ok(Self {
            name,
            ours: Client::new(edge.address(ours).await?),
            native: Client::new(edge.address(native).await?),
        })
    }

    async fn compare(&mut self, case: &Case, verdicts: &mut Verdicts) -> anyhow::Result<()> {
        let native = self.native.send(&case.request).await?;
        let ours = self.ours.send(&case.request).await?;
        verdicts.add(self.name, case, &ours, &native);
        Ok(())
    }
}

async fn start(issuers: &Issuers) -> anyhow::Result<(Edge, [Pair; 3])> {
    let (bare, whole) = (issuers.configuration(false), issuers.configuration(true));
    let listener =
        |name: &str, paths, filter| Listener { name: name.into(), paths, filters: vec![filter], then: to_upstream() };
    let listeners = [
        listener("bare-ours", Paths::AsTheyCame, ours("bare-ours", &bare)),
        listener("bare-native", Paths::AsTheyCame, native(&for_jwt_authn(&bare))),
        listener("raw-ours", Paths::AsTheyCame, ours("raw-ours", &whole)),
        listener("raw-native", Paths::AsTheyCame, native(&for_jwt_authn(&whole))),
        listener("whole-ours", Paths::Normalised, ours("whole-ours", &whole)),
        listener("whole-native", Paths::Normalised, native(&for_jwt_authn(&whole))),
    ];
    let edge = Edge::start(&listeners, echo::start().await?).await?;
    let bare = Pair::new(&edge, "paths as they came", "bare-ours", "bare-native").await?;
    let whole = Pair::new(&edge, "paths normalised, a rule for all", "whole-ours", "whole-native").await?;
    let raw = Pair::new(&edge, "paths as they came, a rule for all", "raw-ours", "raw-native").await?;
    Ok((edge, [bare, raw, whole]))
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_passes_that_jwt_authn_refuses() -> anyhow::Result<()> {
    let seed = number("DIFFERENTIAL_SEED", SEED);
    println!("seed {seed} (DIFFERENTIAL_SEED repeats it)");
    let issuers = Issuers::start().await?;
    let (_edge, mut pairs) = start(&issuers).await?;
    let mut verdicts = Verdicts::default();
    let mut random = Random::new(seed);
    let mut workshop = Workshop::new(&issuers, testkit::clock::now().timestamp());

    for route in &ROUTES {
        let case = workshop.case(route, &[], &mut random)?;
        for pair in &mut pairs {
            pair.compare(&case, &mut verdicts).await?;
        }
    }
    assert_eq!(verdicts.both_passed(), pairs.len() * ROUTES.len(), "good requests pass both: {verdicts}");
    let changes = Change::all();
    for change in &changes {
        for route in &ROUTES {
            let case = workshop.case(route, &[*change], &mut random)?;
            let pair = random.below(pairs.len());
            pairs[pair].compare(&case, &mut verdicts).await?;
        }
    }
    for _ in 0..number("DIFFERENTIAL_CASES", COMBINATIONS) {
        let case = combination(&mut workshop, &changes, &mut random)?;
        let pair = random.below(pairs.len());
        pairs[pair].compare(&case, &mut verdicts).await?;
    }
    println!("{verdicts}");
    verdicts.judge()
}

fn combination(workshop: &mut Workshop<'_>, changes: &[Change], random: &mut Random) -> anyhow::Result<Case> {
    let count = if random.one_in(4) { 3 } else { 2 };
    let chosen: Vec<Change> = (0..count).filter_map(|_| random.pick(changes).copied()).collect();
    let route = random.pick(&ROUTES).unwrap_or(&ROUTES[0]);
    workshop.case(route, &chosen, random)
}
