//! Conditions on strings, compiled once.

use regex_lite::Regex;

use crate::config::{ConfigError, StringMatcher};

/// A compiled [`StringMatcher`].
#[derive(Debug)]
pub(crate) struct TextMatch {
    condition: Condition,
    ignore_case: bool,
}

#[derive(Debug)]
enum Condition {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl TextMatch {
    pub(crate) fn new(at: &str, from: StringMatcher) -> Result<Self, ConfigError> {
        let ignore_case = from.ignore_case;
        let fold = |text: String| if ignore_case { text.to_ascii_lowercase() } else { text };
        let condition = match (from.exact, from.prefix, from.suffix, from.contains, from.safe_regex) {
            (Some(text), None, None, None, None) => Condition::Exact(fold(text)),
            (None, Some(text), None, None, None) => Condition::Prefix(fold(text)),
            (None, None, Some(text), None, None) => Condition::Suffix(fold(text)),
            (None, None, None, Some(text), None) => Condition::Contains(fold(text)),
            (None, None, None, None, Some(_)) if ignore_case => {
                return Err(ConfigError::new(format!("{at}.ignore_case"), "not with safe_regex; write (?i) into it"));
            }
            (None, None, None, None, Some(regex)) => {
                Condition::Regex(whole_text(&format!("{at}.safe_regex.regex"), &regex.regex)?)
            }
            _ => {
                return Err(ConfigError::new(at, "give exactly one of exact, prefix, suffix, contains and safe_regex"));
            }
        };
        let empty = matches!(&condition, Condition::Prefix(text) | Condition::Suffix(text) | Condition::Contains(text) if text.is_empty());
        if empty {
            Err(ConfigError::new(at, "empty: it would hold for everything"))
        } else {
            Ok(Self { condition, ignore_case })
        }
    }

    pub(crate) fn holds(&self, text: &str) -> bool {
        let folded;
        let text = if self.ignore_case {
            folded = text.to_ascii_lowercase();
            &folded
        } else {
            text
        };
        match &self.condition {
            Condition::Exact(exact) => text == exact,
            Condition::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Condition::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Condition::Contains(part) => text.contains(part.as_str()),
            Condition::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A regular expression for a whole text, as Envoy's `safe_regex` is. Runs in time linear in the text.
pub(crate) fn whole_text(at: &str, expression: &str) -> Result<Regex, ConfigError> {
    // The expression must stand alone before it is wrapped, or `a)|(?:b` would escape the anchors.
    Regex::new(expression)
        .and_then(|_| Regex::new(&format!(r"\A(?:{expression})\z")))
        .map_err(|error| ConfigError::new(at, format!("not a regular expression: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn build(matcher: Value) -> Result<TextMatch, ConfigError> {
        TextMatch::new("at", serde_json::from_value(matcher).unwrap())
    }

    #[test]
    fn each_condition_holds_where_it_should() {
        for (matcher, yes, no) in [
            (json!({"exact": "ab"}), "ab", "abc"),
            (json!({"prefix": "ab"}), "abc", "xab"),
            (json!({"suffix": "ab"}), "xab", "abx"),
            (json!({"contains": "ab"}), "xabx", "axb"),
            (json!({"exact": "AB", "ignore_case": true}), "aB", "abc"),
            (json!({"safe_regex": {"regex": "a|b+"}}), "bb", "ab"),
            (json!({"safe_regex": {"google_re2": {}, "regex": "(?i)ab"}}), "AB", "ABC"),
        ] {
            let compiled = build(matcher.clone()).unwrap();
            assert!(compiled.holds(yes) && !compiled.holds(no), "{matcher}");
        }
    }

    #[test]
    fn an_expression_holds_for_the_whole_text_and_can_not_leave_its_anchors() {
        let regex = whole_text("at", "/api/.*").unwrap();
        assert!(regex.is_match("/api/x") && !regex.is_match("/x/api/x") && !regex.is_match("/x\n/api/x"));
        for bad in ["a)|(?:b", "(", "(?P<x", "a{2,1}", r"(a)\1"] {
            assert!(whole_text("at", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_that_hold_for_everything_or_nothing_are_refused() {
        for bad in
            [json!({}), json!({"prefix": ""}), json!({"exact": "a", "prefix": "b"}), json!({"ignore_case": true})]
        {
            assert_eq!(build(bad.clone()).unwrap_err().path, "at", "{bad}");
        }
        assert!(build(json!({"safe_regex": {"regex": "a"}, "ignore_case": true})).is_err());
    }
}
