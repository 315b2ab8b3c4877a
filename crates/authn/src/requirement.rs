//! What a request must bring: a tree over providers, evaluated without side effects.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::{self, ConfigError};
use crate::memory::Known;
use crate::refusal::Refusal;

/// Deeper trees are a mistake.
const MAX_DEPTH: usize = 8;

/// A requirement with its providers resolved to indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    Nothing,
    Provider { index: usize, audiences: Option<Vec<String>> },
    Any(Alternatives),
    All(Vec<Requirement>),
    AllowMissing,
    AllowMissingOrFailed,
}

/// Requirements of which one must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alternatives {
    list: Vec<Requirement>,
    /// Where each provider stands in the list, when it names nothing but providers: hundreds of issuers must cost no
    /// more than one.
    positions: BTreeMap<usize, Vec<usize>>,
    /// How many of the list name a provider.
    named: usize,
}

/// A token that holds, and which provider's it is.
pub(crate) type Verified = (usize, Rc<Known>);

/// The tokens of a request.
pub(crate) trait Tokens {
    /// Judges the token that was found for a provider, with these audiences in place of its own.
    fn judge(&mut self, provider: usize, audiences: Option<&[String]>) -> Result<Rc<Known>, Refusal>;

    /// Which of the request's tokens a provider found: the same number for the same token in the same place.
    fn number(&self, provider: usize) -> Option<usize>;

    /// The providers whose issuer the one token names, or why it is none for any provider. Nothing when providers look
    /// at different places, and so at different tokens.
    fn candidates(&mut self) -> Option<Result<&[usize], Refusal>>;
}

impl Requirement {
    pub(crate) fn new(at: &str, from: &config::Requirement, providers: &[String]) -> Result<Self, ConfigError> {
        Self::build(at, from, providers, MAX_DEPTH)
    }

    fn build(at: &str, from: &config::Requirement, providers: &[String], depth: usize) -> Result<Self, ConfigError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ConfigError::new(at, "nested too deeply"));
        };
        let index = |at: String, name: &str| {
            let known = providers.iter().position(|provider| provider == name);
            known.ok_or_else(|| ConfigError::new(at, format!("no provider is named {name:?}")))
        };
        let list = |at: &str, from: &config::Requirements| {
            if from.requirements.len() < 2 {
                return Err(ConfigError::new(at, "at least two requirements"));
            }
            let numbered = from.requirements.iter().enumerate();
            numbered.map(|(n, one)| Self::build(&format!("{at}.requirements[{n}]"), one, providers, depth)).collect()
        };
        let mut found = Vec::new();
        if let Some(name) = &from.provider_name {
            found.push(Self::Provider { index: index(format!("{at}.provider_name"), name)?, audiences: None });
        }
        if let Some(one) = &from.provider_and_audiences {
            let index = index(format!("{at}.provider_and_audiences.provider_name"), &one.provider_name)?;
            found.push(Self::Provider { index, audiences: Some(one.audiences.clone()) });
        }
        if let Some(any) = &from.requires_any {
            found.push(Self::Any(Alternatives::new(list(&format!("{at}.requires_any"), any)?)));
        }
        if let Some(all) = &from.requires_all {
            found.push(Self::All(list(&format!("{at}.requires_all"), all)?));
        }
        found.extend(from.allow_missing.as_ref().map(|_| Self::AllowMissing));
        found.extend(from.allow_missing_or_failed.as_ref().map(|_| Self::AllowMissingOrFailed));
        match (found.pop(), found.is_empty()) {
            (None, _) => Ok(Self::Nothing),
            (Some(one), true) => Ok(one),
            _ => Err(ConfigError::new(at, "give at most one kind of requirement")),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }

    fn is_forgiving(&self) -> bool {
        matches!(self, Self::Nothing | Self::AllowMissing | Self::AllowMissingOrFailed)
    }

    /// Whether some request without any token satisfies it.
    pub(crate) fn can_pass_without_token(&self) -> bool {
        match self {
            Self::Nothing | Self::AllowMissing | Self::AllowMissingOrFailed => true,
            Self::Provider { .. } => false,
            Self::Any(any) => any.list.iter().any(Self::can_pass_without_token),
            Self::All(list) => list.iter().all(Self::can_pass_without_token),
        }
    }

    /// The providers whose tokens matter, without repeats; `all` is how many there are.
    pub(crate) fn providers(&self, all: usize) -> Vec<usize> {
        let mut found = match self {
            Self::Nothing => Vec::new(),
            Self::Provider { index, .. } => vec![*index],
            Self::AllowMissing | Self::AllowMissingOrFailed => (0..all).collect(),
            Self::Any(Alternatives { list, .. }) | Self::All(list) => {
                list.iter().flat_map(|one| one.providers(all)).collect()
            }
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The tokens that satisfy it, or the most telling refusal. `all` is how many providers there are.
    pub(crate) fn evaluate(&self, all: usize, tokens: &mut dyn Tokens) -> Result<Vec<Verified>, Refusal> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Provider { index, audiences } => Ok(vec![(*index, tokens.judge(*index, audiences.as_deref())?)]),
            Self::Any(any) => any.evaluate(all, tokens),
            Self::All(list) => {
                let passed = list.iter().map(|one| one.evaluate(all, tokens)).collect::<Result<Vec<_>, _>>()?;
                Ok(passed.into_iter().flatten().collect())
            }
            Self::AllowMissing => every_token(all, tokens),
            Self::AllowMissingOrFailed => Ok(every_good_token(all, tokens)),
        }
    }
}

