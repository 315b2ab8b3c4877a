//! The decision about one request: a configured [`Gate`] is given what the request brings and says what to do.

mod evaluation;

use std::collections::HashMap;
use std::rc::Rc;

use self::evaluation::Evaluation;
use crate::answer::Answer;
use crate::config::{Config, ConfigError};
use crate::headers::Headers;
use crate::hygiene::OwnedHeaders;
use crate::keys::KeySource;
use crate::memory::{Known, Memory};
use crate::path::Path;
use crate::places::{Place, Places, take_out};
use crate::provider::{Defaults, Provider};
use crate::refusal::Refusal;
use crate::requirement::Requirement;
use crate::rules::Rule;
use crate::sharing;
use crate::signature::Backend;
use crate::statement::{Identity, Set};

/// Everything that decides, built once from a configuration.
#[expect(clippy::struct_excessive_bools, reason = "switches of a configuration")]
pub struct Gate {
    providers: Vec<Provider>,
    /// The providers of each issuer.
    by_issuer: HashMap<Rc<str>, Vec<usize>>,
    /// For each provider, the first that looks for tokens in the same places: what one finds, all of them find.
    finders: Vec<usize>,
    rules: Vec<(Rule, Vec<Finder>)>,
    /// Whether any rule asks for claims.
    keeps_claims: bool,
    owned: OwnedHeaders,
    identity: Option<Identity>,
    bypass_cors_preflight: bool,
    strip_failure_response: bool,
    /// A further part of the metrics' names; often empty.
    pub stat_prefix: String,
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

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict<'g> {
    /// It needs no token.
    Public,
    /// What it must bring holds.
    Verified(Changes<'g>),
}

/// How a verified request goes on.
#[derive(Debug, Default)]
pub struct Changes<'g> {
    /// Headers to remove.
    pub remove: Vec<&'g str>,
    /// Headers to set, each replacing all of its name.
    pub set: Set<'g>,
    /// Headers to set to what the client sent less the token, byte for byte.
    pub rest: Vec<(&'g str, Vec<u8>)>,
    /// Whether the route must be chosen again.
    pub clear_route_cache: bool,
}

/// A provider that looks for the token of all that look in the same places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finder {
    provider: usize,
    /// Whether the upstream does not get the token, whether it holds or not: one of them says so.
    empties: bool,
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
        let namespace = sharing::namespace(&config, &environment);
        let defaults = Defaults {
            algorithms: &config.allowed_algorithms,
            types: &config.accepted_types,
            environment: &environment,
            namespace: &namespace,
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
        let finders: Vec<usize> = providers.iter().map(|one| finder(&providers, &one.places)).collect();
        let rules = config.rules.into_iter().enumerate();
        let rules = rules.map(|(index, from)| Rule::new(&format!("rules[{index}]"), from, &names, &by_name));
        let rules = rules
            .map(|rule| rule.map(|rule| with_finders(rule, &providers, &finders)))
            .collect::<Result<Vec<_>, _>>()?;
        let identity = config.identity.map(|identity| Identity::new(identity, &environment)).transpose()?;
        let mut by_issuer = HashMap::<Rc<str>, Vec<usize>>::new();
        for (index, provider) in providers.iter().enumerate() {
            by_issuer.entry(Rc::clone(&provider.expected.issuer)).or_default().push(index);
        }
        Ok(Self {
            owned: owned_headers(&providers, identity.as_ref())?,
            providers,
            by_issuer,
            finders,
            keeps_claims: rules.iter().any(|(rule, _)| rule.asks_for_claims()),
            rules,
            identity,
            bypass_cors_preflight: config.bypass_cors_preflight,
            strip_failure_response: config.strip_failure_response,
            stat_prefix: config.stat_prefix,
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
    pub fn forged_headers<'h>(&self, headers: &Headers<'h>) -> Vec<&'h str> {
        self.owned.forged(headers)
    }

    /// What a refused caller is told.
    pub fn answer(&self, refusal: Refusal, request_id: Option<&[u8]>) -> Answer {
        let answer = Answer::to(refusal, request_id);
        if self.strip_failure_response { answer.stripped() } else { answer }
    }

    /// Judges a request at `now` (milliseconds since the Unix epoch) with the keys that there are.
    pub fn judge(&self, headers: &Headers<'_>, worker: &mut Worker, now: u64) -> Result<Verdict<'_>, Denied> {
        if self.bypass_cors_preflight && is_cors_preflight(headers) {
            return Ok(Verdict::Public);
        }
        let (rule, finders) = self.rule(headers)?;
        if rule.requirement.is_nothing() {
            return Ok(Verdict::Public);
        }
        if headers.all("authorization").nth(1).is_some() {
            return Err(Refusal::Ambiguous.into());
        }
        let places = finders.iter().filter_map(|finder| self.providers.get(finder.provider));
        let found: Vec<_> = places.map(|provider| provider.places.find(headers)).collect();
        let mut evaluation = Evaluation::new(self, worker, finders, &found, now);
        let verified = match rule.requirement.evaluate(self.providers.len(), &mut evaluation) {
            Ok(verified) => verified,
            Err(refusal) => return Err(Denied { refusal, lacking: evaluation.lacking }),
        };
        rule.check(verified.first().and_then(|(_, known)| known.claims.as_deref()))?;
        let emptied = finders.iter().zip(&found).filter(|(finder, _)| finder.empties);
        let emptied = emptied.filter_map(|(_, found)| Some(found.as_ref().ok()?.place));
        let mut changes = Changes::without(emptied, headers);
        for (position, (index, known)) in verified.iter().enumerate() {
            let provider = self.providers.get(*index).ok_or(Refusal::NoRule)?;
            changes.add_claims(provider, known)?;
            // The first token is the caller's; others only add claims.
            if position == 0
                && let Some(identity) = &self.identity
            {
                let token = evaluation.token(*index)?;
                identity.state(&provider.expected.issuer, known, token, now / 1000, &mut changes.set)?;
            }
        }
        Ok(Verdict::Verified(changes))
    }

    fn rule(&self, headers: &Headers<'_>) -> Result<&(Rule, Vec<Finder>), Refusal> {
        let path = headers.first(":path").and_then(Path::parse).ok_or(Refusal::NoRule)?;
        let found = self.rules.iter().find(|(rule, _)| rule.applies(&path)).ok_or(Refusal::NoRule)?;
        let other = path.raw != path.normalised && self.is_other_by_name(&path, &found.0);
        if other { Err(Refusal::NoRule) } else { Ok(found) }
    }

    /// Whether the path as it came is under another rule that asks for something else: `/%70ublic` is, where `/` asks
    /// for a token and `/public` does not. Who is to say which of the two the upstream sees?
    fn is_other_by_name(&self, path: &Path<'_>, rule: &Rule) -> bool {
        let other = self.rules.iter().find(|(rule, _)| rule.names(path)).map(|(other, _)| &other.requirement);
        other.is_some_and(|other| !other.is_nothing() && *other != rule.requirement)
    }
}

impl<'g> Changes<'g> {
    /// Takes the tokens out of these places.
    fn without(places: impl Iterator<Item = &'g Place>, headers: &Headers<'_>) -> Self {
        let mut distinct: Vec<&Place> = Vec::new();
        for place in places {
            if !distinct.contains(&place) {
                distinct.push(place);
            }
        }
        let (remove, rest) = take_out(&distinct, headers);
        Self { remove, rest, ..Self::default() }
    }

    fn add_claims(&mut self, provider: &'g Provider, known: &Known) -> Result<(), Refusal> {
        self.clear_route_cache |= provider.clear_route_cache && provider.claims.any();
        let values = known.stated.as_ref().map_err(|refusal| *refusal)?;
        let stated = provider.claims.header_names().zip(values);
        self.set.extend(stated.filter_map(|(name, value)| Some((name, Rc::clone(value.as_ref()?)))));
        Ok(())
    }
}

/// The first provider with these places.
fn finder(providers: &[Provider], places: &Places) -> usize {
    providers.iter().position(|one| one.places == *places).unwrap_or_default()
}

/// Who finds the tokens that a rule is about, each once.
fn with_finders(rule: Rule, providers: &[Provider], finders: &[usize]) -> (Rule, Vec<Finder>) {
    let mut wanted: Vec<Finder> = Vec::new();
    for index in rule.requirement.providers(providers.len()) {
        let (Some(provider), Some(finder)) = (providers.get(index), finders.get(index)) else { continue };
        match wanted.iter_mut().find(|one| one.provider == *finder) {
            Some(one) => one.empties |= !provider.forward,
            None => wanted.push(Finder { provider: *finder, empties: !provider.forward }),
        }
    }
    (rule, wanted)
}

fn owned_headers(providers: &[Provider], identity: Option<&Identity>) -> Result<OwnedHeaders, ConfigError> {
    let mine = identity.into_iter().flat_map(Identity::header_names);
    let mine: Vec<String> = mine.map(str::to_ascii_lowercase).collect();
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
    let claimed = providers.iter().flat_map(|one| one.claims.header_names()).map(str::to_owned);
    Ok(OwnedHeaders::new(mine.into_iter().chain(claimed)))
}

/// The Fetch standard, "CORS-preflight request": it never carries credentials.
fn is_cors_preflight(headers: &Headers<'_>) -> bool {
    let given = |name: &str| headers.first(name).is_some_and(|value| !value.is_empty());
    headers.first(":method") == Some(b"OPTIONS") && given("origin") && given("access-control-request-method")
}

#[cfg(test)]
mod tests;
