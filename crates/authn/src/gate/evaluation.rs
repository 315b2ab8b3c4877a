//! The tokens of one request while they are judged: each is looked up once and parsed at most once, whatever number of
//! providers it concerns.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Finder, Gate, Worker};
use crate::keys::KeySource;
use crate::memory::{Known, Memory};
use crate::places::Found;
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::requirement::Tokens;
use crate::signature::Backend;
use crate::token::UnverifiedToken;
use crate::verify::{VerifiedClaims, is_expired, names_audience};

/// What providers found, and what is known of it so far.
pub(super) struct Evaluation<'e> {
    gate: &'e Gate,
    sources: &'e [KeySource],
    memory: &'e mut Memory,
    backend: &'e dyn Backend,
    finders: &'e [Finder],
    found: &'e [Result<Found<'e, 'e>, Refusal>],
    seen: Vec<Seen<'e>>,
    now: u64,
    /// Providers that lacked a key, with the `kid` that was asked for.
    pub(super) lacking: Vec<(usize, Option<String>)>,
}

/// What is known of one token.
#[derive(Default)]
struct Seen<'t> {
    recalled: Option<Rc<Known>>,
    parsed: Option<Result<UnverifiedToken<'t>, Refusal>>,
}

impl<'e> Evaluation<'e> {
    pub(super) fn new(
        gate: &'e Gate,
        worker: &'e mut Worker,
        finders: &'e [Finder],
        found: &'e [Result<Found<'e, 'e>, Refusal>],
        now: u64,
    ) -> Self {
        let Worker { sources, memory, backend } = worker;
        let recall = |one: &Result<Found<'_, '_>, Refusal>| Seen {
            recalled: one.as_ref().ok().and_then(|found| memory.recall(&found.token, sources)),
            parsed: None,
        };
        let seen = found.iter().map(recall).collect();
        Self { gate, sources, memory, backend: &**backend, finders, found, seen, now, lacking: Vec::new() }
    }

    /// The token that this provider found.
    pub(super) fn token(&self, provider: usize) -> Result<&'e str, Refusal> {
        let at = self.position(provider)?;
        let found = self.found.get(at).ok_or(Refusal::Missing)?.as_ref().map_err(|refusal| *refusal)?;
        Ok(&found.token)
    }

    fn position(&self, provider: usize) -> Result<usize, Refusal> {
        let finder = self.gate.finders.get(provider).ok_or(Refusal::NoRule)?;
        self.finders.iter().position(|one| one.provider == *finder).ok_or(Refusal::Missing)
    }

    /// A token that is remembered needs its times and audience checked, and nothing else.
    fn judge_known(&mut self, token: &str, known: &Rc<Known>, provider: &Provider, audiences: &[String]) -> Outcome {
        if is_expired(known.expires_at, provider.expected.leeway, self.now / 1000) {
            self.memory.forget(token);
            return Err(Refusal::Expired);
        }
        if names_audience(known.audiences.iter().map(|audience| &**audience), audiences) {
            Ok(Rc::clone(known))
        } else {
            Err(Refusal::Audience)
        }
    }

    fn judge_new(&mut self, at: usize, token: &'e str, index: usize, audiences: &[String]) -> Outcome {
        let (gate, sources) = (self.gate, self.sources);
        let provider = gate.providers.get(index).ok_or(Refusal::NoRule)?;
        let source = sources.get(index).ok_or(Refusal::NoKeys)?;
        let seen = self.seen.get_mut(at).ok_or(Refusal::Missing)?;
        let parsed = seen.parsed.get_or_insert_with(|| UnverifiedToken::parse(token));
        if parsed.as_ref().map_err(|refusal| *refusal)?.claimed_issuer() != Some(&*provider.expected.issuer) {
            return Err(Refusal::Issuer);
        }
        let parsed = seen.parsed.take().ok_or(Refusal::Malformed)??;
        let key_id = parsed.claimed_key_id().map(str::to_owned);
        let keys = source.keys(self.now);
        let verified = parsed.verify(keys, self.backend, &provider.expected, audiences, self.now / 1000);
        let verified = verified.inspect_err(|refusal| {
            if matches!(refusal, Refusal::UnknownKey | Refusal::NoKeys) {
                self.lacking.push((index, key_id));
            }
        })?;
        let known = Rc::new(known(gate, provider, index, verified, token));
        if provider.remembers(token) {
            self.memory.remember(token, source.epoch(), &known);
        }
        Ok(known)
    }
}

type Outcome = Result<Rc<Known>, Refusal>;

impl Tokens for Evaluation<'_> {
    fn judge(&mut self, index: usize, audiences: Option<&[String]>) -> Outcome {
        let provider = self.gate.providers.get(index).ok_or(Refusal::NoRule)?;
        let audiences = audiences.unwrap_or(&provider.expected.audiences);
        let (at, token) = (self.position(index)?, self.token(index)?);
        let known = self.seen.get(at).and_then(|seen| seen.recalled.clone());
        // Keys that are too old to be used are too old for what they verified, too.
        let usable = |known: &Rc<Known>| {
            known.provider == index && self.sources.get(index).is_some_and(|source| source.keys(self.now).is_some())
        };
        match known.filter(usable) {
            Some(known) => self.judge_known(token, &known, provider, audiences),
            None => self.judge_new(at, token, index, audiences),
        }
    }

    fn number(&self, provider: usize) -> Option<usize> {
        let mine = self.found.get(self.position(provider).ok()?)?.as_ref().ok()?;
        self.found.iter().position(|one| one.as_ref().is_ok_and(|one| one == mine))
    }

    fn candidates(&mut self) -> Option<Result<&[usize], Refusal>> {
        let ([_], [seen]) = (self.finders, self.seen.as_mut_slice()) else {
            return None;
        };
        let gate = self.gate;
        let of_issuer = |issuer: &str| gate.by_issuer.get(issuer).map_or(&[][..], Vec::as_slice);
        if let Some(known) = &seen.recalled {
            return gate.providers.get(known.provider).map(|provider| Ok(of_issuer(&provider.expected.issuer)));
        }
        let token = match self.found {
            [Ok(found)] => &found.token,
            [Err(refusal)] => return Some(Err(*refusal)),
            _ => return None,
        };
        let parsed = seen.parsed.get_or_insert_with(|| UnverifiedToken::parse(token));
        Some(match parsed {
            Ok(parsed) => Ok(parsed.claimed_issuer().map_or(&[], of_issuer)),
            Err(refusal) => Err(*refusal),
        })
    }
}

/// What is kept of a token that was just verified.
fn known(gate: &Gate, provider: &Provider, index: usize, verified: VerifiedClaims, token: &str) -> Known {
    let VerifiedClaims { issuer, subject, expires_at, claims } = verified;
    let name = identity::display_name(&subject, &claims);
    let sayable = [&*issuer, &subject, &name].into_iter().all(crate::hygiene::is_header_value);
    Known {
        provider: index,
        expires_at,
        audiences: crate::verify::audiences(&claims).map(Box::from).collect(),
        subject: subject.into(),
        name: name.into(),
        sayable,
        stated: provider.claims.state(&claims, token),
        claims: gate.keeps_claims.then(|| Box::new(claims)),
        assertion: RefCell::default(),
    }
}
