//! The description of the API, generated from the types and handlers that serve it, and a page that shows it.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use super::{admin, runners};

/// The page has a style of its own, and nothing else that a browser could run or fetch.
const STYLE_ALONE: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    pre{background:#f4f4f4;padding:1rem;overflow:auto}h2{margin-top:3rem}code{background:#f4f4f4}\
    table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left}";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Runner Token Service",
        description = "Registers GitHub Actions self-hosted runners for whoever proves who they are. Send an OIDC \
            token as `Authorization: Bearer …`. Errors are RFC 9457 problems; docs/errors.md lists their types.",
        license(name = "MIT")
    ),
    paths(
        runners::provision, runners::list, runners::read, runners::refresh, runners::deprovision,
        admin::runners, admin::unmanaged, admin::sync, admin::cleanup, admin::explain,
        admin::principals,
        admin::revoke,
        admin::restore,
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
    document
}

/// Its routes; both are open to everybody, for they say nothing about anybody.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/api/v1/openapi.json", get(|| async { Json(description()) })).route(
        "/docs",
        get(|| async { ([(CONTENT_SECURITY_POLICY, STYLE_ALONE)], page(&description())).into_response() }),
    )
}

fn page(document: &Value) -> Html<String> {
    let info = |name: &str| escaped(document.pointer(&format!("/info/{name}")));
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
        <h1>{title}</h1><p>{text}</p><p>Version {version}. For programs: <a href=\"/api/v1/openapi.json\">openapi.json</a></p>",
        title = info("title"),
        text = info("description"),
        version = info("version"),
    );
    let nothing = Map::new();
    let paths = document.get("paths").and_then(Value::as_object).unwrap_or(&nothing);
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap_or(&nothing) {
            html.push_str(&operation_html(path, method, operation));
        }
    }
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object).unwrap_or(&nothing);
    html.push_str("<h2>Types</h2>");
    for (name, schema) in schemas {
        html.extend([format!("<h3>{}</h3>{}", text(name), pre(schema))]);
    }
    html.push_str("</html>");
    Html(html)
}

fn operation_html(path: &str, method: &str, operation: &Value) -> String {
    let member = |name: &str| escaped(operation.get(name));
    let mut html = format!(
        "<h2><code>{} {}</code></h2><p><strong>{}</strong> {}</p>",
        text(&method.to_uppercase()),
        text(path),
        member("summary"),
        member("description"),
    );
    let rows = |pointer: &str| operation.get(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let parameters = rows("parameters");
    if !parameters.is_empty() {
        html.push_str("<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>");
        for each in &parameters {
            let cell = |name: &str| escaped(each.get(name));
            html.extend([format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                cell("name"),
                cell("in"),
                cell("description")
            )]);
        }
        html.push_str("</table>");
    }
    if let Some(example) = operation.pointer("/requestBody/content/application~1json/example") {
        html.extend([format!("<p>Body:</p>{}", pre(example))]);
    }
    let nothing = Map::new();
    for (status, answer) in operation.get("responses").and_then(Value::as_object).unwrap_or(&nothing) {
        html.extend([format!("<p>{}: {}</p>", text(status), escaped(answer.get("description")))]);
        if let Some(example) = answer.pointer("/content/application~1json/example") {
            html.push_str(&pre(example));
        }
    }
    html
}

fn pre(value: &Value) -> String {
    format!("<pre>{}</pre>", text(&format!("{value:#}")))
}

fn escaped(value: Option<&Value>) -> String {
    text(value.and_then(Value::as_str).unwrap_or_default())
}

fn text(raw: &str) -> String {
    raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_docs_is_what_is_served() {
        let served = format!("{:#}\n", description());
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json"), &served).unwrap();
        }
        let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json")).unwrap();
        assert!(
            kept == served,
            "run UPDATE_OPENAPI=1 cargo test -p control-plane --lib openapi and commit docs/openapi.json"
        );
    }

    #[test]
    fn every_operation_has_examples_and_its_problems() {
        let document = description();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 12);
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().unwrap() {
                let problem = operation.pointer("/responses/default/content/application~1problem+json/schema");
                assert!(problem.is_some(), "{method} {path}");
                let answers = operation["responses"].as_object().unwrap();
                let example = |answer: &Value| answer.pointer("/content/application~1json/example").is_some();
                assert!(answers.values().any(example), "{method} {path}");
            }
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let Html(page) = page(&description());
        for forbidden in ["<script", "src=", "http://", "@import"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("POST /api/v1/runners/provision"));
        assert_eq!(text("<a&\"b\">"), "&lt;a&amp;&quot;b&quot;&gt;");
    }
}
