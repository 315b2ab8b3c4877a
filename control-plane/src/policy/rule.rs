//! A checked rule, and what it says of a caller and a wish.

use identity::{Identity, Principal};
use serde_json::json;

use super::claims::{ClaimPath, Condition};
use super::glob::Glob;
use super::request::{NameChoice, Wish};
use crate::runner::{Mode, Target, is_reserved};

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) conditions: Vec<(ClaimPath, Condition)>,
    pub(super) owner: OwnerRule,
    pub(super) grant: Grant,
    pub(super) enforce: bool,
}

/// How a rule finds the owner.
#[derive(Clone, Debug)]
pub(super) enum OwnerRule {
    /// The caller.
    Principal,
    /// The value of a claim.
    Claim(ClaimPath),
    /// This one.
    Name(String),
}

/// What a rule grants.
#[derive(Clone, Debug, Default)]
pub(super) struct Grant {
    pub(super) targets: Vec<TargetGrant>,
    pub(super) groups: Option<Vec<GroupGrant>>,
    pub(super) labels: Vec<LabelGrant>,
    pub(super) modes: Option<Vec<Mode>>,
    pub(super) ephemeral_only: bool,
    pub(super) name_prefix: Option<String>,
    pub(super) disable_update: Option<bool>,
    pub(super) limits: Limits,
    pub(super) admin: bool,
}

/// Where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TargetGrant {
    One(Target),
    /// Every repository of this owner.
    RepositoriesOf(String),
}

/// A runner group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupGrant {
    Id(i64),
    Name(String),
}

/// A label, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelGrant {
    One(String),
    Like(Glob),
}

/// How many runners an owner may have; none: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Limits {
    /// At a time, in whichever state until they are deleted.
    pub active: Option<u32>,
    /// At a time without a machine that has come on line yet.
    pub pending: Option<u32>,
    /// Newly registered within an hour.
    pub per_hour: Option<u32>,
}

impl Limits {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Rule {
    /// Why the rule is not about this caller, a reason for each condition that does not hold; empty if it is.
    pub(super) fn misses(&self, caller: &Identity) -> Vec<String> {
        if caller.principal.issuer != self.issuer {
            return vec![format!("the issuer is {:?}, not {:?}", shown(&caller.principal.issuer), self.issuer)];
        }
        let miss = |(path, condition): &(ClaimPath, Condition)| {
            let texts = path.texts(caller);
            let found = match texts.as_slice() {
                _ if condition.holds(&texts) => return None,
                [] => "missing".to_owned(),
                [one] => format!("{:?}", shown(one)),
                many => format!("a list of {}", many.len()),
            };
            Some(format!("claim {} is {found}; it must be {}", path.as_str(), condition.describe()))
        };
        self.conditions.iter().filter_map(miss).collect()
    }

    /// To whom the caller's runners belong by this rule.
    ///
    /// Owners that a policy names have an empty issuer, which no caller has. A name has none of the characters that
    /// the text of a claim's value begins with, so neither can be taken for the other.
    pub(super) fn owner(&self, caller: &Identity) -> Option<Principal> {
        let of_policy = |subject: String| Principal { issuer: String::new(), subject };
        match &self.owner {
            OwnerRule::Principal => Some(caller.principal.clone()),
            OwnerRule::Name(name) => Some(of_policy(name.clone())),
            OwnerRule::Claim(path) => {
                let value = path.text(caller).filter(|value| !value.is_empty() && !value.contains('\0'))?;
                Some(of_policy(json!([self.issuer, path.as_str(), value]).to_string()))
            }
        }
    }

    /// Why the rule does not grant a wish of a caller whom it is about; empty if it does.
    pub(super) fn refusals(&self, caller: &Identity, wish: &Wish, default_group_id: i64) -> Vec<String> {
        let mut refusals = self.grant.refusals(wish, default_group_id);
        if let OwnerRule::Claim(path) = &self.owner
            && self.owner(caller).is_none()
        {
            refusals.push(format!("claim {} is to name the owner, and is not there as a single value", path.as_str()));
        }
        refusals
    }

