//! Who may register what, by a policy file or without one. Decisions are pure functions of the policy, the caller and
//! the wish; no I/O, no clock. Only [`PolicyFile`] touches the disk.
//!
//! A file is read in two steps: `document` has its form, `check` makes `rule`s of it or says what is wrong and where.
//! docs/policy.md is for those who write one.

mod check;
mod claims;
mod decision;
mod document;
mod explanation;
mod file;
mod glob;
mod public;
mod request;
mod revocation;
mod rule;

pub use check::PolicyProblem;
pub use decision::{Decision, Granted, Verdict};
pub use explanation::{Explanation, identity_of};
pub use file::{Change, LoadError, PolicyFile, PolicyStatus, read};
pub use request::{Defaults, NameChoice, ProvisionRequest, Wish, WishError};
pub use revocation::{ClaimValue, Revoked, Who};
pub use rule::Limits;

use std::collections::BTreeSet;
use std::fmt;

use identity::{Identity, Principal};
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use sha2::{Digest as _, Sha256};

use document::Document;
use rule::Rule;

/// Far more than any policy needs.
pub const MAX_SIZE: usize = 1024 * 1024;

/// A checked policy, or that there is none.
#[derive(Clone, Debug)]
pub struct Policy {
    /// None: there is no policy file.
    rules: Option<Vec<Rule>>,
    sha256: Option<String>,
}

/// Everything that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// At least one.
    pub problems: Vec<PolicyProblem>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the policy has {} problem(s):", self.problems.len())?;
        self.problems.iter().try_for_each(|PolicyProblem { line, column, what }| match line {
            0 => write!(out, "\n  {what}"),
            _ => write!(out, "\n  line {line}, column {column}: {what}"),
        })
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// There is no policy file: the default organisation and group are open to every verified caller.
    pub fn none() -> Self {
        Self { rules: None, sha256: None }
    }

    /// The policy of a file's content.
    pub fn parse(content: &[u8]) -> Result<Self, PolicyError> {
        let whole =
            |what: &str| PolicyError { problems: vec![PolicyProblem { line: 0, column: 0, what: what.to_owned() }] };
        if content.len() > MAX_SIZE {
            return Err(whole("the file is larger than 1 MiB"));
        }
        let text = std::str::from_utf8(content).map_err(|_| whole("the file is not UTF-8"))?;
        let options = serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::Error,
            strict_booleans: true,
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        let document: Document =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| form_error(&error))?;
        let rules = check::check(&document).map_err(|problems| PolicyError { problems })?;
        Ok(Self { rules: Some(rules), sha256: Some(hex::encode(Sha256::digest(content))) })
    }

    /// SHA-256 of the file in lower-case hex, if there is one.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// How many rules it has; none if there is no file.
    pub fn size(&self) -> Option<usize> {
        self.rules.as_ref().map(Vec::len)
    }

    /// Whether no rule in force grants a target or admin rights: everybody is refused everything.
    pub fn grants_nothing(&self) -> bool {
        let grants = |rule: &Rule| rule.enforce && (rule.grant.admin || !rule.grant.targets.is_empty());
        self.rules.as_ref().is_some_and(|rules| !rules.iter().any(grants))
    }

    /// The names of the rules that match callers of this issuer, if their claims do.
    pub fn rules_of(&self, issuer: &str) -> Vec<&str> {
        self.rules.iter().flatten().filter(|rule| rule.issuer == issuer).map(|rule| rule.name.as_str()).collect()
    }

    /// Whether a verified caller may have this runner registered.
    pub fn decide(&self, caller: &Identity, wish: &Wish, defaults: &Defaults) -> Decision {
        match &self.rules {
            Some(rules) => decision::by_rules(rules, caller, wish, defaults),
            None => decision::by_default(caller, wish, defaults),
        }
    }

    /// Whether the decision needs to know the name of the wish's runner group.
    pub fn needs_group_name(&self, caller: &Identity, wish: &Wish) -> bool {
        self.about(caller).any(|rule| rule.grant.needs_group_name(wish))
    }

    /// Whose runners a caller sees and manages: what it registered as itself, and those of every owner that a rule
    /// maps it to.
    pub fn owners(&self, caller: &Identity) -> BTreeSet<Principal> {
        let mapped = self.about(caller).filter_map(|rule| rule.owner(caller));
        std::iter::once(caller.principal.clone()).chain(mapped).collect()
    }

    /// Whether a rule gives a caller admin rights. Without a policy file nobody has them.
    pub fn is_admin(&self, caller: &Identity) -> bool {
        self.about(caller).any(|rule| rule.grant.admin)
    }

    /// Rules that match the caller.
    fn about<'a>(&'a self, caller: &'a Identity) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().flatten().filter(|rule| rule.misses(caller).is_empty())
    }
}

/// The JSON Schema of policy files, for editors.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Document);
    schema.insert("title".into(), "Policy of the Runner Token Service".into());
    schema.to_value()
}

/// The place stands apart from the text, so it is taken off its end.
fn form_error(error: &serde_saphyr::Error) -> PolicyError {
    let (line, column) = error.location().map(|at| (at.line(), at.column())).unwrap_or_default();
    let text = error.without_snippet().to_string();
    let what = text.strip_suffix(&format!(" at line {line}, column {column}")).unwrap_or(&text).to_owned();
    PolicyError { problems: vec![PolicyProblem { line, column, what }] }
}

#[cfg(test)]
mod example_tests;
#[cfg(test)]
mod github_tests;
#[cfg(test)]
mod mistakes_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
