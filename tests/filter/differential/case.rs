//! One case: a good request, and what was changed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use testkit::choices::Random;
use testkit::issuer::Algorithm;

use super::draft::Draft;
use super::stricter::Stricter;
use super::world::{Issuers, PROVIDERS, Route};
use super::{claims, requests, texts};
use crate::wire::{Answer, Request};

/// A change of any kind.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Claims(&'static claims::Change),
    Text(&'static texts::Change),
    Request(&'static requests::Change),
}

impl Change {
    /// Every change there is.
    pub(crate) fn all() -> Vec<Self> {
        let claims = claims::CHANGES.iter().map(Self::Claims);
        let texts = texts::CHANGES.iter().map(Self::Text);
        claims.chain(texts).chain(requests::CHANGES.iter().map(Self::Request)).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Claims(change) => change.name(),
            Self::Text(change) => change.name.to_owned(),
            Self::Request(change) => change.name.to_owned(),
        }
    }

    fn stricter(self) -> Vec<Stricter> {
        match self {
            Self::Claims(change) => change.stricter.into_iter().collect(),
            Self::Text(change) => change.stricter.into_iter().collect(),
            Self::Request(change) => change.stricter.to_vec(),
        }
    }
}

/// A request to be sent to both filters.
pub(crate) struct Case {
    pub(crate) request: Request,
    pub(crate) route: &'static str,
    /// What was changed, for people.
    pub(crate) changes: String,
    /// In which categories the filter may be stricter about it.
    pub(crate) may_be_stricter: BTreeSet<Stricter>,
}

impl Case {
    /// A provider for which the filter states a subject that jwt_authn, judging by the same rule, does not.
    pub(crate) fn invented(&self, ours: &Answer, native: &Answer) -> Option<&'static str> {
        let by_other_rules = [Stricter::DoubtfulPath, Stricter::UnmatchedPath];
        if by_other_rules.iter().any(|category| self.may_be_stricter.contains(category)) {
            return None;
        }
        PROVIDERS.iter().map(|provider| provider.name).find(|name| {
            let header = format!("x-{name}-sub");
            let theirs = native.arrived(&header);
            ours.arrived(&header).iter().any(|subject| !theirs.contains(subject))
        })
    }
}

/// Makes cases, signing as little as possible: RSA takes milliseconds.
pub(crate) struct Workshop<'issuers> {
    issuers: &'issuers Issuers,
    now: i64,
    /// Signs tokens of all but `other` with this algorithm; with any when there is none.
    pub(crate) only: Option<Algorithm>,
    good: BTreeMap<(&'static str, Algorithm), String>,
}

impl<'issuers> Workshop<'issuers> {
    pub(crate) fn new(issuers: &'issuers Issuers, now: i64) -> Self {
        Self { issuers, now, only: None, good: BTreeMap::new() }
    }

    /// A good request for the route with these changes.
    pub(crate) fn case(
        &mut self,
        route: &'static Route,
        changes: &[Change],
        random: &mut Random,
    ) -> anyhow::Result<Case> {
        let altered = random.below(route.brings.len());
        let mut tokens = Vec::new();
        for (position, provider) in route.brings.iter().enumerate() {
            let mine = if position == altered { changes } else { &[] };
            tokens.push((*provider, self.token(provider, mine, random)?));
        }
        let other = self.token("other", &[], random)?;
        let mut placed = Placed::new(route.path, &tokens, other, random);
        for change in changes {
            if let Change::Request(change) = change {
                (change.apply)(&mut placed, random);
            }
        }
        let names: Vec<String> = changes.iter().map(|change| change.name()).collect();
        Ok(Case {
            route: route.path,
            changes: if names.is_empty() { "nothing".to_owned() } else { names.join(" + ") },
            may_be_stricter: changes.iter().flat_map(|change| change.stricter()).collect(),
            request: placed.finish(),
        })
    }

    fn token(&mut self, provider: &str, changes: &[Change], random: &mut Random) -> anyhow::Result<String> {
        let provider = PROVIDERS.iter().find(|one| one.name == provider).context("no such provider")?;
        let mut token = self.signed(provider, changes, random)?;
        for change in changes {
            if let Change::Text(change) = change {
                token = (change.apply)(&token, random);
            }
        }
        Ok(token)
    }

