//! What a seal is made of: docs/audit.md has it for people who write a verifier of their own.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::store::audit_log::Record;

/// SHA-256 over a position, the seal before, and the entry there.
pub type Seal = [u8; 32];

/// What stands for the seal before position 1.
pub const GENESIS: Seal = [0; 32];

/// The place in the chain is no part of what is sealed in canonical form.
const PLACE: [&str; 3] = ["position", "previous_seal", "seal"];

/// The seal of an entry at a position.
pub fn seal(position: i64, previous: &Seal, record: &Record) -> Seal {
    let text = format!("audit-v1\n{position}\n{}\n{}", hex::encode(previous), canonical(record));
    Sha256::digest(text).into()
}

/// A seal from its 64 digits.
pub fn parse_seal(hex: &str) -> Option<Seal> {
    hex::decode(hex).ok()?.try_into().ok()
}

/// The entry as JSON in the form in which it is sealed: members sorted, no spaces, one way to write each value.
pub fn canonical(record: &Record) -> String {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        for name in PLACE {
            members.remove(name);
        }
    }
    let mut text = String::new();
    write(&value, &mut text);
    text
}

/// Members sorted by code points; texts escaped as little as JSON allows, which is what `serde_json` does.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => list(out, '[', ']', items, write),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            list(out, '{', '}', members, |(name, value), out| {
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write(value, out);
            });
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn list<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    item: impl Fn(T, &mut String),
) {
    out.push(open);
    for (index, each) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        item(each, out);
    }
    out.push(close);
}

/// Numbers that are not whole have no one way to be written, so they are kept as texts.
pub(super) fn without_fractions(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(without_fractions),
        Value::Object(members) => members.values_mut().for_each(without_fractions),
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use chrono::DateTime;
    use serde_json::json;

    pub(in crate::audit) fn record(id: i64) -> Record {
        serde_json::from_value(json!({
            "id": id, "occurred_at": "2026-01-31T12:00:00.5Z", "event": "runner.read", "outcome": "success",
            "actor": "principal", "principal_issuer": "https://idp.example.com", "principal_subject": "alice",
            "display_name": "Älice \"A\"\n", "reasons": ["a", "b"], "details": {"b": 1, "a": {"d": null, "c": [true]}},
            "transaction_id": 7,
        }))
        .unwrap()
    }

    #[test]
    fn the_canonical_form_is_the_one_of_the_documentation() {
        let expected = concat!(
            r#"{"actor":"principal","client_ip":null,"details":{"a":{"c":[true],"d":null},"b":1},"#,
            r#""display_name":"Älice \"A\"\n","event":"runner.read","id":1,"occurred_at":"2026-01-31T12:00:00.500000Z","#,
            r#""outcome":"success","policy_sha256":null,"principal_issuer":"https://idp.example.com","#,
            r#""principal_subject":"alice","reasons":["a","b"],"request_id":null,"runner_id":null,"runner_name":null,"#,
            r#""target":null,"token_sha256":null,"transaction_id":7,"user_agent":null}"#,
        );
        assert_eq!(canonical(&record(1)), expected);
    }

    #[test]
    fn a_seal_depends_on_the_entry_its_place_and_the_seal_before() {
        let one = seal(1, &GENESIS, &record(1));
        assert_ne!(one, seal(2, &GENESIS, &record(1)));
        assert_ne!(one, seal(1, &[1; 32], &record(1)));
        assert_ne!(one, seal(1, &GENESIS, &Record { occurred_at: DateTime::UNIX_EPOCH, ..record(1) }));
        let placed = Record { position: Some(1), seal: Some(hex::encode(one)), ..record(1) };
        assert_eq!(one, seal(1, &GENESIS, &placed), "what is exported with it changes nothing");
    }

    #[test]
    fn fractions_become_texts() {
        let mut value = json!({"a": [1.5, 1, u64::MAX]});
        without_fractions(&mut value);
        assert_eq!(value, json!({"a": ["1.5", 1, u64::MAX]}));
    }
}
