//! From a document to rules: what the form alone can't rule out. Every problem is found at once, with its place.

use std::collections::HashSet;

use serde_saphyr::{Location, Spanned};

use super::claims::{ClaimPath, Condition};
use super::document::{
    ConditionDocument, Document, GrantDocument, GroupDocument, LimitsDocument, MatchDocument, OwnerDocument,
    RuleDocument, Scalar,
};
use super::glob::Glob;
use super::public;
use super::rule::{Grant, GroupGrant, LabelGrant, Limits, OwnerRule, Rule, TargetGrant};
use crate::runner::{Labels, NamePrefix, Target, is_login};

/// The versions of the format that there are.
const VERSION: u32 = 1;
const MAX_NAME: usize = 100;
const MAX_OWNER: usize = 64;

/// Something wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PolicyProblem {
    /// Counted from 1; 0 if it is about the whole file.
    pub line: u64,
    /// Counted from 1.
    pub column: u64,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// The rules of a document, or everything that is wrong with it.
pub(super) fn check(document: &Document) -> Result<Vec<Rule>, Vec<PolicyProblem>> {
    let mut check = Check { problems: Vec::new() };
    if document.version.value != VERSION {
        check.problem(&document.version, format!("version {} is not known; write 1", document.version.value));
    }
    let mut names = HashSet::new();
    for rule in &document.rules {
        if !names.insert(rule.name.value.as_str()) {
            check.problem(&rule.name, format!("another rule is named {:?}; names are unique", rule.name.value));
        }
    }
    let rules: Vec<Rule> = document.rules.iter().filter_map(|rule| check.rule(rule)).collect();
    if check.problems.is_empty() { Ok(rules) } else { Err(check.problems) }
}

struct Check {
    problems: Vec<PolicyProblem>,
}

impl Check {
    fn problem<T>(&mut self, at: &Spanned<T>, what: impl Into<String>) {
        self.problem_at(at.referenced, what);
    }

    fn problem_at(&mut self, at: Location, what: impl Into<String>) {
        self.problems.push(PolicyProblem { line: at.line(), column: at.column(), what: what.into() });
    }

    /// The value, or a problem at this place.
    fn ok<T, U>(&mut self, at: &Spanned<T>, result: Result<U, impl ToString>) -> Option<U> {
        result.map_err(|error| self.problem(at, error.to_string())).ok()
    }

