//! Rules: which requests must bring what.

use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::config::{self, ConfigError, RouteMatch};
use crate::path::Path;
use crate::refusal::Refusal;
use crate::requirement::Requirement;
use crate::text;

/// No claim lies deeper, since a token's JSON doesn't.
const MOST_DOTS: usize = 16;

/// One rule, its references resolved.
pub(crate) struct Rule {
    matches: PathMatch,
    pub(crate) requirement: Requirement,
    claims: Vec<(String, Value)>,
    scopes: Vec<String>,
}

struct PathMatch {
    kind: Kind,
    case_sensitive: bool,
}

enum Kind {
    Prefix(String),
    Exact(String),
    Separated(String),
    Regex(Regex),
}

impl Rule {
    pub(crate) fn new(
        at: &str,
        from: config::Rule,
        providers: &[String],
        named: &dyn Fn(&str, &str) -> Result<Requirement, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let requirement = match (from.requires, from.requirement_name) {
            (None, None) => Requirement::Nothing,
            (Some(requires), None) => Requirement::new(&format!("{at}.requires"), &requires, providers)?,
            (None, Some(name)) => named(&format!("{at}.requirement_name"), &name)?,
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(format!("{at}.requires"), "give requires or requirement_name, not both"));
            }
        };
        let claims: Vec<_> = from.required_claims.into_iter().collect();
        if requirement.is_nothing() && !(claims.is_empty() && from.required_scopes.is_empty()) {
            return Err(ConfigError::new(format!("{at}.requires"), "required claims or scopes need a required token"));
        }
        let matches = PathMatch::new(&format!("{at}.match"), from.r#match)?;
        Ok(Self { matches, requirement, claims, scopes: from.required_scopes })
    }

    /// A path with two readings is judged by the protected rules alone.
    pub(crate) fn applies(&self, path: &Path<'_>) -> bool {
        !(path.doubtful && self.requirement.can_pass_without_token()) && self.matches.holds(&path.normalised)
    }

    /// Whether it is about the path as it came, which is how jwt_authn takes it.
    pub(crate) fn names(&self, path: &Path<'_>) -> bool {
        self.matches.holds(path.raw)
    }

    /// Whether it asks for claims, and so claims must be kept.
    pub(crate) fn asks_for_claims(&self) -> bool {
        !self.claims.is_empty() || !self.scopes.is_empty()
    }

    /// Whether the verified claims are those that the rule asks for (RFC 6750 section 3.1, `insufficient_scope`).
    pub(crate) fn check(&self, claims: Option<&Map<String, Value>>) -> Result<(), Refusal> {
        if !self.asks_for_claims() {
            return Ok(());
        }
        let claims = claims.ok_or(Refusal::Missing)?;
        if !self.claims.iter().all(|(name, expected)| has_claim(claims, name, expected)) {
            return Err(Refusal::Claim);
        }
        if self.scopes.iter().all(|scope| has_scope(claims, scope)) { Ok(()) } else { Err(Refusal::Scope) }
    }
}

fn has_claim(claims: &Map<String, Value>, name: &str, expected: &Value) -> bool {
    match claim(claims, name) {
        Some(Value::Array(members)) => members.contains(expected) || expected.as_array() == Some(members),
        Some(value) => value == expected,
        None => false,
    }
}

/// RFC 8693 section 4.2 `scope` (space-delimited); `scp` is what Entra ID and Okta send.
fn has_scope(claims: &Map<String, Value>, scope: &str) -> bool {
    ["scope", "scp"].into_iter().any(|name| match claims.get(name) {
        Some(Value::String(list)) => list.split(' ').any(|one| one == scope),
        Some(Value::Array(list)) => list.iter().any(|one| one == scope),
        _ => false,
    })
}

/// The claim of this name, or the one to which the dots in the name lead. A name that itself has dots, such as
/// `kubernetes.io`, may stand at any level; the longest name wins.
pub(crate) fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let dots = name.rmatch_indices('.').take(MOST_DOTS);
        dots.filter_map(|(at, _)| Some((name.get(..at)?, name.get(at.saturating_add(1)..)?)))
            .find_map(|(outer, inner)| claim(claims.get(outer)?.as_object()?, inner))
    })
}

/// The claim to which these names lead, each to the letter.
pub(crate) fn claim_at<'c>(claims: &'c Map<String, Value>, path: &[config::PathSegment]) -> Option<&'c Value> {
    let (first, deeper) = path.split_first()?;
    deeper.iter().try_fold(claims.get(&first.key)?, |found, segment| found.as_object()?.get(&segment.key))
}

impl PathMatch {
    fn new(at: &str, from: RouteMatch) -> Result<Self, ConfigError> {
        let case_sensitive = from.case_sensitive.unwrap_or(true);
        let fold = |text: String| if case_sensitive { text } else { text.to_ascii_lowercase() };
        let kind = match (from.prefix, from.path, from.safe_regex, from.path_separated_prefix) {
            (Some(prefix), None, None, None) => Kind::Prefix(fold(absolute(&format!("{at}.prefix"), prefix)?)),
            (None, Some(path), None, None) => Kind::Exact(fold(absolute(&format!("{at}.path"), path)?)),
            (None, None, Some(regex), None) => {
                Kind::Regex(text::whole_text(&format!("{at}.safe_regex"), &regex.regex)?)
            }
            (None, None, None, Some(prefix)) => {
                let field = format!("{at}.path_separated_prefix");
                let prefix = absolute(&field, prefix)?;
                if prefix.ends_with('/') {
                    return Err(ConfigError::new(field, "without the slash at the end"));
                }
                Kind::Separated(fold(prefix))
            }
            _ => {
                let problem = "give exactly one of prefix, path, safe_regex and path_separated_prefix";
                return Err(ConfigError::new(at, problem));
            }
        };
        Ok(Self { kind, case_sensitive })
    }

