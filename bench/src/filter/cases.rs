//! What is measured, and how far from the peer it may be.

use testkit::issuer::Algorithm;

use crate::listeners::Setup;
use crate::tokens::Tokens;
use bench::load::Request;

/// Requests of one round, at least.
const A_ROUND: usize = 1000;
const MANY: usize = 20_000;

/// One comparison.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The ratio that is to be reached.
    pub(crate) goal: Option<f64>,
    pub(crate) ours: Side,
    pub(crate) peer: Side,
    pub(crate) load: Kind,
}

/// One of the two that are compared.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Ours(Setup),
    Peer(Setup),
    Empty,
    Nothing,
}

/// The requests of a round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many distinct good tokens, in turn.
    Good(Algorithm, usize),
    Forged,
    Expired,
    Garbage,
}

impl Side {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ours(setup) => setup.name("ours"),
            Self::Peer(setup) => setup.name("peer"),
            Self::Empty => "empty".to_owned(),
            Self::Nothing => "nothing".to_owned(),
        }
    }

    /// Whether it looks at tokens at all.
    pub(crate) fn checks(&self) -> bool {
        matches!(self, Self::Ours(_) | Self::Peer(_))
    }
}

impl Kind {
    pub(crate) fn requests(self, tokens: &Tokens) -> anyhow::Result<Vec<Request>> {
        match self {
            Self::Good(algorithm, count) => tokens.good(algorithm, count),
            Self::Forged => tokens.forged(A_ROUND),
            Self::Expired => tokens.expired(A_ROUND),
            Self::Garbage => tokens.garbage(A_ROUND),
        }
    }
}

/// A round asks for each token once, or for the few again and again.
pub(crate) fn requests_a_round(distinct: usize) -> usize {
    distinct.max(A_ROUND)
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    use Algorithm::{EdDsa, Es256, Ps256, Rs256};
    let same = |name, goal, setup: Setup, load| Case {
        name,
        goal,
        ours: Side::Ours(setup),
        peer: Side::Peer(Setup { pure: false, ..setup }),
        load,
    };
    let (one, thousand, many) = (Kind::Good(Rs256, 1), Kind::Good(Rs256, A_ROUND), Kind::Good(Rs256, MANY));
    let cold = Setup::COLD;
    let cached = Setup::cached;
    let against_cached = |name, side| Case { name, goal: None, ours: side, peer: Side::Peer(cached(1000)), load: one };
    let growth = |name, grown: Setup, setup: Setup| Case {
        name,
        goal: Some(1.05),
        ours: Side::Ours(grown),
        peer: Side::Ours(setup),
        load: thousand,
    };
    vec![
        against_cached("no filter", Side::Nothing),
        against_cached("a module that does nothing", Side::Empty),
        same("cold, RS256", Some(0.95), cold, thousand),
        same("cold, ES256", Some(0.95), cold, Kind::Good(Es256, A_ROUND)),
        same("cold, PS256", Some(2.5), cold, Kind::Good(Ps256, A_ROUND)),
        same("cold, EdDSA", Some(1.1), cold, Kind::Good(EdDsa, A_ROUND)),
        same("cold, RS256, without the host's function", Some(3.0), cold.pure(), thousand),
        same("cold, ES256, without the host's function", Some(5.0), cold.pure(), Kind::Good(Es256, A_ROUND)),
        same("cold, RS256, with the assertion", Some(1.6), cold.signed(), thousand),
        same("cached, 1 token", None, cached(1000), one),
        same("cached, 1 token, with the assertion", Some(1.05), cached(1000).signed(), one),
        same("cached, 1,000 tokens, with the assertion", Some(1.05), cached(1000).signed(), thousand),
        same("cached, 20,000 tokens, with the assertion", Some(1.15), cached(20_000).signed(), many),
        same("all missed: 20,000 tokens through 1,000 entries", Some(0.85), cached(1000), many),
        same("refused: signature", Some(1.0), cached(1000), Kind::Forged),
        same("refused: expired", Some(1.0), cached(1000), Kind::Expired),
        same("refused: garbage", Some(1.0), cached(1000), Kind::Garbage),
        growth("10 issuers to 1, cached", cached(1000).issuers(10), cached(1000)),
        growth("100 issuers to 1, cached", cached(1000).issuers(100), cached(1000)),
        growth("500 issuers to 1, cached", cached(1000).issuers(500), cached(1000)),
        growth("500 issuers to 1, cold", cold.issuers(500), cold),
        growth("200 keys to 4, cached", cached(1000).more_keys(196), cached(1000)),
        growth("200 keys to 4, cold", cold.more_keys(196), cold),
    ]
}
