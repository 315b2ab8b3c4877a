//! Patterns: text in which `*` stands for any characters, also none. Always for the whole text, from its first
//! character to its last.

/// A checked pattern. It begins with something other than `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    first: String,
    /// What has to follow, in this order, with anything in between. Empty if the pattern has no `*`.
    others: Vec<String>,
}

impl Glob {
    /// The pattern, or why it is refused: one that begins with `*` says nothing about whom or what it means.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts = pattern.split('*').map(str::to_owned);
        let first = parts.next().unwrap_or_default();
        if first.is_empty() {
            return Err(format!(
                "the pattern {pattern:?} is too broad: it must begin with the text that all it stands for begins with"
            ));
        }
        Ok(Self { first, others: parts.collect() })
    }

    /// The text that everything begins with which the pattern stands for.
    pub(super) fn prefix(&self) -> &str {
        &self.first
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let Some(mut rest) = text.strip_prefix(self.first.as_str()) else { return false };
        let Some((last, middle)) = self.others.split_last() else { return rest.is_empty() };
        for part in middle {
            match rest.split_once(part.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn a_pattern_is_for_the_whole_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
            ("a*b*c", "axbxcxc", true),
            ("a**c", "abc", true),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main", true),
            ("repo:acme/*", "repo:acme-evil/app", false),
            ("a.c", "abc", false),
            ("a*", "A", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_that_could_mean_anybody_is_refused() {
        for bad in ["*", "", "*-prod", "**"] {
            assert!(Glob::parse(bad).is_err(), "{bad:?}");
        }
    }
}
