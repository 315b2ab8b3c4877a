//! The decision about one request: a configured [`Gate`] is given what the request brings and says what to do.

use std::cell::RefCell;
use std::rc::Rc;

use crate::answer::Answer;
use crate::config::{Config, ConfigError};
use crate::hygiene::OwnedHeaders;
use crate::keys::KeySource;
use crate::memory::{Known, Memory, Statement};
use crate::path::Path;
use crate::places::{Found, Place, take_out};
use crate::provider::{Defaults, Provider};
use crate::refusal::Refusal;
use crate::requirement::Requirement;
use crate::rules::Rule;
use crate::signature::Backend;
use crate::statement::{Identity, Set};
use crate::token::UnverifiedToken;
use crate::verify::{VerifiedClaims, check_audience, is_expired};

/// Request headers as the host gives them, pseudo-headers among them.
type Headers = [(String, Vec<u8>)];

/// Everything that decides, built once from a configuration.
#[expect(clippy::struct_excessive_bools, reason = "switches of a configuration")]
pub struct Gate {
    providers: Vec<Provider>,
    rules: Vec<Rule>,
    owned: OwnedHeaders,
    identity: Option<Identity>,
    bypass_cors_preflight: bool,
    strip_failure_response: bool,
    /// Whether requests are only judged, and all let through.
    pub shadow: bool,
    /// Whether the host may check signatures.
    pub host_signatures: bool,
}

/// What one worker has for judging: the keys of each provider, what it remembers, and who checks signatures.
pub struct Worker {
    /// In the order of the providers.
    pub sources: Vec<KeySource>,
    /// The verified tokens.
    pub memory: Memory,
    /// Who checks signatures.
    pub backend: Box<dyn Backend>,
}

/// What becomes of a request before any token is looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It needs no token.
    Public,
    /// Its tokens must be judged.
    Check(Check),
}

/// The tokens of a request, taken from its headers so that it can be judged again when new keys have come.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    rule: usize,
    found: Vec<(usize, Result<Found, Refusal>)>,
    remove: Vec<String>,
    set: Set,
}

/// How a verified request goes on.
#[derive(Debug, Default)]
pub struct Changes {
    /// Headers to remove.
    pub remove: Vec<String>,
    /// Headers to set, each replacing all of its name.
    pub set: Vec<Rc<Set>>,
    /// Whether the route must be chosen again.
    pub clear_route_cache: bool,
}

/// A refusal, and the keys that might lift it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub refusal: Refusal,
    /// Providers that lacked a key, with the `kid` that was asked for.
    pub lacking: Vec<(usize, Option<String>)>,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, lacking: Vec::new() }
    }
}

impl Gate {
    /// Checks the references between the fields of a configuration. `environment` looks a variable of the VM up.
    pub fn new(config: Config, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        if config.allowed_algorithms.is_empty() {
            return Err(ConfigError::new("allowed_algorithms", "empty: no token could be accepted"));
        }
        let names: Vec<String> = config.providers.keys().cloned().collect();
        let defaults = Defaults {
            algorithms: &config.allowed_algorithms,
            types: &config.accepted_types,
            environment: &environment,
        };
        let providers = config.providers.into_iter().map(|(name, from)| Provider::new(name, from, &defaults));
        let providers = providers.collect::<Result<Vec<_>, _>>()?;
        for (name, from) in &config.requirement_map {
            Requirement::new(&format!("requirement_map.{name}"), from, &names)?;
        }
        let by_name = |at: &str, name: &str| match config.requirement_map.get(name) {
            Some(from) => Requirement::new(&format!("requirement_map.{name}"), from, &names),
            None => Err(ConfigError::new(at, format!("requirement_map has no {name:?}"))),
        };
        let rules = config.rules.into_iter().enumerate();
        let rules = rules.map(|(index, from)| Rule::new(&format!("rules[{index}]"), from, &names, &by_name));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let identity = config.identity.map(|identity| Identity::new(identity, &environment)).transpose()?;
        Ok(Self {
            owned: owned_headers(&providers, identity.as_ref())?,
            providers,
            rules,
            identity,
            bypass_cors_preflight: config.bypass_cors_preflight,
            strip_failure_response: config.strip_failure_response,
            shadow: config.shadow,
            host_signatures: config.host_signatures,
        })
    }

