//! The token endpoint: client credentials in, JWT access token out (RFC 6749 sections 2.3.1, 4.4 and 5; RFC 9068).

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{Client, Mint, Shared, When};

type Form = axum::Form<Vec<(String, String)>>;

/// An error answer of RFC 6749 section 5.2.
#[derive(Debug)]
struct Refusal {
    error: &'static str,
    description: &'static str,
}

impl Refusal {
    fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description }
    }

    fn unknown_client() -> Self {
        Self::new("invalid_client", "unknown client or wrong secret")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": self.error, "error_description": self.description}));
        if self.error == "invalid_client" {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"token\"")];
            return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
        }
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}

pub(crate) async fn token(
    Extract(shared): Extract<Arc<Shared>>,
    headers: HeaderMap,
    form: Result<Form, FormRejection>,
) -> Response {
    let answer = form
        .map_err(|_| Refusal::new("invalid_request", "the body is not a form"))
        .and_then(|axum::Form(form)| grant(&shared, &headers, &form));
    let mut response = match answer {
        Ok(body) => Json(body).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn grant(shared: &Shared, headers: &HeaderMap, form: &[(String, String)]) -> Result<Value, Refusal> {
    let client = authenticate(&shared.clients, headers, form)?;
    match parameter(form, "grant_type")? {
        None => return Err(Refusal::new("invalid_request", "grant_type is missing")),
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::new("unsupported_grant_type", "only client_credentials is served")),
    }
    let scope = scope_of(client, parameter(form, "scope")?)?;
    let mut mint = Mint {
        client_id: Some(client.id.clone()),
        expires: When::In(client.lifetime),
        claims: client.claims.clone(),
        ..Mint::new(&client.subject, &client.audience).algorithm(client.algorithm)
    };
    if let Some(scope) = &scope {
        mint = mint.claim("scope", scope.as_str());
    }
    let token = shared.mint(&mint).map_err(|_| Refusal::new("server_error", "the token could not be signed"))?;
    shared.with(|state| state.counts.tokens = state.counts.tokens.saturating_add(1));
    let mut body = json!({"access_token": token, "token_type": "Bearer", "expires_in": client.lifetime.as_secs()});
    if let (Some(scope), Some(members)) = (scope, body.as_object_mut()) {
        members.insert("scope".to_owned(), json!(scope));
    }
    Ok(body)
}

/// A parameter that occurs at most once (RFC 6749 section 3.2); an empty one counts as absent.
fn parameter<'a>(form: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::new("invalid_request", "a parameter is given more than once"));
    }
    Ok(first.filter(|value| !value.is_empty()))
}

/// Exactly one way to authenticate (RFC 6749 section 2.3): the header or the body.
fn authenticate<'a>(
    clients: &'a [Client],
    headers: &HeaderMap,
    form: &[(String, String)],
) -> Result<&'a Client, Refusal> {
    let (id, secret) = (parameter(form, "client_id")?, parameter(form, "client_secret")?);
    let (id, secret) = match (basic(headers)?, secret) {
        (Some(_), Some(_)) => return Err(Refusal::new("invalid_request", "two ways of authentication at once")),
        (Some((basic_id, _)), None) if id.is_some_and(|id| id != basic_id) => {
            return Err(Refusal::new("invalid_request", "two client ids"));
        }
        (Some(credentials), None) => credentials,
        (None, Some(secret)) => (id.unwrap_or_default().to_owned(), secret.to_owned()),
        (None, None) => return Err(Refusal::new("invalid_client", "no client authentication")),
    };
    let found = clients.iter().find(|client| client.id == id && client.secret == secret);
    found.ok_or_else(Refusal::unknown_client)
}

/// Id and secret of `Authorization: Basic`, each form-encoded before they were joined (RFC 6749 section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| Refusal::unknown_client())?;
    let (scheme, credentials) = value.split_once(' ').ok_or_else(Refusal::unknown_client)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Refusal::unknown_client());
    }
    let decoded = BASE64_STANDARD.decode(credentials.trim()).map_err(|_| Refusal::unknown_client())?;
    let text = String::from_utf8(decoded).map_err(|_| Refusal::unknown_client())?;
    let (id, secret) = text.split_once(':').ok_or_else(Refusal::unknown_client)?;
    Ok(Some((form_decoded(id), form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

fn scope_of(client: &Client, asked: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(asked) = asked else {
        return Ok(Some(client.scopes.join(" ")).filter(|all| !all.is_empty()));
    };
    let allowed = asked.split(' ').all(|scope| client.scopes.iter().any(|known| known == scope));
    if allowed { Ok(Some(asked.to_owned())) } else { Err(Refusal::new("invalid_scope", "not a scope of this client")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", BASE64_STANDARD.encode("an+id:p%3Ass%20w"));
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        assert_eq!(basic(&headers).unwrap(), Some(("an id".to_owned(), "p:ss w".to_owned())));
    }
}