    fn holds(&self, path: &str) -> bool {
        let folded;
        let text = if self.case_sensitive {
            path
        } else {
            folded = path.to_ascii_lowercase();
            &folded
        };
        match &self.kind {
            Kind::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Kind::Exact(exact) => text == exact,
            Kind::Separated(prefix) => {
                text.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Kind::Regex(regex) => regex.is_match(path),
        }
    }
}

/// A configured path in the form in which requests' paths are compared.
fn absolute(at: &str, path: String) -> Result<String, ConfigError> {
    match Path::parse(path.as_bytes()) {
        Some(parsed) if !parsed.doubtful && parsed.normalised == path => Ok(path),
        Some(parsed) if !parsed.doubtful => {
            Err(ConfigError::new(at, format!("compared after decoding; write {:?}", parsed.normalised)))
        }
        _ => Err(ConfigError::new(at, "not a plain absolute path, such as /api/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(from: Value, path: &str) -> bool {
        PathMatch::new("at", serde_json::from_value(from).unwrap()).unwrap().holds(path)
    }

    #[test]
    fn paths_match_as_in_envoy() {
        for (from, yes, no) in [
            (json!({"prefix": "/api"}), "/apix", "/ap"),
            (json!({"path": "/api"}), "/api", "/api/"),
            (json!({"path_separated_prefix": "/api"}), "/api/x", "/apix"),
            (json!({"path_separated_prefix": "/api"}), "/api", "/API"),
            (json!({"safe_regex": {"regex": "/api/v[0-9]+/.*"}}), "/api/v12/x", "/x/api/v1/x"),
            (json!({"prefix": "/Api", "case_sensitive": false}), "/aPI/x", "/x"),
        ] {
            assert!(matches(from.clone(), yes) && !matches(from.clone(), no), "{from}");
        }
    }

    #[test]
    fn a_path_that_could_never_match_is_refused() {
        for (from, at) in [
            (json!({"prefix": "api"}), "at.prefix"),
            (json!({"prefix": "/a/../b"}), "at.prefix"),
            (json!({"path": "/a%20b"}), "at.path"),
            (json!({"path": "/a?b=c"}), "at.path"),
            (json!({"path_separated_prefix": "/a/"}), "at.path_separated_prefix"),
            (json!({"safe_regex": {"regex": "("}}), "at.safe_regex"),
            (json!({}), "at"),
            (json!({"prefix": "/", "path": "/"}), "at"),
        ] {
            assert_eq!(PathMatch::new("at", serde_json::from_value(from).unwrap()).err().unwrap().path, at);
        }
    }

    #[test]
    fn claims_are_found_by_name_and_by_dotted_path() {
        let claims = json!({"a": {"b": {"c": 1}}, "a.b": 2, "https://x.example/roles": [3]});
        let claims = claims.as_object().unwrap();
        assert_eq!(claim(claims, "a.b"), Some(&json!(2)));
        assert_eq!(claim(claims, "a.b.c"), Some(&json!(1)));
        assert_eq!(claim(claims, "https://x.example/roles"), Some(&json!([3])));
        assert_eq!(claim(claims, "a.x"), None);
        let pod = json!({"kubernetes.io": {"serviceaccount": {"uid": "u"}}});
        assert_eq!(claim(pod.as_object().unwrap(), "kubernetes.io.serviceaccount.uid"), Some(&json!("u")));
    }

    #[test]
    fn a_path_leads_to_a_claim_by_whole_names() {
        let claims = json!({"a": {"b.c": 1, "b": {"c": 2}}, "a.b": 3});
        let at = |names: &[&str]| {
            let path: Vec<_> = names.iter().map(|name| config::PathSegment { key: (*name).into() }).collect();
            claim_at(claims.as_object().unwrap(), &path).cloned()
        };
        assert_eq!([at(&["a", "b.c"]), at(&["a", "b", "c"]), at(&["a.b"])], [1, 2, 3].map(|n| Some(json!(n))));
        assert_eq!([at(&[]), at(&["a.b", "c"]), at(&["b"]), at(&["a", "b", "c", "d"])], [(); 4].map(|()| None));
    }

    #[test]
    fn claims_hold_by_equality_or_membership() {
        let claims = json!({"groups": ["a", "b"], "n": 1, "s": "x"});
        let claims = claims.as_object().unwrap();
        for (name, expected) in
            [("groups", json!("a")), ("groups", json!(["a", "b"])), ("n", json!(1)), ("s", json!("x"))]
        {
            assert!(has_claim(claims, name, &expected), "{name} {expected}");
        }
        for (name, expected) in [("groups", json!("c")), ("n", json!("1")), ("s", json!(["x"])), ("z", json!(null))] {
            assert!(!has_claim(claims, name, &expected), "{name} {expected}");
        }
    }

    #[test]
    fn scopes_come_as_text_or_list_and_match_whole() {
        for claims in
            [json!({"scope": "a runners:write"}), json!({"scp": "runners:write"}), json!({"scp": ["runners:write"]})]
        {
            assert!(has_scope(claims.as_object().unwrap(), "runners:write"), "{claims}");
        }
        for claims in [json!({"scope": "runners:write2 x"}), json!({"scope": 7}), json!({})] {
            assert!(!has_scope(claims.as_object().unwrap(), "runners:write"), "{claims}");
        }
    }
}
