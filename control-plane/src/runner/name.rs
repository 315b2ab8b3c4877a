//! Names of runners, by GitHub's rules and a few of our own that keep names harmless in a shell, a URL and a table.

use serde::{Deserialize, Serialize};

/// GitHub's limit.
const MAX_LENGTH: usize = 64;
/// Length of `-` and the random part that follow a prefix.
const SUFFIX_LENGTH: usize = 9;
/// What GitHub refuses in a name.
const FORBIDDEN: &[char] = &['"', '/', ':', '<', '>', '\\', '|', '*', '?'];

/// A name that GitHub takes. Compared without regard to case, as GitHub does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunnerName(String);

/// The start of a name that the service completes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePrefix(String);

/// Why a name or prefix is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing there.
    #[error("a runner's name must not be empty")]
    Empty,
    /// Longer than GitHub takes, or than leaves room for the random part.
    #[error("it has {0} characters; at most {1} are allowed")]
    TooLong(usize, usize),
    /// A character that GitHub refuses, or that is not printable ASCII.
    #[error("it contains {0:?}; allowed are printable ASCII characters except \" / : < > \\ | * ?")]
    Character(char),
    /// Would look like an option of `config.sh`.
    #[error("it must not start with a dash")]
    LeadingDash,
    /// Starts or ends with a space.
    #[error("it must not start or end with a space")]
    OuterSpace,
    /// `.` and `..` mean something else in a path.
    #[error("it must not consist of dots alone")]
    Dots,
    /// `/runners/provision` is a call of its own.
    #[error("`provision` is the name of an API call; choose another")]
    Reserved,
}

impl RunnerName {
    /// Checks a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, MAX_LENGTH)?;
        if text.ends_with(' ') {
            return Err(NameError::OuterSpace);
        }
        if text.chars().all(|character| character == '.') {
            return Err(NameError::Dots);
        }
        if text.eq_ignore_ascii_case("provision") {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NamePrefix {
    /// Checks a prefix.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, MAX_LENGTH.saturating_sub(SUFFIX_LENGTH))?;
        Ok(Self(text.to_owned()))
    }

    /// The prefix, a dash unless it ends with one, and the suffix.
    pub fn complete(&self, suffix: &str) -> Result<RunnerName, NameError> {
        let dash = if self.0.ends_with('-') { "" } else { "-" };
        RunnerName::parse(&format!("{}{dash}{suffix}", self.0))
    }
}

fn check(text: &str, limit: usize) -> Result<(), NameError> {
    let length = text.chars().count();
    if length == 0 {
        return Err(NameError::Empty);
    }
    if length > limit {
        return Err(NameError::TooLong(length, limit));
    }
    if let Some(character) = text.chars().find(|&each| FORBIDDEN.contains(&each) || !matches!(each, ' '..='~')) {
        return Err(NameError::Character(character));
    }
    if text.starts_with('-') {
        return Err(NameError::LeadingDash);
    }
    if text.starts_with(' ') {
        return Err(NameError::OuterSpace);
    }
    Ok(())
}

impl TryFrom<String> for RunnerName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<RunnerName> for String {
    fn from(name: RunnerName) -> Self {
        name.0
    }
}

impl TryFrom<String> for NamePrefix {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<NamePrefix> for String {
    fn from(prefix: NamePrefix) -> Self {
        prefix.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass_and_hostile_ones_are_refused_for_what_they_are() {
        for good in ["a", "gpu-7.example_com", "two words", "$(reboot)", "it's", &"x".repeat(64)] {
            assert!(RunnerName::parse(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("", NameError::Empty),
            (&"x".repeat(65), NameError::TooLong(65, 64)),
            ("--token", NameError::LeadingDash),
            ("a/b", NameError::Character('/')),
            ("a\"b", NameError::Character('"')),
            ("a\nb", NameError::Character('\n')),
            ("a\u{a0}b", NameError::Character('\u{a0}')),
            ("rünner", NameError::Character('ü')),
            ("a\u{202e}b", NameError::Character('\u{202e}')),
            (" a", NameError::OuterSpace),
            ("a ", NameError::OuterSpace),
            ("..", NameError::Dots),
            ("Provision", NameError::Reserved),
        ] {
            assert_eq!(RunnerName::parse(bad), Err(expected), "{bad:?}");
        }
    }

    #[test]
    fn a_prefix_leaves_room_for_its_suffix() {
        let prefix = NamePrefix::parse(&"p".repeat(55)).unwrap();
        assert_eq!(prefix.complete("0123abcd").unwrap().as_str().len(), 64);
        assert_eq!(NamePrefix::parse("ci-").unwrap().complete("0123abcd").unwrap().as_str(), "ci-0123abcd");
        assert_eq!(NamePrefix::parse(&"p".repeat(56)), Err(NameError::TooLong(56, 55)));
    }
}
