//! The JSON Schema of the configuration, and whether a value is valid by it.

use anyhow::{Context as _, bail, ensure};
use authn::config::Config;
use serde_json::{Map, Value, json};

/// The schema that the configuration's types give, with every name in both spellings of proto3 JSON.
pub(crate) fn generated() -> Value {
    let mut schema = schemars::schema_for!(Config);
    schema.insert("title".into(), json!("Configuration of the OIDC filter"));
    let mut schema = schema.to_value();
    add_camel_case(&mut schema);
    schema
}

pub(crate) fn camel_case(field: &str) -> String {
    let mut upper = false;
    let letters = field.chars().filter_map(|letter| {
        let is_gap = letter == '_';
        let shown = if upper { letter.to_ascii_uppercase() } else { letter };
        upper = is_gap;
        (!is_gap).then_some(shown)
    });
    letters.collect()
}

/// Puts a second property beside each whose name has a gap, and lets either of them satisfy what is required.
fn add_camel_case(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(add_camel_case),
        Value::Object(members) => {
            members.values_mut().for_each(add_camel_case);
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                let more: Vec<_> = properties.iter().map(|(name, one)| (camel_case(name), one.clone())).collect();
                properties.extend(more);
            }
            require_either(members);
        }
        _ => {}
    }
}

fn require_either(schema: &mut Map<String, Value>) {
    let Some(Value::Array(names)) = schema.get_mut("required") else { return };
    let gaps = names.extract_if(.., |name| name.as_str().is_some_and(|name| name.contains('_')));
    let either = |name: Value| {
        let camel = camel_case(name.as_str().unwrap_or_default());
        json!({"anyOf": [{"required": [name]}, {"required": [camel]}]})
    };
    let all: Vec<Value> = gaps.map(either).collect();
    if names.is_empty() {
        schema.remove("required");
    }
    if !all.is_empty() {
        schema.insert("allOf".into(), all.into());
    }
}

/// An error unless the value is valid. Knows the keywords that the schema has, and fails on any other.
pub(crate) fn check(root: &Value, schema: &Value, value: &Value) -> anyhow::Result<()> {
    let Some(keywords) = schema.as_object() else {
        ensure!(schema == &json!(true), "nothing is valid here");
        return Ok(());
    };
    for (keyword, of) in keywords {
        keyword_holds(root, keywords, keyword, of, value).with_context(|| format!("{keyword}: {value}"))?;
    }
    Ok(())
}

fn keyword_holds(
    root: &Value,
    schema: &Map<String, Value>,
    keyword: &str,
    of: &Value,
    value: &Value,
) -> anyhow::Result<()> {
    let listed = of.as_array().map_or(std::slice::from_ref(of), Vec::as_slice);
    let valid = |schema: &&Value| check(root, schema, value).is_ok();
    match keyword {
        "$defs" | "$schema" | "title" | "description" | "default" | "format" | "properties" => {}
        "$ref" => {
            let at = of.as_str().and_then(|at| root.pointer(at.trim_start_matches('#')));
            check(root, at.with_context(|| format!("{of} leads nowhere"))?, value)?;
        }
        "type" => ensure!(listed.iter().any(|kind| is_of(value, kind)), "not {of}"),
        "enum" => ensure!(listed.contains(value), "none of {of}"),
        "const" => ensure!(value == of, "not {of}"),
        "minimum" => ensure!(value.as_f64() >= of.as_f64() || !value.is_number(), "less"),
        "anyOf" => ensure!(listed.iter().any(|one| valid(&one)), "none of them"),
        "oneOf" => ensure!(listed.iter().filter(valid).count() == 1, "not one of them"),
        "allOf" => listed.iter().try_for_each(|one| check(root, one, value))?,
        "items" => value.as_array().into_iter().flatten().try_for_each(|item| check(root, of, item))?,
        "required" => {
            let missing = listed.iter().find(|name| name.as_str().is_some_and(|name| value.get(name).is_none()));
            ensure!(missing.is_none() || !value.is_object(), "{missing:?} is missing");
        }
        "additionalProperties" => {
            for (name, member) in value.as_object().into_iter().flatten() {
                let own = schema.get("properties").and_then(|properties| properties.get(name));
                check(root, own.unwrap_or(of), member).with_context(|| name.clone())?;
            }
        }
        other => bail!("the keyword {other} is not known here"),
    }
    Ok(())
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        _ => false,
    }
}