    /// A worker of this gate, before anything happened.
    pub fn worker(&self, backend: Box<dyn Backend>) -> Result<Worker, ConfigError> {
        let sources = self.providers.iter().map(Provider::key_source).collect::<Result<_, _>>()?;
        Ok(Worker { sources, memory: Memory::new(&self.providers), backend })
    }

    /// The providers, in the order to which indices refer.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Names of client-supplied headers that must go before anything else happens, on every route.
    pub fn forged_headers<'h>(&self, headers: &'h Headers) -> Vec<&'h str> {
        self.owned.forged(headers)
    }

    /// What a refused caller is told.
    pub fn answer(&self, refusal: Refusal, request_id: Option<&[u8]>) -> Answer {
        let answer = Answer::to(refusal, request_id);
        if self.strip_failure_response { answer.stripped() } else { answer }
    }

    /// Finds the rule for a request, and the tokens that it brings.
    pub fn admit(&self, headers: &Headers) -> Result<Admission, Refusal> {
        if self.bypass_cors_preflight && is_cors_preflight(headers) {
            return Ok(Admission::Public);
        }
        let path = header(headers, ":path").and_then(Path::parse).ok_or(Refusal::NoRule)?;
        let position = self.rules.iter().position(|rule| rule.applies(&path)).ok_or(Refusal::NoRule)?;
        let rule = self.rules.get(position).ok_or(Refusal::NoRule)?;
        if path.raw != path.normalised && self.is_other_by_name(&path, rule) {
            return Err(Refusal::NoRule);
        }
        if rule.requirement.is_nothing() {
            return Ok(Admission::Public);
        }
        if headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).count() > 1 {
            return Err(Refusal::Ambiguous);
        }
        let wanted = rule.requirement.providers(self.providers.len()).into_iter();
        let found: Vec<_> = wanted
            .filter_map(|index| self.providers.get(index).map(|provider| (index, provider.places.find(headers))))
            .collect();
        let (remove, set) = take_out(&self.places_to_empty(&found), headers);
        Ok(Admission::Check(Check { rule: position, found, remove, set }))
    }

    /// Whether the path as it came is under another rule that asks for something else: `/%70ublic` is, where `/` asks
    /// for a token and `/public` does not. Who is to say which of the two the upstream sees?
    fn is_other_by_name(&self, path: &Path, rule: &Rule) -> bool {
        let other = self.rules.iter().find(|rule| rule.names(path)).map(|other| &other.requirement);
        other.is_some_and(|other| !other.is_nothing() && *other != rule.requirement)
    }

    /// The places whose tokens the upstream does not get, whether they hold or not.
    fn places_to_empty<'f>(&self, found: &'f [(usize, Result<Found, Refusal>)]) -> Vec<&'f Place> {
        let mut places: Vec<&Place> = Vec::new();
        for (index, found) in found {
            if let (Ok(found), Some(false)) = (found, self.providers.get(*index).map(|provider| provider.forward))
                && !places.contains(&&found.place)
            {
                places.push(&found.place);
            }
        }
        places
    }

    /// Judges a request's tokens at `now` (milliseconds since the Unix epoch) with the keys that there are.
    pub fn judge(&self, check: &Check, worker: &mut Worker, now: u64) -> Result<Changes, Denied> {
        let rule = self.rules.get(check.rule).ok_or(Refusal::NoRule)?;
        let lacking = RefCell::new(Vec::new());
        let mut judge = |index: usize, audiences: Option<&[String]>| {
            let found = check.found.iter().find(|(provider, _)| *provider == index).map(|(_, found)| found);
            let found = found.ok_or(Refusal::Missing)?.as_ref().map_err(|refusal| *refusal)?;
            let judged = self.judge_token(index, &found.token, audiences, worker, now);
            judged.map_err(|(refusal, key_id)| {
                if matches!(refusal, Refusal::UnknownKey | Refusal::NoKeys) {
                    lacking.borrow_mut().push((index, key_id));
                }
                refusal
            })
        };
        let evaluated = rule.requirement.evaluate(self.providers.len(), &mut judge);
        let verified = evaluated.map_err(|refusal| Denied { refusal, lacking: lacking.take() })?;
        rule.check(verified.first().map(|(_, known)| &known.verified.claims))?;
        Ok(self.changes(check, &verified, now / 1000)?)
    }

    fn judge_token(
        &self,
        index: usize,
        token: &str,
        audiences: Option<&[String]>,
        worker: &mut Worker,
        now: u64,
    ) -> Result<Rc<Known>, (Refusal, Option<String>)> {
        let plain = |refusal| (refusal, None);
        let provider = self.providers.get(index).ok_or(plain(Refusal::NoRule))?;
        let Worker { sources, memory, backend } = worker;
        let source = sources.get(index).ok_or(plain(Refusal::NoKeys))?;
        let (expected, seconds, keys) = (&provider.expected, now / 1000, source.keys(now));
        let audiences = audiences.unwrap_or(&expected.audiences);
        let expired = |verified: &VerifiedClaims| is_expired(verified.expires_at, expected.leeway, seconds);
        if keys.is_some()
            && let Some(recalled) = memory.recall(index, token, source.epoch(), expired)
        {
            let known = recalled.map_err(plain)?;
            check_audience(&known.verified.claims, audiences).map_err(plain)?;
            return Ok(known);
        }
        let parsed = UnverifiedToken::parse(token).map_err(plain)?;
        let key_id = parsed.claimed_key_id().map(str::to_owned);
        let verified =
            parsed.verify(keys, &**backend, expected, audiences, seconds).map_err(|refusal| (refusal, key_id))?;
        let known = Known::new(verified);
        memory.remember(index, token, source.epoch(), &known);
        Ok(known)
    }

    fn changes(&self, check: &Check, verified: &[(usize, Rc<Known>)], now: u64) -> Result<Changes, Refusal> {
        let mut changes = Changes { remove: check.remove.clone(), ..Changes::default() };
        if !check.set.is_empty() {
            changes.set.push(Rc::new(check.set.clone()));
        }
        for (position, (index, known)) in verified.iter().enumerate() {
            let provider = self.providers.get(*index).ok_or(Refusal::NoRule)?;
            changes.clear_route_cache |= provider.clear_route_cache && provider.claims.any();
            // The first token is the caller's; others only add claims.
            let identity = if position == 0 { self.identity.as_ref() } else { None };
            changes.set.push(state(provider, identity, known, now)?);
        }
        Ok(changes)
    }
}

