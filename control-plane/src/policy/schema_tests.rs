//! The shipped JSON Schema says what the code says, of every example there is. `UPDATE=1` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Policy, schema};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// The YAML examples of the page.
fn examples() -> Vec<String> {
    let page = fs::read_to_string(docs("policy.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

/// The example of the page that has this in it.
pub(super) fn example(with: &str) -> String {
    examples().into_iter().find(|example| example.contains(with)).unwrap_or_else(|| panic!("no example has {with}"))
}

fn is_valid(text: &str) -> bool {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    serde_saphyr::from_str::<Value>(text).is_ok_and(|value| validator.is_valid(&value))
}

#[test]
fn the_shipped_schema_is_up_to_date() {
    let generated = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(docs("policy.schema.json"), &generated).unwrap();
    }
    let shipped = fs::read_to_string(docs("policy.schema.json")).unwrap();
    assert!(shipped == generated, "it is old; run: UPDATE=1 cargo test -p control-plane --lib schema_tests");
}

#[test]
fn every_example_of_the_page_is_in_order_by_the_code_and_by_the_schema() {
    let examples = examples();
    assert!(examples.len() >= 7, "{}", examples.len());
    for example in examples {
        Policy::parse(example.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{example}"));
        assert!(is_valid(&example), "{example}");
    }
}

#[test]
fn the_schema_finds_what_an_editor_should_mark() {
    let good = &examples()[0];
    for (from, to) in [
        ("version: 1", "version: 2"),
        ("version: 1\n", ""),
        ("iss:", "issuer:"),
        ("      iss: https://token.actions.githubusercontent.com\n", ""),
        ("\n        repository_owner_id: \"1234\"", " {}"),
        ("\"1234\"", "{glob: \"*\"}"),
        ("\"1234\"", "{in: []}"),
        ("\"1234\"", "1.5"),
        ("targets:", "target:"),
        ("modes: [jit]", "modes: []"),
        ("modes: [jit]", "modes: [token]"),
        ("active: 20", "active: 0"),
        ("name_prefix: acme-", "name_prefix: \"\""),
        ("    grant:", "    owner: \"two words\"\n    grant:"),
        ("    grant:", "    enforced: false\n    grant:"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert!(!is_valid(&bad), "{from:?} {to:?}");
        assert!(Policy::parse(bad.as_bytes()).is_err(), "{from:?} {to:?}");
    }
}

/// Every object says what it may hold, so that an editor finds a mistyped name.
#[test]
fn every_object_of_the_schema_is_closed() {
    let schema = schema();
    let types: Vec<_> = schema["$defs"].as_object().unwrap().values().chain([&schema]).collect();
    let objects: Vec<_> = types.into_iter().filter(|schema| schema["type"] == "object").collect();
    assert!(objects.len() >= 7, "{}", objects.len());
    for object in objects {
        assert_eq!(object["additionalProperties"], false, "{object}");
    }
}
