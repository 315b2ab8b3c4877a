//! Answers and refusals as values, in GitHub's shapes.

use http::HeaderName;
use serde_json::{Value, json};

/// Where GitHub sends people when nothing more specific is known.
const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// An answer before it is put on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: Value) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// An answer that says no: `{"message", "documentation_url", "status"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    documentation_url: &'static str,
    headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), documentation_url: DOCUMENTATION, headers: Vec::new() }
    }

    pub(crate) fn documented_at(self, documentation_url: &'static str) -> Self {
        Self { documentation_url, ..self }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.headers.push((HeaderName::from_static(name), value.to_string()));
        self
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "Not Found")
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::new(401, "Bad credentials")
    }

    pub(crate) fn suspended() -> Self {
        Self::new(403, "This installation has been suspended")
            .documented_at("https://docs.github.com/rest/reference/apps#create-an-installation-access-token-for-an-app")
    }

    pub(crate) fn missing_permission(wanted: &str) -> Self {
        Self::new(403, "Resource not accessible by integration").with_header("x-accepted-github-permissions", &wanted)
    }

    /// A body that does not fit the endpoint's schema.
    pub(crate) fn invalid(input: &str) -> Self {
        Self::new(422, format!("Invalid request. Invalid input: {input}"))
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let body = json!({
            "message": refusal.message,
            "documentation_url": refusal.documentation_url,
            "status": refusal.status.to_string(),
        });
        Self { status: refusal.status, body: Some(body), headers: refusal.headers }
    }
}

impl From<Result<Reply, Refusal>> for Reply {
    fn from(answer: Result<Reply, Refusal>) -> Self {
        answer.unwrap_or_else(Self::from)
    }
}