    fn signed(
        &mut self,
        provider: &'static super::world::Provider,
        changes: &[Change],
        random: &mut Random,
    ) -> anyhow::Result<String> {
        let only = self.only.filter(|_| provider.name != "other");
        let algorithm = only.unwrap_or_else(|| algorithm(provider.name, random));
        let key_id = self.issuers.key_id(provider.name, algorithm)?;
        let mut draft = Draft::new(provider, algorithm, &key_id, self.now);
        let claims: Vec<_> = changes
            .iter()
            .filter_map(|change| if let Change::Claims(change) = change { Some(*change) } else { None })
            .collect();
        for change in &claims {
            change.apply(&mut draft, self.now);
        }
        let key = (provider.name, algorithm);
        if claims.is_empty()
            && let Some(token) = self.good.get(&key)
        {
            return Ok(token.clone());
        }
        let token = draft.sign(self.issuers)?;
        if claims.is_empty() {
            self.good.insert(key, token.clone());
        }
        Ok(token)
    }
}

/// Every algorithm, the cheap ones more often.
fn algorithm(provider: &str, random: &mut Random) -> Algorithm {
    let cheap = provider == "other" || !random.one_in(3);
    let choice = if cheap { random.pick(&[Algorithm::Es256, Algorithm::EdDsa]) } else { random.pick(&Algorithm::ALL) };
    choice.copied().unwrap_or(Algorithm::Es256)
}

/// A request with its tokens in their places.
pub(crate) struct Placed {
    request: Request,
    path: String,
    query: Vec<String>,
    token: String,
    other: String,
}

impl Placed {
    fn new(path: &str, tokens: &[(&str, String)], other: String, random: &mut Random) -> Self {
        let token = tokens.first().map(|(_, token)| token.clone()).unwrap_or_default();
        let mut placed = Self { request: Request::get(""), path: path.to_owned(), query: Vec::new(), token, other };
        for (provider, token) in tokens {
            match (*provider, random.below(4)) {
                ("other", _) => placed.after("x-other", token),
                ("placed", 0) => placed.after("x-jwt", &format!("jwt={token}")),
                ("placed", 1) => placed.after("x-raw", token),
                ("placed", 2) => placed.after("cookie", &format!("a=b; session={token}")),
                ("placed", _) => placed.query(&format!("jwt={token}")),
                _ => placed.after("authorization", &format!("Bearer {token}")),
            }
        }
        placed
    }

    fn finish(self) -> Request {
        let query = self.query.join("&");
        let target = if query.is_empty() { self.path } else { format!("{}?{query}", self.path) };
        Request { target: target.into_bytes(), ..self.request }
    }

    pub(crate) fn method(&mut self, method: &str) {
        method.clone_into(&mut self.request.method);
    }

    /// Adds a header after all others.
    pub(crate) fn after(&mut self, name: &str, value: &str) {
        self.request.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    /// Adds a header before all others.
    pub(crate) fn before(&mut self, name: &str, value: &str) {
        self.request.headers.insert(0, (name.to_owned(), value.as_bytes().to_vec()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.request.headers.retain(|(header, _)| header != name);
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        for (name, _) in self.request.headers.iter_mut().filter(|(name, _)| name == from) {
            to.clone_into(name);
        }
    }

    /// The token in `authorization`, after this.
    pub(crate) fn authorize(&mut self, scheme: &str) {
        self.remove("authorization");
        self.copy_to("authorization", scheme);
    }

    pub(crate) fn again(&mut self, name: &str) {
        let same: Vec<_> = self.request.headers.iter().filter(|(header, _)| header == name).cloned().collect();
        self.request.headers.extend(same);
    }

    pub(crate) fn copy_to(&mut self, name: &str, before: &str) {
        self.after(name, &format!("{before}{}", self.token));
    }

    pub(crate) fn other_too(&mut self) {
        self.after("x-other", &self.other.clone());
    }

    pub(crate) fn query(&mut self, parameter: &str) {
        self.query.insert(0, parameter.to_owned());
    }

    pub(crate) fn also_in_query(&mut self, name: &str) {
        self.query(&format!("{name}={}", self.token));
    }

    pub(crate) fn move_to_query(&mut self, name: &str) {
        for header in ["authorization", "x-jwt", "x-raw", "cookie"] {
            self.remove(header);
        }
        self.query.clear();
        self.also_in_query(name);
    }

    pub(crate) fn path(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    pub(crate) fn map_path(&mut self, change: impl FnOnce(&str) -> String) {
        self.path = change(&self.path);
    }

    pub(crate) fn one_of(&mut self, random: &mut Random, paths: &[&str]) {
        let path = random.pick(paths).copied().unwrap_or("/");
        self.path(path);
    }
}
