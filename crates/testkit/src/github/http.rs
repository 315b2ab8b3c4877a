//! The HTTP shell: what every request goes through before and after the world answers it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::faults::{Endpoint, Fault};
use super::reply::{Refusal, Reply};
use super::route::Route;
use super::shared::{Call, Shared};
use super::wire::{self, Damage};
use super::world::limits::{injected_primary, secondary};
use super::world::{Now, Request};
use super::{agent, control, schema};

/// Far more than any request here needs.
const MAX_BODY: usize = 1024 * 1024;
/// Versions of the REST API that can be asked for.
const API_VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

async fn serve(Extract(shared): Extract<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return wire::plain(StatusCode::PAYLOAD_TOO_LARGE, "");
    };
    let path = parts.uri.path();
    if let Some(rest) = path.strip_prefix("/fake/agent/") {
        return agent::serve(&shared, &parts, rest, &body).await;
    }
    if let Some(rest) = path.strip_prefix("/fake/") {
        return control::serve(&shared, &parts, rest, &body).await;
    }
    rest(&shared, &parts, &body).await
}

/// Notes the arrival of a call.
pub(crate) fn log(shared: &Shared, parts: &Parts, endpoint: Endpoint) -> usize {
    shared.log(Call {
        at: shared.clock.now(),
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        endpoint,
        traceparent: parts
            .headers
            .get("traceparent")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        caller: None,
        status: None,
    })
}

async fn rest(shared: &Shared, parts: &Parts, body: &Bytes) -> Response {
    let (_seat, seated) = shared.enter();
    let route = Route::of(&parts.method, parts.uri.path());
    let route = route.unwrap_or(Route { endpoint: Endpoint::Unknown, target: None, id: None, label: None });
    let endpoint = route.endpoint;
    let call = log(shared, parts, endpoint);
    if let Some(broken) = shared.broken() {
        // Whatever it would say now, nobody should go on with it.
        let reply = Reply::from(Refusal::new(500, broken));
        shared.log_status(call, reply.status);
        return wire::response(reply, Damage::None, shared.servers.now(), call);
    }
    let mut request = request(parts, route, body);
    shared.log_caller(call, shared.with(|world, now| world.consumer(&request, now.world)));
    let checked = preconditions(&parts.headers).and_then(|()| if seated { Ok(()) } else { Err(crowded()) });
    let outcome = if let Err(refusal) = checked {
        Outcome::of(shared.with(|world, now| world.refuse(&request, refusal, now)))
    } else {
        let commit = |fault| match fault {
            Err(refusal) => shared.with(|world, now| world.refuse(&request, refusal, now)),
            Ok(fault) => {
                request.fault = fault;
                let reply = shared.with(|world, now| world.answer(&request, now));
                shared.judge(schema::exchange(endpoint, body, &reply));
                reply
            }
        };
        befall(shared, endpoint, page(parts), commit).await
    };
    let response = conditional(shared, parts, &request, outcome, call);
    shared.log_status(call, response.status().as_u16());
    response
}

/// The page of a list that is asked for, if one is named.
fn page(parts: &Parts) -> Option<u64> {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "page")?.1.parse().ok()
}

fn request(parts: &Parts, route: Route, body: &Bytes) -> Request {
    let query = parts.uri.query().unwrap_or_default();
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    Request {
        route,
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        authorization: authorization.map(str::to_owned),
        body: body.to_vec(),
        fault: None,
    }
}

/// Headers that GitHub insists on before it looks further.
fn preconditions(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or_default());
    if text(header::USER_AGENT).is_none_or(str::is_empty) {
        return Err(Refusal::new(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        ));
    }
    let accept = text(header::ACCEPT).unwrap_or("*/*");
    let acceptable = |media: &str| ["*/*", "application/*", "json"].iter().any(|known| media.contains(known));
    if !accept.split(',').any(acceptable) {
        let message = format!("Unsupported 'Accept' header: '{accept}'. Must accept 'application/json'.");
        return Err(Refusal::new(415, message));
    }
    let version = headers.get("x-github-api-version").map(|value| value.to_str().unwrap_or_default());
    if version.is_some_and(|version| !API_VERSIONS.contains(&version)) {
        return Err(Refusal::new(400, "Not a supported version"));
    }
    Ok(())
}

