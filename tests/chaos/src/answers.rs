//! What comes of a request, as its client sees it.

use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use testkit::wire::UNAVAILABLE;

/// An answer, or the kind of error instead of one.
pub(crate) type Outcome = Result<Answer, &'static str>;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    content_type: String,
    pub(crate) body: Value,
}

/// Sends a request and reads its answer.
pub(crate) async fn send(request: RequestBuilder) -> Outcome {
    let response = request.send().await.map_err(|error| kind(&error))?;
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let text = response.text().await.map_err(|error| kind(&error))?;
    // What is not JSON comes from no part of ours.
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, content_type, body })
}

fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "connection ended"
    }
}

impl Answer {
    /// A string member of the body; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The last part of a problem's `type`; empty if it is no problem.
    pub(crate) fn problem(&self) -> &str {
        self.text("type").strip_prefix("/problems/").unwrap_or_default()
    }

    /// What it counts as: the kind of problem, else the status.
    pub(crate) fn kind(&self) -> String {
        let status = self.status.as_u16();
        if self.problem().is_empty() { status.to_string() } else { format!("{status} {}", self.problem()) }
    }

    /// Why it leaves its client in the dark: an error of the service's is a problem that states the reason and says
    /// which request it was. What a wire answers in the place of a part is not the service's.
    pub(crate) fn leaves_in_the_dark(&self) -> Option<String> {
        let stated = ["detail", "title", "request_id"].iter().all(|name| !self.text(name).is_empty());
        let problem = self.content_type == "application/problem+json" && !self.problem().is_empty() && stated;
        let dark = self.status.is_server_error() && !problem && self.body != UNAVAILABLE;
        dark.then(|| format!("{} without a reason: {:?} {}", self.status, self.content_type, self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_of_the_service_must_state_its_reason() {
        let answer = |status, content_type: &str, body| Answer { status, content_type: content_type.to_owned(), body };
        let problem = json!({"type": "/problems/x", "title": "X", "detail": "why", "request_id": "1"});
        let dark = |answer: &Answer| answer.leaves_in_the_dark().is_some();
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert!(!dark(&answer(unavailable, "application/problem+json", problem.clone())));
        assert!(!dark(&answer(StatusCode::NOT_FOUND, "text/plain", json!("no"))));
        assert!(!dark(&answer(unavailable, "text/plain", json!(UNAVAILABLE))));
        assert!(dark(&answer(unavailable, "text/plain", json!("upstream connect error"))));
        assert!(dark(&answer(unavailable, "application/json", problem)));
        assert!(dark(&answer(unavailable, "application/problem+json", json!({"type": "/problems/x"}))));
    }
}
