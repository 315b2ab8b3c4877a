//! What a policy says to a caller's wish, and why.

use identity::{Identity, Principal};
use serde::Serialize;

use super::request::{Defaults, Wish};
use super::rule::{Limits, Rule};

/// Rules that are not about the caller are listed up to this number: the log needs no copy of the policy.
const MISSES_KEPT: usize = 3;

/// What a policy says to a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was found to grant it, the best first; none: it is denied.
    pub grants: Vec<Granted>,
    /// What each rule says: those that grant it, then the nearest miss first.
    pub verdicts: Vec<Verdict>,
    /// What stands against it whatever the rules say.
    pub vetoes: Vec<String>,
}

/// Something that grants a wish, if the limits allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// To whom the runner will belong.
    pub owner: Principal,
    /// How many runners the owner may have.
    pub limits: Limits,
    /// Whether going beyond the limits is refused, or only recorded.
    pub enforced: bool,
    /// For the audit log.
    pub reasons: Vec<String>,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Verdict {
    /// The rule.
    pub rule: String,
    /// Whether it is about this caller.
    pub matches: bool,
    /// Whether it grants the whole wish.
    pub grants: bool,
    /// Whether its refusals count; if not, they are only recorded.
    pub enforced: bool,
    /// Why it is not about the caller, or does not grant the wish.
    pub reasons: Vec<String>,
    /// What sorts the nearest miss to the front.
    #[serde(skip)]
    distance: Distance,
}

/// How far a rule is from granting a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    Grants,
    /// It is about the caller, and so many things stand against the wish.
    Refuses(usize),
    /// Its issuer is the caller's, and so many conditions do not hold.
    OtherCaller(usize),
    OtherIssuer,
}

impl Decision {
    /// Whether it may be done, as far as limits allow.
    pub fn allowed(&self) -> bool {
        !self.grants.is_empty()
    }

    /// Why it is denied, for the audit log: the nearest miss first.
    pub fn denials(&self) -> Vec<String> {
        let (about, others): (Vec<_>, Vec<_>) = self.verdicts.iter().partition(|verdict| verdict.matches);
        let mut reasons = self.vetoes.clone();
        reasons.extend(about.iter().chain(others.iter().take(MISSES_KEPT)).map(|verdict| verdict.text()));
        let left_out = others.len().saturating_sub(MISSES_KEPT);
        if left_out > 0 {
            reasons.push(format!("{left_out} more rules are not about this caller"));
        }
        if self.verdicts.is_empty() && self.vetoes.is_empty() {
            reasons.push("the policy has no rules".to_owned());
        }
        reasons
    }

    /// The same for the caller, who is not told of rules for others.
    pub fn denials_for_caller(&self) -> Vec<String> {
        let mut reasons = self.vetoes.clone();
        reasons.extend(self.verdicts.iter().filter(|verdict| verdict.matches).map(Verdict::text));
        if reasons.is_empty() {
            reasons.push("no rule of the policy is about you".to_owned());
        }
        reasons
    }
}

impl Verdict {
    fn text(&self) -> String {
        let what = if self.matches { "does not grant it" } else { "is not about this caller" };
        format!("rule {:?} {what}: {}", self.rule, self.reasons.join(", "))
    }
}

/// What the rules say.
pub(super) fn by_rules(rules: &[Rule], caller: &Identity, wish: &Wish, defaults: &Defaults) -> Decision {
    let vetoes = vetoes(wish);
    let mut verdicts = Vec::with_capacity(rules.len());
    let mut grants = Vec::new();
    for rule in rules {
        let verdict = verdict(rule, caller, wish, defaults);
        if vetoes.is_empty()
            && let Some(granted) = granted(rule, &verdict, caller, wish, defaults)
        {
            // One that is only tried out comes last: what another rule grants needs no leniency.
            grants.push(((!verdict.grants, rule.breadth(), rule.name.clone()), granted));
        }
        verdicts.push(verdict);
    }
    grants.sort_by(|(left, _), (right, _)| left.cmp(right));
    // The name makes it an order that the file's can't change.
    verdicts.sort_by(|left, right| (left.distance, &left.rule).cmp(&(right.distance, &right.rule)));
    Decision { grants: grants.into_iter().map(|(_, granted)| granted).collect(), verdicts, vetoes }
}

fn verdict(rule: &Rule, caller: &Identity, wish: &Wish, defaults: &Defaults) -> Verdict {
    let misses = rule.misses(caller);
    let matches = misses.is_empty();
    let reasons = if matches { rule.refusals(caller, wish, defaults.runner_group_id) } else { misses };
    let distance = match reasons.len() {
        _ if rule.issuer != caller.principal.issuer => Distance::OtherIssuer,
        misses if !matches => Distance::OtherCaller(misses),
        0 => Distance::Grants,
        refusals => Distance::Refuses(refusals),
    };
    Verdict {
        rule: rule.name.clone(),
        matches,
        grants: distance == Distance::Grants,
        enforced: rule.enforce,
        reasons,
        distance,
    }
}

/// What a rule gives by its verdict. One that is tried out gives what would be allowed without a policy, and no more.
fn granted(rule: &Rule, verdict: &Verdict, caller: &Identity, wish: &Wish, defaults: &Defaults) -> Option<Granted> {
    let lenient = !rule.enforce && verdict.matches && beyond_defaults(wish, defaults).is_empty();
    if !verdict.grants && !lenient {
        return None;
    }
    let name = &rule.name;
    let reasons = if verdict.grants {
        vec![format!("rule {name:?} grants it")]
    } else {
        let would = format!("rule {name:?} is not enforced and would have refused it: {}", verdict.reasons.join(", "));
        vec![would]
    };
    let owner = rule.owner(caller).unwrap_or_else(|| caller.principal.clone());
    Some(Granted { owner, limits: rule.grant.limits, enforced: rule.enforce, reasons })
}

/// What is said without a policy file.
pub(super) fn by_default(caller: &Identity, wish: &Wish, defaults: &Defaults) -> Decision {
    let mut vetoes = vetoes(wish);
    vetoes.extend(beyond_defaults(wish, defaults));
    let reason = "no policy file: every verified caller may provision in the default organisation and group";
    let granted = Granted {
        owner: caller.principal.clone(),
        limits: Limits::default(),
        enforced: true,
        reasons: vec![reason.to_owned()],
    };
    let grants = if vetoes.is_empty() { vec![granted] } else { Vec::new() };
    Decision { grants, verdicts: Vec::new(), vetoes }
}

/// What no rule can grant.
fn vetoes(wish: &Wish) -> Vec<String> {
    let hosted = wish.labels.hosted();
    hosted.map(|label| format!("label {label} is reserved: it names machines of GitHub's own")).into_iter().collect()
}

/// What of a wish goes beyond the default organisation and group.
fn beyond_defaults(wish: &Wish, defaults: &Defaults) -> Vec<String> {
    let mut beyond = Vec::new();
    if wish.target != defaults.target {
        beyond
            .push(format!("target {} is not allowed; without a policy file only {} is", wish.target, defaults.target));
    }
    if wish.runner_group_id != defaults.runner_group_id {
        beyond.push(format!(
            "runner group {} is not allowed; without a policy file only {} is",
            wish.runner_group_id, defaults.runner_group_id
        ));
    }
    beyond
}