    fn rule(&mut self, rule: &RuleDocument) -> Option<Rule> {
        let name = rule.name.value.as_str();
        let printable =
            !name.trim().is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
        if !printable {
            self.problem(&rule.name, format!("a rule's name must be 1 to {MAX_NAME} printable characters"));
        }
        let (issuer, conditions) = self.matched(&rule.r#match);
        let owner = rule.owner.as_ref().map_or(Some(OwnerRule::Principal), |owner| self.owner(owner));
        let enforce = rule.enforce.unwrap_or(true);
        if !enforce && rule.grant.value.admin {
            self.problem(&rule.grant, "admin rights can't be tried out: remove `enforce: false`, or `admin`");
        }
        let grant = self.grant(&rule.grant);
        Some(Rule { name: name.to_owned(), issuer, conditions, owner: owner?, grant: grant?, enforce })
    }

    fn matched(&mut self, matched: &Spanned<MatchDocument>) -> (String, Vec<(ClaimPath, Condition)>) {
        let MatchDocument { iss, claims } = &matched.value;
        if iss.value.is_empty()
            || iss.value.chars().any(|each| each == '*' || each.is_whitespace() || each.is_control())
        {
            self.problem(iss, "an issuer is one exact URL, as it stands in the claim `iss`; it can't be a pattern");
        }
        if claims.value.is_empty() {
            self.problem(
                claims,
                "a rule must say whom of the issuer's callers it is about; for all of them, name the audience: aud: …",
            );
        }
        let mut conditions = Vec::with_capacity(claims.value.len());
        for (name, condition) in &claims.value {
            let path = self.ok(condition, ClaimPath::parse(name));
            if matches!(name.as_str(), "iss" | "idp") {
                self.problem(condition, "the issuer stands beside `claims`, not in it");
            }
            conditions.extend(path.zip(self.condition(condition)));
        }
        if conditions.len() == claims.value.len()
            && let Some(what) = public::too_broad(&iss.value, &conditions)
        {
            self.problem(claims, what);
        }
        (iss.value.clone(), conditions)
    }

    fn condition(&mut self, condition: &Spanned<ConditionDocument>) -> Option<Condition> {
        let empty = "an empty value would match nobody, or everybody who has none";
        match &condition.value {
            ConditionDocument::Exact(value) => {
                let text = value.text();
                if text.is_empty() {
                    self.problem(condition, empty);
                } else if text.contains('*') {
                    self.problem(
                        condition,
                        format!("{text:?} is taken to the letter; write {{glob: {text:?}}} for a pattern"),
                    );
                }
                Some(Condition::Exact(text))
            }
            ConditionDocument::Like(pattern) => {
                let glob = self.ok(condition, Glob::parse(&pattern.glob))?;
                Some(Condition::Like(glob, pattern.glob.clone()))
            }
            ConditionDocument::OneOf(choice) => {
                let texts: Vec<String> = choice.r#in.iter().map(Scalar::text).collect();
                if texts.is_empty() || texts.iter().any(String::is_empty) {
                    self.problem(condition, empty);
                }
                Some(Condition::OneOf(texts))
            }
        }
    }

    fn owner(&mut self, owner: &Spanned<OwnerDocument>) -> Option<OwnerRule> {
        match &owner.value {
            OwnerDocument::Claim(claim) => self.ok(owner, ClaimPath::parse(&claim.claim)).map(OwnerRule::Claim),
            OwnerDocument::Name(name) => {
                let plain = |each: char| each.is_ascii_alphanumeric() || matches!(each, '.' | '_' | '-');
                let good = (1..=MAX_OWNER).contains(&name.len())
                    && name.starts_with(|first: char| first.is_ascii_alphanumeric())
                    && name.chars().all(plain);
                if !good {
                    self.problem(
                        owner,
                        format!(
                            "an owner's name is at most {MAX_OWNER} ASCII letters, digits, dots, dashes and underscores"
                        ),
                    );
                }
                Some(OwnerRule::Name(name.clone()))
            }
        }
    }

    fn grant(&mut self, grant: &Spanned<GrantDocument>) -> Option<Grant> {
        let document = &grant.value;
        let provisions = document.runner_groups.is_some()
            || !document.labels.is_empty()
            || document.modes.is_some()
            || document.name_prefix.is_some();
        if document.targets.is_empty() && (provisions || !document.admin) {
            self.problem(grant, "grants no runners without `targets`, such as [org:NAME]");
        }
        if let Some(modes) = document.modes.as_ref().filter(|modes| modes.value.is_empty()) {
            self.problem(modes, "`modes` is empty; leave it out for both");
        }
        let targets: Vec<_> = document.targets.iter().map(|target| self.target(target)).collect();
        let labels: Vec<_> = document.labels.iter().map(|label| self.label(label)).collect();
        let name_prefix = match &document.name_prefix {
            Some(prefix) => Some(
                self.ok(prefix, NamePrefix::parse(&prefix.value).map_err(|error| format!("`name_prefix`: {error}")))?,
            ),
            None => None,
        };
        Some(Grant {
            targets: targets.into_iter().collect::<Option<_>>()?,
            groups: document.runner_groups.as_ref().map(|groups| self.groups(groups)),
            labels: labels.into_iter().collect::<Option<_>>()?,
            modes: document.modes.as_ref().map(|modes| modes.value.clone()),
            ephemeral_only: document.ephemeral_only,
            name_prefix: name_prefix.map(String::from),
            disable_update: document.disable_update,
            limits: self.limits(&document.limits),
            admin: document.admin,
        })
    }

    fn target(&mut self, target: &Spanned<String>) -> Option<TargetGrant> {
        let text = target.value.to_ascii_lowercase();
        let owner = text.strip_prefix("repo:").and_then(|path| path.strip_suffix("/*"));
        match owner {
            Some(owner) if is_login(owner) => Some(TargetGrant::RepositoriesOf(owner.to_owned())),
            _ => self.ok(target, text.parse::<Target>()).map(TargetGrant::One),
        }
    }

    fn groups(&mut self, groups: &Spanned<Vec<GroupDocument>>) -> Vec<GroupGrant> {
        if groups.value.is_empty() {
            self.problem(groups, "`runner_groups` is empty; leave it out for the default group");
        }
        let grant = |group: &GroupDocument| match group {
            GroupDocument::Id(id) => GroupGrant::Id(*id),
            GroupDocument::Name(name) => GroupGrant::Name(name.clone()),
        };
        let grants: Vec<GroupGrant> = groups.value.iter().map(grant).collect();
        let bad = |group: &GroupGrant| match group {
            GroupGrant::Id(id) => *id < 1,
            GroupGrant::Name(name) => name.trim().is_empty() || name.contains('*'),
        };
        if grants.iter().any(bad) {
            self.problem(groups, "a runner group is an id from 1 on, or a whole name; patterns are not taken");
        }
        grants
    }

    fn label(&mut self, label: &Spanned<String>) -> Option<LabelGrant> {
        let text = label.value.to_ascii_lowercase();
        if text.contains('*') {
            let glob = self.ok(label, Glob::parse(&text))?;
            self.ok(label, Labels::parse(vec![text.replace('*', "x")]))?;
            return Some(LabelGrant::Like(glob));
        }
        let labels = self.ok(label, Labels::parse(vec![text.clone()]))?;
        if labels.hosted().is_some() {
            self.problem(label, format!("label {text} names machines of GitHub's own, so no runner may have it"));
        }
        Some(LabelGrant::One(text))
    }

    fn limits(&mut self, limits: &LimitsDocument) -> Limits {
        for limit in [&limits.active, &limits.pending, &limits.per_hour].into_iter().flatten() {
            if limit.value == 0 {
                self.problem(limit, "a limit of 0 grants nothing; remove the rule instead");
            }
        }
        let value = |limit: &Option<Spanned<u32>>| limit.as_ref().map(|limit| limit.value);
        Limits { active: value(&limits.active), pending: value(&limits.pending), per_hour: value(&limits.per_hour) }
    }
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}
