//! Labels of runners: what jobs ask for in `runs-on`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// GitHub's limit for one runner.
pub const MAX_LABELS: usize = 100;
/// GitHub documents no limit; this one keeps listings readable.
const MAX_LENGTH: usize = 100;
/// What may stand in a label beside letters and digits. No comma: `config.sh` splits at it.
const PUNCTUATION: &str = "._-+:/=@";
/// Machines of GitHub's own have labels such as `ubuntu-24.04`, `windows-latest`, `macos-15-large`, `ubuntu-slim`.
const HOSTED_SYSTEMS: &[&str] = &["ubuntu-", "windows-", "macos-"];
/// What `config.sh` gives a runner by itself: that it is self-hosted, its system and its architecture.
const SYSTEM_LABELS: &[&str] = &["self-hosted", "linux", "windows", "macos", "x64", "x86", "arm", "arm64"];

/// Labels in lower case as GitHub keeps them, each once, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels(Vec<String>);

/// Why labels are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelError {
    /// More than GitHub takes.
    #[error("{0} labels; at most {MAX_LABELS} are allowed")]
    TooMany(usize),
    /// Nothing there.
    #[error("a label must not be empty")]
    Empty,
    /// Longer than anybody can read.
    #[error("label {0:?} is longer than {MAX_LENGTH} characters")]
    TooLong(String),
    /// A character that would need quoting somewhere.
    #[error("label {0:?} contains {1:?}; allowed are ASCII letters, digits and {PUNCTUATION}")]
    Character(String, char),
    /// Would look like an option.
    #[error("label {0:?} must start with a letter or a digit")]
    Start(String),
}

impl Labels {
    /// Checks labels, lower-cases them and drops repeats.
    pub fn parse(labels: Vec<String>) -> Result<Self, LabelError> {
        if labels.len() > MAX_LABELS {
            return Err(LabelError::TooMany(labels.len()));
        }
        let mut seen = BTreeSet::new();
        let mut kept = Vec::with_capacity(labels.len());
        for label in labels {
            check(&label)?;
            let label = label.to_ascii_lowercase();
            if seen.insert(label.clone()) {
                kept.push(label);
            }
        }
        Ok(Self(kept))
    }

    /// The labels.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, or `self-hosted` if there is none: what `config.sh` would give, and GitHub refuses none at all.
    pub(crate) fn or_self_hosted(self) -> Self {
        if self.is_empty() { Self(vec!["self-hosted".to_owned()]) } else { self }
    }

    /// The first label that names machines of GitHub's own. A runner with it would catch jobs that were meant for
    /// those, from anybody in the organisation, with their secrets.
    pub fn hosted(&self) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|label| is_hosted(label))
    }
}

/// Whether a label says more than its owner may choose to say: what GitHub gives runners by itself, or its own machines
/// have. Jobs ask for these everywhere, so a policy grants them by name alone.
pub fn is_reserved(label: &str) -> bool {
    SYSTEM_LABELS.contains(&label) || is_hosted(label)
}

fn is_hosted(label: &str) -> bool {
    let version = HOSTED_SYSTEMS.iter().find_map(|system| label.strip_prefix(system));
    version.is_some_and(|version| {
        version.starts_with(|first: char| first.is_ascii_digit())
            || ["latest", "slim"].iter().any(|word| version.starts_with(word))
    })
}

fn check(label: &str) -> Result<(), LabelError> {
    let first = label.chars().next().ok_or(LabelError::Empty)?;
    if label.chars().count() > MAX_LENGTH {
        return Err(LabelError::TooLong(label.chars().take(MAX_LENGTH).collect()));
    }
    let strange = label.chars().find(|each| !each.is_ascii_alphanumeric() && !PUNCTUATION.contains(*each));
    if let Some(character) = strange {
        return Err(LabelError::Character(label.to_owned(), character));
    }
    if first.is_ascii_alphanumeric() { Ok(()) } else { Err(LabelError::Start(label.to_owned())) }
}

impl TryFrom<Vec<String>> for Labels {
    type Error = LabelError;

    fn try_from(labels: Vec<String>) -> Result<Self, LabelError> {
        Self::parse(labels)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(labels: &[&str]) -> Result<Labels, LabelError> {
        Labels::parse(labels.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn labels_are_lower_cased_and_kept_once_in_order() {
        assert_eq!(parse(&["GPU", "linux", "gpu"]).unwrap().as_slice(), ["gpu", "linux"]);
    }

    #[test]
    fn hostile_labels_are_refused() {
        for bad in ["", "a,b", "a b", "$(x)", "a;b", "'", "-x", "--token", "a\nb", "ü", &"x".repeat(101)] {
            assert!(parse(&[bad]).is_err(), "{bad:?}");
        }
        assert_eq!(Labels::parse(vec!["a".to_owned(); 101]), Err(LabelError::TooMany(101)));
    }

    #[test]
    fn labels_of_githubs_own_machines_are_reserved() {
        for hosted in ["ubuntu-latest", "Ubuntu-24.04", "windows-2025", "macos-15-xlarge", "ubuntu-slim"] {
            assert!(parse(&["gpu", hosted]).unwrap().hosted().is_some(), "{hosted}");
        }
        assert_eq!(parse(&["self-hosted", "linux", "x64", "ubuntu", "windows-gpu"]).unwrap().hosted(), None);
    }

    #[test]
    fn what_runners_get_by_themselves_is_reserved_and_what_only_looks_like_it_is_not() {
        assert!(["self-hosted", "linux", "arm64", "ubuntu-latest"].iter().all(|label| is_reserved(label)));
        assert!(!["self-hosted-x", "linux-gpu", "ubuntu", "gpu"].iter().any(|label| is_reserved(label)));
    }
}