fn crowded() -> Refusal {
    secondary(403).with_header("retry-after", &1)
}

/// An answer with what happens to it on its way.
pub(crate) struct Outcome {
    pub(crate) reply: Reply,
    pub(crate) damage: Damage,
}

impl Outcome {
    fn of(reply: Reply) -> Self {
        Self { reply, damage: Damage::None }
    }
}

/// Lets the next fault of an endpoint, if any, befall a call. `commit` changes the world, or refuses to.
pub(crate) async fn befall(
    shared: &Shared,
    endpoint: Endpoint,
    page: Option<u64>,
    commit: impl FnOnce(Result<Option<Fault>, Refusal>) -> Reply,
) -> Outcome {
    let fault = shared.take_fault(endpoint, page);
    if let Some(Fault::HangBeforeCommit(length)) = fault {
        tokio::time::sleep(length).await;
    }
    if let Some(Fault::Instead(status, headers, body)) = fault {
        let set = |reply: Reply, (name, value)| reply.with_header(HeaderName::from_static(name), value);
        return Outcome { reply: headers.into_iter().fold(Reply::empty(status), set), damage: Damage::Body(body) };
    }
    if let Some(refusal) = fault.as_ref().and_then(|fault| refused(fault, shared.now())) {
        return Outcome::of(commit(Err(refusal)));
    }
    let mut outcome = Outcome::of(commit(Ok(fault.clone())));
    match fault {
        Some(Fault::AfterCommit(status)) => {
            let headers = std::mem::take(&mut outcome.reply.headers);
            outcome.reply = Refusal::new(status, reason(status)).into();
            outcome.reply.headers = headers;
        }
        Some(Fault::HangAfterCommit(length)) => tokio::time::sleep(length).await,
        Some(Fault::Body(body)) => outcome.damage = Damage::Body(body),
        Some(Fault::Endless) => outcome.damage = Damage::Endless,
        Some(Fault::CutOff) => outcome.damage = Damage::CutOff,
        _ => {}
    }
    outcome
}

/// The refusal that a fault means, if it strikes before anything changes.
fn refused(fault: &Fault, now: Now) -> Option<Refusal> {
    let refusal = match fault {
        Fault::BeforeCommit(status) => Refusal::new(*status, reason(*status)),
        Fault::PrimaryLimit(status, length) => {
            let length = chrono::TimeDelta::from_std(*length).unwrap_or_default();
            injected_primary(*status, now.world.checked_add_signed(length).unwrap_or(now.world))
        }
        Fault::SecondaryLimit(status, None) => secondary(*status),
        Fault::SecondaryLimit(status, Some(wait)) => secondary(*status).with_header("retry-after", &wait.as_secs()),
        Fault::SuspendedInstallation => Refusal::suspended(),
        Fault::MissingPermission => Refusal::missing_permission("organization_self_hosted_runners=write"),
        _ => return None,
    };
    Some(refusal)
}

fn reason(status: u16) -> &'static str {
    match status {
        401 => "Bad credentials",
        404 => "Not Found",
        500.. => "Server Error",
        _ => StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error"),
    }
}

/// The answer on the wire; 304 and nothing charged if the caller has it already.
fn conditional(shared: &Shared, parts: &Parts, request: &Request, outcome: Outcome, call: usize) -> Response {
    let Outcome { mut reply, damage } = outcome;
    if parts.method == http::Method::GET
        && reply.status == 200
        && let Some(body) = &reply.body
    {
        let etag = wire::etag(body);
        let known = parts.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if known.is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
            shared.with(|world, now| world.refund(request, now.world));
            reply.status = 304;
            reply.body = None;
        }
        reply = reply.with_header(header::ETAG, etag);
    }
    wire::response(reply, damage, shared.servers.now(), call)
}
