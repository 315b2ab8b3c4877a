//! Where on GitHub a runner belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An organisation, a repository or an enterprise, in lower case as GitHub compares them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// `org:NAME`
    Organisation(String),
    /// `repo:OWNER/NAME`
    Repository(String, String),
    /// `enterprise:SLUG`
    Enterprise(String),
}

/// Not of a form that there is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a target; write org:NAME, repo:OWNER/NAME or enterprise:SLUG")]
pub struct TargetError(String);

impl Target {
    /// The start of the API's paths for its runners.
    pub fn api_path(&self) -> String {
        match self {
            Self::Organisation(name) => format!("/orgs/{name}/actions"),
            Self::Repository(owner, name) => format!("/repos/{owner}/{name}/actions"),
            Self::Enterprise(slug) => format!("/enterprises/{slug}/actions"),
        }
    }

    /// Whether its runners are in groups; a repository has none.
    pub fn has_groups(&self) -> bool {
        !matches!(self, Self::Repository(..))
    }

    /// Its page, below GitHub's web address: what `config.sh --url` takes.
    pub fn web_url(&self, web: &str) -> String {
        match self {
            Self::Organisation(name) => format!("{web}/{name}"),
            Self::Repository(owner, name) => format!("{web}/{owner}/{name}"),
            Self::Enterprise(slug) => format!("{web}/enterprises/{slug}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(name) => write!(out, "org:{name}"),
            Self::Repository(owner, name) => write!(out, "repo:{owner}/{name}"),
            Self::Enterprise(slug) => write!(out, "enterprise:{slug}"),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let lower = text.to_ascii_lowercase();
        match lower.split_once(':') {
            Some(("org", name)) if is_login(name) => Ok(Self::Organisation(name.to_owned())),
            Some(("repo", path)) => match path.split_once('/') {
                Some((owner, name)) if is_login(owner) && is_repository(name) => {
                    Ok(Self::Repository(owner.to_owned(), name.to_owned()))
                }
                _ => Err(TargetError(text.to_owned())),
            },
            Some(("enterprise", slug)) if is_slug(slug) => Ok(Self::Enterprise(slug.to_owned())),
            _ => Err(TargetError(text.to_owned())),
        }
    }
}

/// GitHub's logins: letters, digits and dashes (and underscores, of managed users), at most 39 characters.
pub fn is_login(text: &str) -> bool {
    text.len() <= 39 && is_slug(text)
}

/// Slugs of enterprises are written like logins, and may be longer.
fn is_slug(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && !text.starts_with('-')
        && text.chars().all(|each| each.is_ascii_alphanumeric() || each == '-' || each == '_')
}

/// Names of repositories: letters, digits, `-`, `_` and `.`, at most 100 characters, and no path segment of dots.
fn is_repository(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.chars().any(|each| each != '.')
        && text.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '_' | '.'))
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_in_any_case_and_written_in_one() {
        assert_eq!("org:Acme".parse::<Target>().unwrap().to_string(), "org:acme");
        let repository: Target = "repo:acme/Tools.js".parse().unwrap();
        assert_eq!(repository.api_path(), "/repos/acme/tools.js/actions");
        assert_eq!(repository.web_url("https://github.com"), "https://github.com/acme/tools.js");
        let enterprise: Target = "enterprise:Big-Corp".parse().unwrap();
        assert_eq!(enterprise.to_string(), "enterprise:big-corp");
        assert_eq!(enterprise.api_path(), "/enterprises/big-corp/actions");
        assert_eq!(enterprise.web_url("https://github.com"), "https://github.com/enterprises/big-corp");
    }

    #[test]
    fn nothing_that_could_change_the_path_of_a_call_passes() {
        for bad in [
            "acme",
            "org:",
            "org:a/b",
            "org:..",
            "repo:a",
            "repo:a/..",
            "repo:a/b/c",
            "org:a?b",
            "org:a%2fb",
            "enterprise:",
            "enterprise:a/b",
            "enterprise:.",
            "enterprise:a b",
            "user:a",
        ] {
            assert_eq!(bad.parse::<Target>(), Err(TargetError(bad.to_owned())));
        }
    }
}
