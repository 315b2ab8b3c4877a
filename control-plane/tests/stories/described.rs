//! Whatever problem a story meets, the description of the API must tell of it.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(control_plane::http::description);

/// The operation that a request is for, if there is one.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = DESCRIPTION.get("paths")?.as_object()?;
    let fits = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template.iter().zip(&path).all(|(template, path)| template.starts_with('{') || template == path)
    };
    // Of two that fit, the literal one is meant.
    let methods = paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|found| found.1))?;
    methods.get(method.as_str().to_ascii_lowercase())
}

/// Fails if an operation answered with a problem that its description does not tell of.
pub(crate) fn check(method: &Method, path: &str, status: u16, problem: &str) {
    let Some(operation) = operation(method, path) else { return };
    let told = operation.pointer(&format!("/responses/{status}/content/application~1problem+json/examples/{problem}"));
    assert!(told.is_some(), "{method} {path} answered {status} {problem}, which its description does not tell");
}