impl Alternatives {
    fn new(list: Vec<Requirement>) -> Self {
        let mut positions = BTreeMap::<usize, Vec<usize>>::new();
        let named = list.iter().filter(|one| !one.is_forgiving()).count();
        for (position, one) in list.iter().enumerate() {
            match one {
                Requirement::Provider { index, .. } => positions.entry(*index).or_default().push(position),
                Requirement::Nothing | Requirement::AllowMissing | Requirement::AllowMissingOrFailed => {}
                Requirement::Any(_) | Requirement::All(_) => return Self { list, positions: BTreeMap::new(), named },
            }
        }
        Self { list, positions, named }
    }

    /// The first that holds. `allow_missing` in the list forgives that there is no token, not that there is a bad one.
    fn evaluate(&self, all: usize, tokens: &mut dyn Tokens) -> Result<Vec<Verified>, Refusal> {
        let (promising, mut worst) = self.promising(tokens);
        for one in promising {
            match one.evaluate(all, tokens) {
                Ok(verified) => return Ok(verified),
                Err(refusal) => worst = Some(worst.map_or(refusal, |other| more_telling(other, refusal))),
            }
        }
        let forgives = |which: Requirement| self.list.contains(&which);
        match worst {
            _ if forgives(Requirement::Nothing) || forgives(Requirement::AllowMissingOrFailed) => Ok(Vec::new()),
            None => every_token(all, tokens),
            Some(Refusal::Missing) if forgives(Requirement::AllowMissing) => Ok(Vec::new()),
            Some(refusal) => Err(refusal),
        }
    }

    /// Those that the token may satisfy, in order, and what can be said of the others without looking at each.
    fn promising(&self, tokens: &mut dyn Tokens) -> (Vec<&Requirement>, Option<Refusal>) {
        let candidates = if self.positions.is_empty() { None } else { tokens.candidates() };
        match candidates {
            None => (self.list.iter().filter(|one| !one.is_forgiving()).collect(), None),
            Some(Err(refusal)) => (Vec::new(), Some(refusal)),
            Some(Ok(providers)) => {
                let positions = providers.iter().filter_map(|provider| self.positions.get(provider));
                let mut positions: Vec<usize> = positions.flatten().copied().collect();
                positions.sort_unstable();
                let promising = positions.iter().filter_map(|position| self.list.get(*position)).collect();
                (promising, (positions.len() < self.named).then_some(Refusal::Issuer))
            }
        }
    }
}

