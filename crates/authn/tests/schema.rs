//! The shipped JSON Schema is the one that the configuration's types give. `UPDATE=1` writes it anew.
#![cfg(feature = "schema")]

use std::fs;
use std::path::Path;

use authn::config::Config;
use serde_json::{Value, json};

fn generated() -> Value {
    let mut schema = schemars::schema_for!(Config);
    schema.insert("title".into(), json!("Configuration of the OIDC filter"));
    schema.to_value()
}

#[test]
fn the_shipped_schema_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/filter.schema.json");
    let generated = generated();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{generated:#}\n")).unwrap();
    }
    let shipped: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(shipped == generated, "docs/filter.schema.json is old; run: UPDATE=1 cargo test -p authn --test schema");
}

/// Every object says what it may hold, so that an editor finds a mistyped name as the filter does.
#[test]
fn every_object_is_closed() {
    let schema = generated();
    let types: Vec<_> = schema["$defs"].as_object().unwrap().values().chain([&schema]).collect();
    let objects: Vec<_> = types.into_iter().filter(|schema| schema["type"] == "object").collect();
    assert!(objects.len() > 20);
    for object in objects {
        assert_eq!(object["additionalProperties"], json!(false), "{object}");
    }
}