    /// The narrower an owner, the fewer see a runner: the caller alone, whoever shares a claim, a whole team.
    pub(super) fn breadth(&self) -> u8 {
        match self.owner {
            OwnerRule::Principal => 0,
            OwnerRule::Claim(_) => 1,
            OwnerRule::Name(_) => 2,
        }
    }
}

impl Grant {
    fn refusals(&self, wish: &Wish, default_group_id: i64) -> Vec<String> {
        if self.targets.is_empty() {
            return vec!["it grants no runners".to_owned()];
        }
        let mut refusals = Vec::new();
        if !self.targets.iter().any(|granted| granted.holds(&wish.target)) {
            refusals.push(format!("target {} is not granted", wish.target));
        }
        if wish.target.has_groups() && !self.has_group(wish, default_group_id) {
            refusals.push(match &wish.group_name {
                Some(name) => format!("runner group {} ({name:?}) is not granted", wish.runner_group_id),
                None => format!("runner group {} is not granted", wish.runner_group_id),
            });
        }
        for label in wish.labels.as_slice() {
            if !self.labels.iter().any(|granted| granted.holds(label)) {
                let reserved =
                    if is_reserved(label) { " (it is reserved: only a rule that names it grants it)" } else { "" };
                refusals.push(format!("label {label} is not granted{reserved}"));
            }
        }
        if self.modes.as_ref().is_some_and(|modes| !modes.contains(&wish.mode)) {
            refusals.push(format!("mode {} is not granted", wish.mode.as_str()));
        }
        if self.ephemeral_only && !wish.ephemeral {
            refusals.push("only ephemeral runners are granted".to_owned());
        }
        if let Some(prefix) = &self.name_prefix
            && !wish.name.begins_with(prefix)
        {
            refusals.push(format!("the name must begin with {prefix:?}"));
        }
        match self.disable_update {
            Some(wanted) if wish.mode == Mode::RegistrationToken && wanted != wish.disable_update => {
                refusals.push(format!("disable_update must be {wanted}"));
            }
            _ => {}
        }
        refusals
    }

    fn has_group(&self, wish: &Wish, default_group_id: i64) -> bool {
        let Some(groups) = &self.groups else { return wish.runner_group_id == default_group_id };
        groups.iter().any(|group| match group {
            GroupGrant::Id(id) => *id == wish.runner_group_id,
            GroupGrant::Name(name) => wish.group_name.as_ref() == Some(name),
        })
    }

    /// Whether the name of the wish's group matters, for its id alone settles nothing.
    pub(super) fn needs_group_name(&self, wish: &Wish) -> bool {
        let groups = self.groups.as_deref().unwrap_or_default();
        wish.target.has_groups()
            && groups.iter().any(|group| matches!(group, GroupGrant::Name(_)))
            && !groups.contains(&GroupGrant::Id(wish.runner_group_id))
    }
}

impl TargetGrant {
    fn holds(&self, target: &Target) -> bool {
        match (self, target) {
            (Self::One(granted), target) => granted == target,
            (Self::RepositoriesOf(granted), Target::Repository(owner, _)) => granted == owner,
            (Self::RepositoriesOf(_), _) => false,
        }
    }
}

impl LabelGrant {
    /// Reserved labels are granted by name alone: no pattern may reach one by accident.
    fn holds(&self, label: &str) -> bool {
        match self {
            Self::One(granted) => granted == label,
            Self::Like(glob) => !is_reserved(label) && glob.matches(label),
        }
    }
}

impl NameChoice {
    /// GitHub compares names without regard to case.
    fn begins_with(&self, prefix: &str) -> bool {
        let begins = |name: &str| name.to_ascii_lowercase().starts_with(&prefix.to_ascii_lowercase());
        match self {
            Self::Exact(name) => begins(name.as_str()),
            // Whatever random characters follow.
            Self::Prefix(start) => start.complete("").is_ok_and(|name| begins(name.as_str())),
        }
    }
}

/// The caller's text, in a length that a reason can have.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
