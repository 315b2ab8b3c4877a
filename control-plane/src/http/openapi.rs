//! The description of the API, generated from the types and handlers that serve it.

use axum::Json;
use serde_json::{Value, json};
use utoipa::OpenApi as _;

use super::catalogue::named;
use super::problems::problems_of;
use super::{admin, health, me, page, runners, webhooks};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Runner Token Service",
        description = "Registers GitHub Actions self-hosted runners for whoever proves who they are. Send an OIDC \
            token as `Authorization: Bearer …`. Errors are RFC 9457 problems; docs/errors.md lists their types.",
        license(name = "MIT")
    ),
    paths(
        me::me,
        runners::provision, runners::list, runners::read, runners::refresh, runners::deprovision,
        admin::status, admin::history, admin::runners, admin::unmanaged, admin::sync, admin::cleanup, admin::explain,
        admin::audit_log,
        admin::principals,
        admin::revoke,
        admin::restore,
        webhooks::receive, health::health, health::live, health::ready, document, page::docs,
    ),
    components(schemas(ProblemBody)),
    security(("bearer" = []))
)]
struct Described;

/// A problem (RFC 9457).
#[derive(utoipa::ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/runner-busy", "title": "Runner busy", "status": 409,
    "detail": "The runner is running a job. Repeat when the job has ended.",
    "request_id": "0193b1c2-7d5e-7000-8000-5a1f0c9e2b44"
}))]
#[expect(dead_code, reason = "only described; `Problem::body` writes it")]
pub(super) struct ProblemBody {
    /// Stable: what programs decide by.
    #[schema(rename = "type")]
    kind: String,
    /// The same for every problem of the type.
    title: String,
    /// The answer's status.
    status: u16,
    /// What to do about it, for people.
    detail: String,
    /// Under which the service's log has the cause.
    request_id: String,
}

/// The description as JSON.
pub fn description() -> Value {
    let mut document = json!(Described::openapi());
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert(
            "securitySchemes".to_owned(),
            json!({"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}),
        );
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            add_problems(path, operation);
            if method == "get" && operation.get("security").is_none() {
                add_validator(operation);
            }
        }
    }
    document
}

/// Tells each problem that an operation may answer with, by its status.
fn add_problems(path: &str, operation: &mut Value) {
    let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for slug in problems_of(path, &name) {
        let kind = named(slug);
        let response = responses.entry(kind.status.to_string()).or_insert_with(|| {
            let schema = json!({"$ref": "#/components/schemas/Problem"});
            json!({"description": "", "content": {"application/problem+json": {"schema": schema, "examples": {}}}})
        });
        if let Some(Value::String(description)) = response.get_mut("description") {
            let before = if description.is_empty() { String::new() } else { format!("{description}; ") };
            *description = format!("{before}`/problems/{slug}`: {}", kind.title);
        }
        let examples = response.pointer_mut("/content/application~1problem+json/examples");
        if let Some(examples) = examples.and_then(Value::as_object_mut) {
            let kind_of = format!("/problems/{slug}");
            let example = json!({"type": kind_of, "title": kind.title, "status": kind.status});
            examples.insert(slug.to_owned(), json!({"value": example}));
        }
    }
}

/// Tells that what needs a token and only reads has an `ETag`.
fn add_validator(operation: &mut Value) {
    let Some(operation) = operation.as_object_mut() else { return };
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.push(json!({
            "name": "If-None-Match", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "The `ETag` of an answer that you have still"
        }));
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        responses.insert("304".to_owned(), json!({"description": "The answer that you have still is the newest"}));
        let tag =
            json!({"ETag": {"description": "Another one if the answer is another", "schema": {"type": "string"}}});
        if let Some(answer) = responses.get_mut("200").and_then(Value::as_object_mut) {
            answer.insert("headers".to_owned(), tag);
        }
    }
}

/// Describes this API to programs.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "about", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, example = json!({"openapi": "3.1.0"}))))]
pub(super) async fn document() -> Json<Value> {
    Json(description())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::PROBLEM_TYPES;
    use std::collections::BTreeSet;

    /// Where routes are made, and below which path.
    const SOURCES: [(&str, &str); 2] = [("", include_str!("mod.rs")), ("/api/v1/admin", include_str!("admin/mod.rs"))];

    fn operations() -> Vec<(String, Value)> {
        let document = description();
        let paths = document["paths"].as_object().unwrap().clone();
        let of_path = |(path, methods): (String, Value)| {
            let methods = methods.as_object().unwrap().clone();
            methods.into_iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
        };
        paths.into_iter().flat_map(of_path).collect()
    }

    #[test]
    fn the_file_in_docs_is_what_is_served() {
        let served = format!("{:#}\n", description());
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(file, &served).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap();
        assert!(
            kept == served,
            "run UPDATE_OPENAPI=1 cargo test -p control-plane --lib openapi and commit docs/openapi.json"
        );
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let routes_of = |(below, source): (&str, &'static str)| {
            let paths = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
            paths.map(|path| format!("{below}{path}")).collect::<Vec<_>>()
        };
        let routes: BTreeSet<String> = SOURCES.into_iter().flat_map(routes_of).collect();
        let document = description();
        let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(routes, described);
    }

    #[test]
    fn every_operation_has_examples_and_its_problems() {
        for (name, operation) in operations() {
            let answers = operation["responses"].as_object().unwrap();
            let problem = |answer: &Value| answer.pointer("/content/application~1problem+json/schema").is_some();
            assert!(answers.values().any(problem), "{name}");
            let example = |answer: &Value| answer.pointer("/content/application~1json/example").is_some();
            assert!(answers.values().any(example) || name == "get /docs", "{name}");
        }
    }

    #[test]
    fn every_problem_is_one_of_some_operation() {
        let told: BTreeSet<String> = operations()
            .iter()
            .flat_map(|(_, operation)| operation["responses"].as_object().unwrap().clone())
            .filter_map(|(_, answer)| answer.pointer("/content/application~1problem+json/examples").cloned())
            .flat_map(|examples| examples.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
            .collect();
        // No operation has these: they are of paths and methods that there are not.
        let of_none = ["method-not-allowed"];
        let listed: BTreeSet<String> = PROBLEM_TYPES
            .iter()
            .map(|each| each.slug.to_owned())
            .filter(|slug| !of_none.contains(&slug.as_str()))
            .collect();
        assert_eq!(told, listed);
    }
}