/// What the upstream is told about a token; kept with the token until half of the assertion's life is over.
fn state(provider: &Provider, identity: Option<&Identity>, known: &Known, now: u64) -> Result<Rc<Set>, Refusal> {
    if identity.is_some()
        && let Some(statement) = known.statement.borrow().as_ref()
        && now < statement.renew_at
    {
        return Ok(Rc::clone(&statement.set));
    }
    let mut set = Set::new();
    provider.claims.state(&known.verified, &mut set)?;
    let Some(identity) = identity else {
        return Ok(Rc::new(set));
    };
    identity.state(&known.verified, now, &mut set)?;
    let set = Rc::new(set);
    let renew_at = identity.renew_at(now);
    known.statement.replace(Some(Statement { set: Rc::clone(&set), renew_at }));
    Ok(set)
}

fn owned_headers(providers: &[Provider], identity: Option<&Identity>) -> Result<OwnedHeaders, ConfigError> {
    let mine = identity.into_iter().flat_map(Identity::header_names);
    let mine: Vec<String> = mine.map(|name| name.to_ascii_lowercase()).collect();
    for (index, name) in mine.iter().enumerate() {
        if mine.iter().skip(index.saturating_add(1)).any(|other| other == name) {
            return Err(ConfigError::new("identity", format!("two of its headers are named {name}")));
        }
    }
    for provider in providers {
        let taken = provider.claims.header_names().find(|name| mine.contains(&name.to_ascii_lowercase()));
        if let Some(name) = taken {
            let at = format!("providers.{}.claim_to_headers", provider.name);
            return Err(ConfigError::new(at, format!("{name} is a header of the identity block")));
        }
    }
    Ok(OwnedHeaders::new(mine.into_iter().chain(providers.iter().flat_map(|one| one.claims.header_names()))))
}

fn header<'h>(headers: &'h Headers, name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
}

/// The Fetch standard, "CORS-preflight request": it never carries credentials.
fn is_cors_preflight(headers: &Headers) -> bool {
    let given = |name: &str| header(headers, name).is_some_and(|value| !value.is_empty());
    header(headers, ":method") == Some(b"OPTIONS") && given("origin") && given("access-control-request-method")
}

#[cfg(test)]
mod tests;
