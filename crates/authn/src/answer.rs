//! What a refused caller is told: a status, `WWW-Authenticate` (RFC 6750 section 3) and a problem document
//! (RFC 9457). Never a library's words and never any part of the token.

use serde::Serialize;

use crate::refusal::Refusal;

/// A local answer in place of the upstream's.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u32,
    /// Its headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The problem document.
    pub body: String,
}

/// RFC 9457 section 3.1.
#[derive(Serialize)]
struct Document<'p> {
    #[serde(rename = "type")]
    kind: &'p str,
    title: &'p str,
    status: u32,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'p str>,
}

struct Problem {
    status: u32,
    kind: &'static str,
    title: &'static str,
    detail: &'static str,
    challenge: Option<&'static str>,
}

const CHALLENGE: &str = r#"Bearer realm="edge""#;
const INVALID_TOKEN: Option<&str> = Some(r#"Bearer realm="edge", error="invalid_token""#);

impl Answer {
    /// The answer to a refusal. `request_id` is repeated when it is one that Envoy or a tool may have made.
    pub fn to(refusal: Refusal, request_id: Option<&[u8]>) -> Self {
        let problem = problem(refusal);
        let mut headers = vec![("content-type", "application/problem+json"), ("cache-control", "no-store")];
        headers.extend(problem.challenge.map(|challenge| ("www-authenticate", challenge)));
        if problem.status == 503 {
            headers.push(("retry-after", "5"));
        }
        let Problem { status, kind, title, detail, .. } = problem;
        let document = Document { kind, title, status, detail, request_id: request_id.and_then(safe_id) };
        // Texts and a number: nothing that JSON could not say.
        let body = serde_json::to_string(&document).unwrap_or_default();
        Self { status, headers, body }
    }
}

impl Answer {
    /// The same without its document and without saying what is wrong.
    #[must_use]
    pub fn stripped(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != "content-type");
        for (name, value) in &mut self.headers {
            if *name == "www-authenticate" {
                *value = CHALLENGE;
            }
        }
        self.body.clear();
        self
    }
}

fn safe_id(id: &[u8]) -> Option<&str> {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    if id.is_empty() || id.len() > 128 || !id.iter().all(safe) { None } else { std::str::from_utf8(id).ok() }
}

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Missing => Problem {
            status: 401,
            kind: "/problems/token-missing",
            title: "A token is required",
            detail: "Send the header `Authorization: Bearer TOKEN` with an access token of an accepted issuer.",
            challenge: Some(CHALLENGE),
        },
        Refusal::Ambiguous => Problem {
            status: 400,
            kind: "/problems/token-ambiguous",
            title: "More than one token",
            detail: "Send exactly one token in exactly one `Authorization` header.",
            challenge: Some(r#"Bearer realm="edge", error="invalid_request""#),
        },
        Refusal::Scope | Refusal::Claim => Problem {
            status: 403,
            kind: "/problems/insufficient-scope",
            title: "The token is not in scope",
            detail: "Ask the issuer for a token with the scopes and claims that this path requires.",
            challenge: Some(r#"Bearer realm="edge", error="insufficient_scope""#),
        },
        Refusal::NoRule => Problem {
            status: 403,
            kind: "/problems/path-not-allowed",
            title: "No rule allows this path",
            detail: "The gateway serves no such path. Check the URL, without dot segments and encoded slashes.",
            challenge: None,
        },
        Refusal::NoKeys => Problem {
            status: 503,
            kind: "/problems/keys-unavailable",
            title: "The issuer's keys are not available",
            detail: "Tokens can't be checked right now. Try again in a few seconds.",
            challenge: None,
        },
        Refusal::Expired => invalid("The token has expired. Get a new one from the issuer."),
        Refusal::NotYetValid => invalid("The token is not valid yet. Check the clock of the issuer."),
        Refusal::Audience => {
            invalid("The token is meant for another audience. Ask the issuer for one meant for this service.")
        }
        Refusal::Issuer => invalid("The token's issuer is not accepted here."),
        _ => invalid("The token is not a valid access token of an accepted issuer."),
    }
}

fn invalid(detail: &'static str) -> Problem {
    Problem {
        status: 401,
        kind: "/problems/invalid-token",
        title: "The token is not valid",
        detail,
        challenge: INVALID_TOKEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn header(answer: &Answer, name: &str) -> Option<&'static str> {
        answer.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }

    #[test]
    fn a_refusal_is_a_challenge_and_a_problem() {
        let answer = Answer::to(Refusal::Expired, Some(b"5f6c-1"));
        assert_eq!(answer.status, 401);
        assert_eq!(header(&answer, "www-authenticate"), INVALID_TOKEN);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&body["type"], &body["request_id"]), (&json!("/problems/invalid-token"), &json!("5f6c-1")));
    }

    /// RFC 6750 section 3.1: a request without a token is told no error code.
    #[test]
    fn a_request_without_a_token_is_only_challenged() {
        let answer = Answer::to(Refusal::Missing, None);
        assert_eq!(header(&answer, "www-authenticate"), Some(CHALLENGE));
    }

    #[test]
    fn a_stripped_answer_says_nothing_of_the_token() {
        let answer = Answer::to(Refusal::Expired, Some(b"id")).stripped();
        assert_eq!((answer.status, answer.body.as_str()), (401, ""));
        assert_eq!(header(&answer, "www-authenticate"), Some(CHALLENGE));
        assert_eq!(header(&answer, "content-type"), None);
    }

    #[test]
    fn missing_keys_are_no_fault_of_the_caller() {
        let answer = Answer::to(Refusal::NoKeys, None);
        assert_eq!((answer.status, header(&answer, "retry-after")), (503, Some("5")));
        assert_eq!(header(&answer, "www-authenticate"), None);
    }

    #[test]
    fn a_request_id_that_could_be_an_attack_is_left_out() {
        for id in [&b""[..], b"a b", b"\xff", b"<script>", &[b'a'; 129]] {
            assert!(!Answer::to(Refusal::Missing, Some(id)).body.contains("request_id"));
        }
    }
}
