//! What a rule asks of a claim.

use identity::Identity;
use serde_json::Value;

use super::glob::Glob;

/// A claim's name, or where it is inside of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimPath {
    /// As the policy writes it.
    text: String,
    /// The claim.
    name: String,
    /// A JSON Pointer (RFC 6901) into it; empty for the claim itself.
    inside: String,
}

impl ClaimPath {
    /// `name`, or a JSON Pointer such as `/kubernetes.io/namespace`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(pointer) = text.strip_prefix('/') else {
            if text.is_empty() {
                return Err("a claim's name must not be empty".to_owned());
            }
            return Ok(Self { text: text.to_owned(), name: text.to_owned(), inside: String::new() });
        };
        let (name, inside) = pointer.split_once('/').map_or((pointer, None), |(name, rest)| (name, Some(rest)));
        if name.is_empty() {
            return Err(format!("{text:?} is no JSON Pointer to a claim"));
        }
        Ok(Self {
            text: text.to_owned(),
            name: name.replace("~1", "/").replace("~0", "~"),
            inside: inside.map(|rest| format!("/{rest}")).unwrap_or_default(),
        })
    }

    /// As the policy writes it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The texts at this place: one of a text, a whole number or a truth value; several of a list; none of anything
    /// else. `sub` is the subject that the edge vouches for, whatever the forwarded claims say.
    pub(super) fn texts(&self, identity: &Identity) -> Vec<String> {
        if self.name == "sub" && self.inside.is_empty() {
            return vec![identity.principal.subject.clone()];
        }
        match identity.claims.get(&self.name).and_then(|claim| claim.pointer(&self.inside)) {
            Some(Value::Array(members)) => members.iter().filter_map(scalar).collect(),
            Some(value) => scalar(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The text at this place, if it is exactly one and not a member of a list.
    pub(super) fn text(&self, identity: &Identity) -> Option<String> {
        if self.name == "sub" && self.inside.is_empty() {
            return Some(identity.principal.subject.clone());
        }
        identity.claims.get(&self.name).and_then(|claim| claim.pointer(&self.inside)).and_then(scalar)
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// What one of the texts must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// This, to the byte.
    Exact(String),
    /// One of these, to the byte.
    OneOf(Vec<String>),
    /// Something that fits this.
    Like(Glob, String),
}

impl Condition {
    pub(super) fn holds(&self, texts: &[String]) -> bool {
        texts.iter().any(|text| match self {
            Self::Exact(wanted) => text == wanted,
            Self::OneOf(wanted) => wanted.contains(text),
            Self::Like(glob, _) => glob.matches(text),
        })
    }

    /// What everything begins with that fulfils it.
    pub(super) fn beginnings(&self) -> Vec<&str> {
        match self {
            Self::Exact(wanted) => vec![wanted],
            Self::OneOf(wanted) => wanted.iter().map(String::as_str).collect(),
            Self::Like(glob, _) => vec![glob.prefix()],
        }
    }

    /// To be read after "must be".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Exact(wanted) => format!("{wanted:?}"),
            Self::OneOf(wanted) => format!("one of {wanted:?}"),
            Self::Like(_, pattern) => format!("like {pattern:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::Principal;
    use serde_json::json;

    fn caller() -> Identity {
        let claims = json!({
            "sub": "forged", "groups": ["a", "b", 7, null, ["x"]], "n": 12, "f": 1.5, "yes": true, "empty": [],
            "kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "s"}}, "a/b": {"~": "tilde"},
        });
        let principal = Principal { issuer: "https://idp.example.com".into(), subject: "real".into() };
        let claims = claims.as_object().unwrap().clone();
        Identity { principal, name: "a".into(), claims, token_sha256: String::new() }
    }

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        for (path, expected) in [
            ("groups", &["a", "b", "7"][..]),
            ("n", &["12"]),
            ("yes", &["true"]),
            ("f", &[]),
            ("empty", &[]),
            ("missing", &[]),
            ("kubernetes.io", &[]),
            ("/kubernetes.io/namespace", &["ci"]),
            ("/kubernetes.io/serviceaccount/name", &["s"]),
            ("/a~1b/~0", &["tilde"]),
            ("sub", &["real"]),
            ("/sub", &["real"]),
        ] {
            assert_eq!(ClaimPath::parse(path).unwrap().texts(&caller()), expected, "{path}");
        }
        assert!(ClaimPath::parse("").is_err() && ClaimPath::parse("/").is_err());
    }

    #[test]
    fn a_list_is_no_single_text() {
        assert_eq!(ClaimPath::parse("groups").unwrap().text(&caller()), None);
        assert_eq!(ClaimPath::parse("n").unwrap().text(&caller()), Some("12".to_owned()));
    }

    #[test]
    fn look_alikes_case_and_white_space_are_other_texts() {
        let condition = Condition::Exact("acme".into());
        for other in ["Acme", "acme ", " acme", "\u{430}cme", "acme\u{200b}", "acme\n"] {
            assert!(!condition.holds(&[other.to_owned()]), "{other:?}");
        }
        assert!(condition.holds(&["x".to_owned(), "acme".to_owned()]));
    }
}
