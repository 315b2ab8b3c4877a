//! The fake's word, checked: every answer, every request that it takes and every delivery must fit `schemas.json`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::Context as _;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::faults::Endpoint;
use super::reply::Reply;

static SCHEMAS: LazyLock<Result<Schemas, String>> =
    LazyLock::new(|| Schemas::read(include_str!("schemas.json")).map_err(|error| format!("schemas.json: {error:#}")));

struct Schemas {
    answers: BTreeMap<String, Validator>,
    requests: BTreeMap<String, Validator>,
    deliveries: BTreeMap<String, Validator>,
}

impl Schemas {
    fn read(text: &str) -> anyhow::Result<Self> {
        let document: Value = serde_json::from_str(text)?;
        let group = |name: &str| -> anyhow::Result<BTreeMap<String, Validator>> {
            let schemas = document.get(name).and_then(Value::as_object).with_context(|| format!("no {name}"))?;
            let build = |(key, schema): (&String, &Value)| {
                let whole = json!({"$defs": document.get("$defs"), "allOf": [schema]});
                let validator = jsonschema::draft202012::new(&whole);
                Ok((key.clone(), validator.map_err(|error| anyhow::anyhow!("{name}/{key}: {error}"))?))
            };
            schemas.iter().map(build).collect()
        };
        Ok(Self { answers: group("answers")?, requests: group("requests")?, deliveries: group("deliveries")? })
    }
}

/// What is wrong with an answer, or with having taken the request that it is for.
pub(crate) fn exchange(endpoint: Endpoint, request: &[u8], reply: &Reply) -> Result<(), String> {
    let schemas = SCHEMAS.as_ref().map_err(Clone::clone)?;
    let name = name(endpoint);
    if reply.status >= 400 {
        return fit("a refusal", schemas.answers.get("refusal"), reply.body.as_ref());
    }
    match (reply.status, &reply.body) {
        (204, None) => {}
        (_, body) => fit(&format!("an answer of {name}"), schemas.answers.get(&name), body.as_ref())?,
    }
    if request.is_empty() {
        return Ok(());
    }
    let request: Value = serde_json::from_slice(request).unwrap_or(Value::Null);
    if request == Value::Object(Map::new()) && name != "jit_config" {
        return Ok(());
    }
    fit(&format!("a request of {name}, which was taken,"), schemas.requests.get(&name), Some(&request))
}

/// What is wrong with a delivery.
pub(crate) fn delivery(event: &str, payload: &Value) -> Result<(), String> {
    let schemas = SCHEMAS.as_ref().map_err(Clone::clone)?;
    fit(&format!("a delivery of {event}"), schemas.deliveries.get(event), Some(payload))
}

/// The endpoint as the calls show it.
fn name(endpoint: Endpoint) -> String {
    json!(endpoint).as_str().unwrap_or_default().to_owned()
}

fn fit(what: &str, schema: Option<&Validator>, value: Option<&Value>) -> Result<(), String> {
    let schema = schema.ok_or_else(|| format!("{what} has no schema"))?;
    let value = value.ok_or_else(|| format!("{what} has no body"))?;
    let wrong: Vec<String> =
        schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("{what} does not fit its schema: {}", wrong.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::Delivery;

    #[test]
    fn what_github_would_not_say_is_found() {
        let runner = json!({"id": 1, "name": "a", "os": "Linux", "status": "online", "busy": false, "labels": []});
        let answer = |body: Value| exchange(Endpoint::GetRunner, b"", &Reply::new(200, body));
        assert_eq!(answer(runner.clone()), Ok(()));
        for (member, value) in
            [("id", json!("1")), ("status", json!("gone")), ("busy", Value::Null), ("secret", json!(1))]
        {
            let mut odd = runner.clone();
            odd[member] = value;
            assert!(answer(odd).unwrap_err().contains("does not fit"), "{member}");
        }
        assert!(exchange(Endpoint::GetRunner, b"", &Reply::empty(200)).unwrap_err().contains("no body"));
        assert!(exchange(Endpoint::Unknown, b"", &Reply::new(200, runner)).unwrap_err().contains("no schema"));
        assert!(exchange(Endpoint::GetRunner, b"", &Reply::new(404, json!({"error": "x"}))).is_err());
        assert_eq!(exchange(Endpoint::DeleteRunner, b"", &Reply::empty(204)), Ok(()));
    }

    #[test]
    fn a_request_that_github_would_refuse_must_not_have_been_taken() {
        let token = Reply::new(201, json!({"token": "x", "expires_at": "2026-01-01T00:00:00.000+00:00"}));
        assert_eq!(exchange(Endpoint::RegistrationToken, b"", &token), Ok(()));
        assert!(exchange(Endpoint::RegistrationToken, br#"{"name": "a"}"#, &token).unwrap_err().contains("no schema"));
        let labels = Reply::new(200, json!({"total_count": 0, "labels": []}));
        assert!(exchange(Endpoint::RunnerLabels, br#"{"labels": [1]}"#, &labels).unwrap_err().contains("was taken"));
        let refused = Reply::from(crate::github::reply::Refusal::not_found());
        assert_eq!(exchange(Endpoint::JitConfig, b"[", &refused), Ok(()), "refused it may be anything");
    }

    #[test]
    fn deliveries_fit_in_every_action_with_and_without_a_runner() {
        for action in ["queued", "waiting", "in_progress", "completed"] {
            for runner in [None, Some((7, "a"))] {
                let delivery = Delivery::job(action, "acme", runner);
                let payload: Value = serde_json::from_str(&delivery.body).unwrap();
                assert_eq!(super::delivery(&delivery.event, &payload), Ok(()), "{action}");
            }
        }
        assert!(super::delivery("workflow_job", &json!({"action": "queued"})).is_err());
        assert!(super::delivery("push", &json!({})).unwrap_err().contains("no schema"));
    }
}
