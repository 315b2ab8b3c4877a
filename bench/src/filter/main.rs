//! The filter beside Envoy's own `jwt_authn`: processor time of Envoy a request, memory, size, time to start.
//!
//! Run by `cargo xtask bench filter`, which says where Envoy and the modules are.

mod cases;
mod footprint;
mod listeners;
mod measure;
mod report;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::ensure;
use bench::kernel::Processors;
use clap::Parser;
use testkit::issuer::Algorithm;
use testkit::system::edge::{Edge, Listener};

use crate::cases::{Case, Kind, Side};
use crate::footprint::NO_UPSTREAM;
use crate::listeners::Setup;
use crate::measure::{Subject, compare};
use crate::report::{Comparison, Footprints, Report};
use crate::tokens::Tokens;
use bench::load::Request;

/// The name of what is measured beside the comparisons.
const FOOTPRINTS: &str = "memory and start";

/// The filter beside Envoy's own `jwt_authn`.
#[derive(Parser)]
struct Arguments {
    /// Interleaved rounds of each comparison
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    /// Run only the comparisons whose name contains this, or `memory and start`
    #[arg(long)]
    only: Option<String>,
    /// Where the figures go, as JSON and as a picture
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    /// The module that does nothing
    #[arg(long, env = "EMPTY_WASM")]
    empty_module: String,
    /// The filter's module
    #[arg(long, env = "FILTER_WASM")]
    module: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let wanted = |name: &str| arguments.only.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let cases: Vec<Case> = cases::all().into_iter().filter(|case| wanted(case.name)).collect();
    ensure!(!cases.is_empty() || wanted(FOOTPRINTS), "--only: nothing that is measured has this in its name");
    let tokens = Tokens::start().await?;
    let comparisons = compare_all(&arguments, &cases, &tokens).await?;
    let footprints = if wanted(FOOTPRINTS) { Some(take_footprints(&tokens).await?) } else { None };
    let module_bytes = std::fs::metadata(&arguments.module)?.len();
    Report { module_bytes, comparisons, footprints }.publish(&arguments.output)
}

async fn compare_all(arguments: &Arguments, cases: &[Case], tokens: &Tokens) -> anyhow::Result<Vec<Comparison>> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let sides: BTreeMap<String, Side> =
        cases.iter().flat_map(|case| [case.ours, case.peer]).map(|side| (side.name(), side)).collect();
    let listeners: Vec<Listener> =
        sides.values().map(|side| listener(*side, tokens, &arguments.empty_module)).collect();
    eprintln!("starting Envoy with {} listeners", listeners.len());
    let mut edge = Edge::start(&listeners, NO_UPSTREAM).await?;
    let envoy = edge.process().id();
    let processors = Processors::choose()?;
    processors.pin(envoy)?;
    let mut requests = Vec::<(Kind, Vec<Request>)>::new();
    let mut comparisons = Vec::new();
    for case in cases {
        if !requests.iter().any(|(kind, _)| *kind == case.load) {
            eprintln!("signing tokens for: {}", case.name);
            requests.push((case.load, case.load.requests(tokens)?));
        }
        let made = requests.iter().find(|(kind, _)| *kind == case.load).map(|(_, made)| made.as_slice());
        let mut sides = Vec::new();
        for side in [case.ours, case.peer] {
            let made = made.unwrap_or_default().iter().cloned();
            let asked = if side.checks() { made.collect() } else { made.map(Request::unchecked).collect() };
            sides.push(Subject::new(edge.address(&side.name()).await?, asked)?);
        }
        let [ours, peer] = sides.as_mut_slice() else { continue };
        eprintln!("measuring: {}", case.name);
        let rounds = usize::from(arguments.rounds);
        // The load keeps its processor to itself; signing may use both.
        let outcome = tokio::task::block_in_place(|| {
            processors.pin_load()?;
            compare(ours, peer, envoy, rounds)
        })?;
        eprintln!("    {:.2}", outcome.ratio);
        comparisons.push(Comparison { name: case.name, goal: case.goal, outcome });
    }
    Ok(comparisons)
}

fn listener(side: Side, tokens: &Tokens, empty_module: &str) -> Listener {
    match side {
        Side::Ours(setup) => setup.ours(tokens),
        Side::Peer(setup) => setup.peer(tokens),
        Side::Empty => listeners::empty(empty_module),
        Side::Nothing => listeners::nothing(),
    }
}

/// Each filter in a process of its own, with 20,000 tokens kept.
async fn take_footprints(tokens: &Tokens) -> anyhow::Result<Footprints> {
    eprintln!("measuring memory and the time to start");
    let requests = Kind::Good(Algorithm::Rs256, 20_000).requests(tokens)?;
    let setup = Setup::cached(20_000).signed();
    Ok(Footprints {
        ours: footprint::measure(setup.ours(tokens), &requests).await?,
        peer: footprint::measure(setup.peer(tokens), &requests).await?,
    })
}