/// Every token that any provider finds must hold for one provider; a token of an unknown issuer holds for none, whatever
/// other tokens there are.
fn every_token(all: usize, tokens: &mut dyn Tokens) -> Result<Vec<Verified>, Refusal> {
    let (mut verified, mut held, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..all {
        match tokens.judge(index, None) {
            Ok(claims) => {
                verified.push((index, claims));
                held.push(tokens.number(index));
            }
            Err(Refusal::Missing) => {}
            Err(Refusal::Issuer) => foreign.push(tokens.number(index)),
            Err(refusal) => return Err(refusal),
        }
    }
    if foreign.iter().all(|token| held.contains(token)) { Ok(verified) } else { Err(Refusal::Issuer) }
}

fn every_good_token(all: usize, tokens: &mut dyn Tokens) -> Vec<Verified> {
    (0..all).filter_map(|index| tokens.judge(index, None).ok().map(|claims| (index, claims))).collect()
}

/// Of two refusals, the one that says more about the token that the caller did send. One that newer keys may lift
/// comes first, so that it can be waited for.
fn more_telling(one: Refusal, other: Refusal) -> Refusal {
    let weight = |refusal| match refusal {
        Refusal::Missing => 0,
        Refusal::Issuer => 1,
        Refusal::UnknownKey | Refusal::NoKeys => 3,
        _ => 2,
    };
    if weight(other) > weight(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PROVIDERS: [&str; 3] = ["a", "b", "c"];

    fn build(from: Value) -> Result<Requirement, ConfigError> {
        Requirement::new("at", &serde_json::from_value(from).unwrap(), &PROVIDERS.map(str::to_owned))
    }

    /// What each provider finds: nothing for a good token.
    struct Table {
        outcomes: [Option<Refusal>; 3],
        /// Which token each finds.
        numbers: [usize; 3],
        /// The providers whose issuer the token names, when all look at one place.
        candidates: Option<Vec<usize>>,
    }

    impl Tokens for Table {
        fn judge(&mut self, provider: usize, _: Option<&[String]>) -> Result<Rc<Known>, Refusal> {
            match self.outcomes[provider] {
                None => Ok(Known::of_nobody(provider)),
                Some(refusal) => Err(refusal),
            }
        }

        fn number(&self, provider: usize) -> Option<usize> {
            Some(self.numbers[provider])
        }

        fn candidates(&mut self) -> Option<Result<&[usize], Refusal>> {
            self.candidates.as_deref().map(Ok)
        }
    }

    fn evaluate(from: Value, outcomes: [Option<Refusal>; 3]) -> Result<Vec<usize>, Refusal> {
        let requirement = build(from).unwrap();
        let evaluate = |candidates| {
            let verified =
                requirement.evaluate(PROVIDERS.len(), &mut Table { outcomes, numbers: [0; 3], candidates })?;
            Ok(verified.into_iter().map(|(index, _)| index).collect())
        };
        // Knowing whose token it is changes nothing but the time that it takes.
        let linear = evaluate(None);
        if !outcomes.contains(&MISSING) {
            let named = (0..3).filter(|index| outcomes[*index] != FOREIGN).collect();
            assert_eq!(evaluate(Some(named)), linear);
        }
        linear
    }

    const MISSING: Option<Refusal> = Some(Refusal::Missing);
    const FOREIGN: Option<Refusal> = Some(Refusal::Issuer);
    const EXPIRED: Option<Refusal> = Some(Refusal::Expired);
    const GOOD: Option<Refusal> = None;

    fn name(name: &str) -> Value {
        json!({"provider_name": name})
    }

    fn any(list: &[Value]) -> Value {
        json!({"requires_any": {"requirements": list}})
    }

    fn all(list: &[Value]) -> Value {
        json!({"requires_all": {"requirements": list}})
    }

    #[test]
    fn any_takes_the_first_that_holds_and_tells_the_most_of_none() {
        let either = || any(&[name("a"), name("b")]);
        assert_eq!(evaluate(either(), [GOOD, EXPIRED, GOOD]), Ok(vec![0]));
        assert_eq!(evaluate(either(), [EXPIRED, GOOD, GOOD]), Ok(vec![1]));
        assert_eq!(evaluate(either(), [FOREIGN, EXPIRED, GOOD]), Err(Refusal::Expired));
        assert_eq!(evaluate(either(), [MISSING, FOREIGN, GOOD]), Err(Refusal::Issuer));
        assert_eq!(evaluate(either(), [Some(Refusal::UnknownKey), EXPIRED, GOOD]), Err(Refusal::UnknownKey));
    }

    #[test]
    fn all_takes_all() {
        let both = || all(&[name("a"), any(&[name("b"), name("c")])]);
        assert_eq!(evaluate(both(), [GOOD, EXPIRED, GOOD]), Ok(vec![0, 2]));
        assert_eq!(evaluate(both(), [MISSING, GOOD, GOOD]), Err(Refusal::Missing));
    }

    #[test]
    fn allow_missing_in_a_list_forgives_a_missing_token_only() {
        let optional = || any(&[name("a"), json!({"allow_missing": {}})]);
        assert_eq!(evaluate(optional(), [GOOD, MISSING, MISSING]), Ok(vec![0]));
        assert_eq!(evaluate(optional(), [MISSING, MISSING, MISSING]), Ok(vec![]));
        assert_eq!(evaluate(optional(), [EXPIRED, MISSING, MISSING]), Err(Refusal::Expired));
        assert_eq!(evaluate(optional(), [FOREIGN, MISSING, MISSING]), Err(Refusal::Issuer));
        let failed = || any(&[name("a"), json!({"allow_missing_or_failed": {}})]);
        assert_eq!(evaluate(failed(), [EXPIRED, GOOD, GOOD]), Ok(vec![]));
    }

    #[test]
    fn allow_missing_alone_wants_every_token_to_hold_for_somebody() {
        let lone = || json!({"allow_missing": {}});
        assert_eq!(evaluate(lone(), [MISSING, MISSING, MISSING]), Ok(vec![]));
        assert_eq!(evaluate(lone(), [FOREIGN, GOOD, FOREIGN]), Ok(vec![1]));
        assert_eq!(evaluate(lone(), [FOREIGN, FOREIGN, FOREIGN]), Err(Refusal::Issuer));
        assert_eq!(evaluate(lone(), [GOOD, EXPIRED, MISSING]), Err(Refusal::Expired));
    }

    /// A good token of one issuer does not make up for one of nobody in another place.
    #[test]
    fn allow_missing_alone_wants_each_of_several_tokens_to_hold_for_somebody() {
        let lone = build(json!({"allow_missing": {}})).unwrap();
        let passes = |outcomes, numbers| {
            lone.evaluate(PROVIDERS.len(), &mut Table { outcomes, numbers, candidates: None }).map(|list| list.len())
        };
        assert_eq!(passes([FOREIGN, GOOD, MISSING], [0, 1, 2]), Err(Refusal::Issuer));
        assert_eq!(passes([FOREIGN, GOOD, MISSING], [0, 0, 2]), Ok(1));
        assert_eq!(passes([GOOD, FOREIGN, GOOD], [0, 0, 1]), Ok(2));
        assert_eq!(passes([GOOD, FOREIGN, GOOD], [0, 2, 1]), Err(Refusal::Issuer));
    }

    #[test]
    fn allow_missing_or_failed_alone_takes_the_good_ones() {
        assert_eq!(evaluate(json!({"allow_missing_or_failed": {}}), [EXPIRED, GOOD, FOREIGN]), Ok(vec![1]));
    }

    #[test]
    fn what_passes_without_a_token_is_known() {
        for (from, expected) in [
            (json!({}), true),
            (name("a"), false),
            (any(&[name("a"), json!({"allow_missing": {}})]), true),
            (all(&[name("a"), json!({"allow_missing": {}})]), false),
            (json!({"allow_missing_or_failed": {}}), true),
        ] {
            assert_eq!(build(from.clone()).unwrap().can_pass_without_token(), expected, "{from}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_path() {
        let deep = (0..MAX_DEPTH).fold(name("a"), |inner, _| all(&[name("a"), inner]));
        for (from, path) in [
            (name("x"), "at.provider_name"),
            (json!({"provider_and_audiences": {"provider_name": "x"}}), "at.provider_and_audiences.provider_name"),
            (any(&[name("a")]), "at.requires_any"),
            (all(&[name("a"), name("x")]), "at.requires_all.requirements[1].provider_name"),
            (json!({"provider_name": "a", "allow_missing": {}}), "at"),
        ] {
            assert_eq!(build(from).unwrap_err().path, path);
        }
        assert_eq!(build(deep).unwrap_err().problem, "nested too deeply");
    }
}
