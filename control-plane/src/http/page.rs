//! The page that shows the description of the API to people.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};
use serde_json::{Map, Value};

use super::openapi::description;

/// The page has a style of its own, and nothing else that a browser could run or fetch.
const STYLE_ALONE: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    pre{background:#f4f4f4;padding:1rem;overflow:auto}h2{margin-top:3rem}code{background:#f4f4f4}\
    table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left}";

/// Shows this description to people.
#[utoipa::path(get, path = "/docs", tag = "about", security(()),
    responses((status = 200, description = "A page that needs nothing from elsewhere.", content_type = "text/html")))]
pub(super) async fn docs() -> impl IntoResponse {
    ([(CONTENT_SECURITY_POLICY, STYLE_ALONE)], page(&description()))
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
    fn the_page_needs_nothing_from_elsewhere() {
        let Html(page) = page(&description());
        for forbidden in ["<script", "src=", "http://", "@import"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("POST /api/v1/runners/provision"));
        assert_eq!(text("<a&\"b\">"), "&lt;a&amp;&quot;b&quot;&gt;");
    }
}
