//! Request bodies, checked the way GitHub checks them: JSON, an object, every member of its type.

use serde_json::{Map, Value};

use super::reply::Refusal;

/// GitHub refuses these in a runner's name, and more than 64 characters.
const FORBIDDEN: &str = "\"/:<>\\|*?";
const NAME_LENGTH: usize = 64;
/// A runner has at least one and at most this many labels of its own.
const MAX_LABELS: usize = 100;

/// A body that is a JSON object.
pub(crate) struct Input(Map<String, Value>);

impl Input {
    /// An empty body is an empty object.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Refusal::new(400, "Body should be a JSON object")),
            Err(_) => Err(Refusal::new(400, "Problems parsing JSON")),
        }
    }

    fn required(&self, name: &str) -> Result<&Value, Refusal> {
        self.0.get(name).ok_or_else(|| Refusal::invalid(&format!("object is missing required key: {name}")))
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, Refusal> {
        self.required(name)?.as_str().map(str::to_owned).ok_or_else(|| wrong_type(name, "string"))
    }

    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| wrong_type(name, "string"));
        self.optional(name).map(text).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| wrong_type(name, "boolean"));
        self.optional(name).map_or(Ok(false), flag)
    }

    pub(crate) fn integer(&self, name: &str) -> Result<u64, Refusal> {
        self.required(name)?.as_u64().ok_or_else(|| wrong_type(name, "integer"))
    }

    /// 1 to 100 labels.
    pub(crate) fn labels(&self) -> Result<Vec<String>, Refusal> {
        let labels = self.texts("labels")?;
        match labels.len() {
            0 => Err(Refusal::invalid("/labels: must have at least 1 item")),
            count if count > MAX_LABELS => Err(Refusal::invalid("/labels: must have at most 100 items")),
            _ => Ok(labels),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let items = self.required(name)?.as_array().ok_or_else(|| wrong_type(name, "array"))?;
        let text = |item: &Value| item.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        items.iter().map(|item| text(item).ok_or_else(|| wrong_type(name, "array of strings"))).collect()
    }
}

fn wrong_type(name: &str, wanted: &str) -> Refusal {
    Refusal::invalid(&format!("/{name}: is not of type {wanted}"))
}

/// A runner's name as GitHub accepts it.
pub(crate) fn runner_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.chars().count() > NAME_LENGTH {
        return Err(Refusal::invalid("/name: must have 1 to 64 characters"));
    }
    if name.chars().any(|character| FORBIDDEN.contains(character)) {
        return Err(Refusal::invalid(&format!("/name: must not contain any of {FORBIDDEN}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<impl Sized, Refusal>) -> String {
        result.err().map(|refusal| refusal.message).unwrap_or_default()
    }

    #[test]
    fn types_and_missing_keys_are_told() {
        let input = Input::parse(br#"{"name": 7, "labels": ["a", 1]}"#).unwrap();
        let missing = "Invalid request. Invalid input: object is missing required key: runner_group_id";
        assert_eq!(message(input.integer("runner_group_id")), missing);
        assert!(message(input.text("name")).contains("/name"));
        assert!(message(input.labels()).contains("/labels"));
        assert_eq!(message(Input::parse(b"{")), "Problems parsing JSON");
        assert_eq!(message(Input::parse(b"[]")), "Body should be a JSON object");
    }

    #[test]
    fn one_to_a_hundred_labels() {
        for (count, fits) in [(0, false), (1, true), (100, true), (101, false)] {
            let body = serde_json::json!({"labels": vec!["a"; count]}).to_string();
            assert_eq!(Input::parse(body.as_bytes()).unwrap().labels().is_ok(), fits, "{count}");
        }
    }

    #[test]
    fn names_follow_the_rules() {
        assert!(runner_name(&"ä".repeat(64)).is_ok());
        assert!(runner_name(&"a".repeat(65)).is_err() && runner_name("").is_err());
        for forbidden in FORBIDDEN.chars() {
            assert!(runner_name(&format!("a{forbidden}b")).is_err());
        }
    }
}
