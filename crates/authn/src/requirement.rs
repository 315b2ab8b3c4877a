//! What a request must bring: a tree over providers, evaluated without side effects.

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
    Any(Vec<Requirement>),
    All(Vec<Requirement>),
    AllowMissing,
    AllowMissingOrFailed,
}

/// A token that holds, and which provider's it is.
pub(crate) type Verified = (usize, Rc<Known>);

/// Judges the token that was found for a provider: its index, and the audiences in place of its own.
pub(crate) type Judge<'j> = dyn FnMut(usize, Option<&[String]>) -> Result<Rc<Known>, Refusal> + 'j;

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
            found.push(Self::Any(list(&format!("{at}.requires_any"), any)?));
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

    /// Whether some request without any token satisfies it.
    pub(crate) fn can_pass_without_token(&self) -> bool {
        match self {
            Self::Nothing | Self::AllowMissing | Self::AllowMissingOrFailed => true,
            Self::Provider { .. } => false,
            Self::Any(list) => list.iter().any(Self::can_pass_without_token),
            Self::All(list) => list.iter().all(Self::can_pass_without_token),
        }
    }

    /// The providers whose tokens matter, without repeats; `all` is how many there are.
    pub(crate) fn providers(&self, all: usize) -> Vec<usize> {
        let mut found = match self {
            Self::Nothing => Vec::new(),
            Self::Provider { index, .. } => vec![*index],
            Self::AllowMissing | Self::AllowMissingOrFailed => (0..all).collect(),
            Self::Any(list) | Self::All(list) => list.iter().flat_map(|one| one.providers(all)).collect(),
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The tokens that satisfy it, or the most telling refusal. `all` is how many providers there are.
    pub(crate) fn evaluate(&self, all: usize, judge: &mut Judge<'_>) -> Result<Vec<Verified>, Refusal> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Provider { index, audiences } => Ok(vec![(*index, judge(*index, audiences.as_deref())?)]),
            Self::Any(list) => any(list, all, judge),
            Self::All(list) => {
                let passed = list.iter().map(|one| one.evaluate(all, judge)).collect::<Result<Vec<_>, _>>()?;
                Ok(passed.into_iter().flatten().collect())
            }
            Self::AllowMissing => every_token(all, judge),
            Self::AllowMissingOrFailed => Ok(every_good_token(all, judge)),
        }
    }
}

/// The first that holds. `allow_missing` in the list forgives that there is no token, not that there is a bad one.
fn any(list: &[Requirement], all: usize, judge: &mut Judge<'_>) -> Result<Vec<Verified>, Refusal> {
    let forgiving = |one: &&Requirement| {
        matches!(one, Requirement::Nothing | Requirement::AllowMissing | Requirement::AllowMissingOrFailed)
    };
    let mut worst = None;
    for one in list.iter().filter(|one| !forgiving(one)) {
        match one.evaluate(all, judge) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => worst = Some(worst.map_or(refusal, |other| more_telling(other, refusal))),
        }
    }
    let forgives_all = list.iter().any(|one| matches!(one, Requirement::Nothing | Requirement::AllowMissingOrFailed));
    let forgives_missing = list.contains(&Requirement::AllowMissing);
    match worst {
        _ if forgives_all => Ok(Vec::new()),
        None => every_token(all, judge),
        Some(Refusal::Missing) if forgives_missing => Ok(Vec::new()),
        Some(refusal) => Err(refusal),
    }
}

/// Every token that any provider finds must hold for one provider; a token of an unknown issuer holds for none.
fn every_token(all: usize, judge: &mut Judge<'_>) -> Result<Vec<Verified>, Refusal> {
    let mut verified = Vec::new();
    let mut foreign = None;
    for index in 0..all {
        match judge(index, None) {
            Ok(claims) => verified.push((index, claims)),
            Err(Refusal::Missing) => {}
            Err(Refusal::Issuer) => foreign = Some(Refusal::Issuer),
            Err(refusal) => return Err(refusal),
        }
    }
    match foreign {
        Some(refusal) if verified.is_empty() => Err(refusal),
        _ => Ok(verified),
    }
}

fn every_good_token(all: usize, judge: &mut Judge<'_>) -> Vec<Verified> {
    (0..all).filter_map(|index| judge(index, None).ok().map(|claims| (index, claims))).collect()
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
    use crate::verify::VerifiedClaims;
    use serde_json::{Map, Value, json};

    const PROVIDERS: [&str; 3] = ["a", "b", "c"];

    fn build(from: Value) -> Result<Requirement, ConfigError> {
        Requirement::new("at", &serde_json::from_value(from).unwrap(), &PROVIDERS.map(str::to_owned))
    }

    fn good(name: &str) -> Rc<Known> {
        Known::new(VerifiedClaims {
            issuer: name.into(),
            subject: "s".into(),
            expires_at: 0,
            claims: Map::new(),
            token_sha256: String::new(),
        })
    }

    /// Evaluates with what each provider finds: nothing for a good token.
    fn evaluate(from: Value, tokens: [Option<Refusal>; 3]) -> Result<Vec<usize>, Refusal> {
        let mut judge = |index: usize, _: Option<&[String]>| match tokens[index] {
            None => Ok(good(PROVIDERS[index])),
            Some(refusal) => Err(refusal),
        };
        let verified = build(from).unwrap().evaluate(PROVIDERS.len(), &mut judge)?;
        Ok(verified.into_iter().map(|(index, _)| index).collect())
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
