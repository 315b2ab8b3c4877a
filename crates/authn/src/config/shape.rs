//! What proto3 JSON refuses and serde lets pass: a list in the place of a message, whose members it would fill in
//! order, and two members of one name in a map.

use serde_json::{Map, Value};

use super::ConfigError;
use super::unsupported::snake_case;
use crate::json;

/// Requirements nest 8 deep, with three levels of JSON each.
const MAX_DEPTH: usize = 64;
/// The fields that hold lists.
const LISTS: [&str; 12] = [
    "accepted_types",
    "allowed_algorithms",
    "audiences",
    "claim_path",
    "claim_to_headers",
    "claims",
    "from_cookies",
    "from_headers",
    "from_params",
    "required_scopes",
    "requirements",
    "rules",
];
/// The fields that hold messages under names of one's own.
const MAPS: [&str; 2] = ["providers", "requirement_map"];
/// The field that holds any JSON at all.
const FREE: &str = "required_claims";

/// Whether every value is of the form that its place has.
pub(super) fn check(json: &[u8]) -> Result<(), ConfigError> {
    let config = json::object_within(json, MAX_DEPTH)
        .ok_or_else(|| ConfigError::new(".", "not an object, or one with two members of one name"))?;
    fields("", &config)
}

fn fields(at: &str, message: &Map<String, Value>) -> Result<(), ConfigError> {
    for (name, value) in message {
        let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let field = snake_case(name);
        match value {
            Value::Array(items) if LISTS.contains(&field.as_str()) => {
                for (index, item) in items.iter().enumerate() {
                    value_at(&format!("{at}[{index}]"), item)?;
                }
            }
            Value::Object(messages) if MAPS.contains(&field.as_str()) => {
                for (name, message) in messages {
                    value_at(&format!("{at}.{name}"), message)?;
                }
            }
            _ if field == FREE => {}
            value => value_at(&at, value)?,
        }
    }
    Ok(())
}

/// A message or a plain value.
fn value_at(at: &str, value: &Value) -> Result<(), ConfigError> {
    match value {
        Value::Object(message) => fields(at, message),
        Value::Array(_) => Err(ConfigError::new(at, "a list where none belongs")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn a_list_in_the_place_of_a_message_is_refused() {
        for (path, json) in [
            (".", "[]"),
            ("identity", r#"{"identity":[]}"#),
            ("rules[0].requires", r#"{"rules":[{"match":{"prefix":"/"},"requires":[]}]}"#),
            ("rules[0].match", r#"{"rules":[{"match":["/"]}]}"#),
            ("rules[0]", r#"{"rules":[[{"prefix":"/"}]]}"#),
            ("requirementMap.rules", r#"{"requirementMap":{"rules":[]}}"#),
            ("providers.p.jwt_cache_config", r#"{"providers":{"p":{"issuer":"i","jwt_cache_config":[7]}}}"#),
        ] {
            assert_eq!(Config::parse(json.as_bytes()).unwrap_err().path, path, "{json}");
        }
        assert!(Config::parse(br#"{"rules":[{"match":{"prefix":"/"},"required_claims":{"a":[["b"]]}}]}"#).is_ok());
    }

    /// Or one of two providers would be the one that counts, and nobody could say which was meant.
    #[test]
    fn two_members_of_one_name_are_refused() {
        for json in [
            r#"{"providers":{"p":{"issuer":"a"},"p":{"issuer":"b"}}}"#,
            r#"{"requirement_map":{"r":{"provider_name":"p"},"\u0072":{}}}"#,
            r#"{"rules":[{"match":{"prefix":"/"},"required_claims":{"a":1,"a":2}}]}"#,
        ] {
            assert!(Config::parse(json.as_bytes()).unwrap_err().problem.contains("two members of one name"), "{json}");
        }
    }
}
