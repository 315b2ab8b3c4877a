//! The filter's decisions beside those of `envoy.filters.http.jwt_authn`, with the same configuration in the same
//! Envoy: never looser, and stricter only where [`stricter::Stricter`] says so.
//!
//! Every change is tried alone at every route, then changes in combination. `DIFFERENTIAL_SEED` repeats a run,
//! `DIFFERENTIAL_CASES` sets how many combinations are tried.

mod case;
mod claims;
mod draft;
mod requests;
mod stricter;
mod texts;
mod verdict;
mod world;

use std::env;

use testkit::choices::Random;
use testkit::issuer::Algorithm;
use testkit::system::edge::{Edge, Listener, Paths, native, ours, to_upstream};

use self::case::{Case, Change, Workshop};
use self::verdict::Verdicts;
use self::world::{Issuers, Keys, ROUTES, for_jwt_authn};
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
    async fn compare(&mut self, case: &Case, verdicts: &mut Verdicts) -> anyhow::Result<()> {
        let native = self.native.send(&case.request).await?;
        let ours = self.ours.send(&case.request).await?;
        verdicts.add(self.name, case, &ours, &native);
        Ok(())
    }
}

/// How a pair is set up: its name, how Envoy reads paths, where the keys are, and whether there is a rule for all.
const PAIRS: [(&str, Paths, Keys, bool); 4] = [
    ("paths as they came", Paths::AsTheyCame, Keys::Local, false),
    ("paths as they came, keys fetched", Paths::AsTheyCame, Keys::Remote, false),
    ("paths as they came, a rule for all", Paths::AsTheyCame, Keys::Local, true),
    ("paths normalised, a rule for all, keys fetched", Paths::Normalised, Keys::Remote, true),
];

async fn start(issuers: &Issuers) -> anyhow::Result<(Edge, Vec<Pair>)> {
    let mut listeners = Vec::new();
    for (name, paths, keys, catch_all) in PAIRS {
        let configuration = issuers.configuration(keys, catch_all);
        let both = [ours(name, &configuration), native(&for_jwt_authn(&configuration))];
        for (whose, filter) in ["ours", "native"].into_iter().zip(both) {
            let (name, filters) = (format!("{name}: {whose}"), vec![filter]);
            listeners.push(Listener { name, paths, filters, then: to_upstream() });
        }
    }
    let edge = Edge::start_with(&listeners, echo::start().await?, &issuers.clusters()).await?;
    let mut pairs = Vec::new();
    for (name, ..) in PAIRS {
        let ours = Client::new(edge.address(&format!("{name}: ours")).await?);
        let native = Client::new(edge.address(&format!("{name}: native")).await?);
        pairs.push(Pair { name, ours, native });
    }
    Ok((edge, pairs))
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
    for algorithm in Algorithm::ALL {
        workshop.only = Some(algorithm);
        let case = workshop.case(&ROUTES[0], &[], &mut random)?;
        for pair in &mut pairs {
            pair.compare(&case, &mut verdicts).await?;
        }
    }
    workshop.only = None;
    let good = pairs.len() * (ROUTES.len() + Algorithm::ALL.len());
    assert_eq!(verdicts.both_passed(), good, "good requests pass both: {verdicts}");
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
