//! What machines talk to: the fake's own stand-in for the protocol between GitHub and its runner program.

use axum::body::Bytes;
use axum::response::Response;
use http::header;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Endpoint, Fault};
use super::http::{Outcome, befall, log};
use super::input::Input;
use super::reply::{Refusal, Reply};
use super::shared::Shared;
use super::wire;
use super::world::{Event, MachineRegistration, RunnerView};

pub(crate) async fn serve(shared: &Shared, parts: &Parts, path: &str, body: &Bytes) -> Response {
    let endpoint = if path == "register" { Endpoint::MachineRegistration } else { Endpoint::MachineSession };
    let call = log(shared, parts, endpoint);
    let Outcome { reply, damage } = befall(shared, endpoint, None, |fault| {
        let answer = fault.and_then(|fault| match path {
            "register" => register(shared, parts, body, fault),
            "session" => session(shared, body),
            "remove" => remove(shared, body),
            _ => Err(Refusal::not_found()),
        });
        Reply::from(answer)
    })
    .await;
    shared.log_status(call, reply.status);
    wire::response(reply, damage, shared.servers.now(), call)
}

fn register(shared: &Shared, parts: &Parts, body: &Bytes, fault: Option<Fault>) -> Result<Reply, Refusal> {
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = authorization.and_then(|value| value.strip_prefix("RemoteAuth ")).ok_or_else(Refusal::not_found)?;
    let input = Input::parse(body)?;
    let machine = MachineRegistration {
        token: token.to_owned(),
        url: own_url(shared, &input.text("url")?),
        name: input.text("name")?,
        labels: input.texts("labels")?,
        group: input.optional_text("group")?,
        ephemeral: input.flag("ephemeral")?,
        replace: input.flag("replace")?,
        fault,
    };
    shared.with(|world, now| {
        let id = world.register(machine, now.world)?;
        let runner = world.show(id).ok_or_else(Refusal::not_found)?;
        let view = RunnerView::of(runner, now.world);
        Ok(Reply::new(200, json!({"runner": view, "credential": runner.credential})))
    })
}

/// The URL under its public name, if it was given under the local one.
fn own_url(shared: &Shared, url: &str) -> String {
    url.strip_prefix(&shared.local_url).map_or_else(|| url.to_owned(), |path| format!("{}{path}", shared.url))
}

#[derive(Deserialize)]
struct Report {
    credential: String,
    event: Event,
}

fn session(shared: &Shared, body: &Bytes) -> Result<Reply, Refusal> {
    let report: Report = serde_json::from_slice(body).map_err(|_| Refusal::invalid("not a report"))?;
    let id = shared.with(|world, _| world.runner_with(&report.credential))?;
    let runner = shared.happen(id, report.event)?;
    Ok(Reply::new(200, json!({"id": id, "runner": runner})))
}

fn remove(shared: &Shared, body: &Bytes) -> Result<Reply, Refusal> {
    let input = Input::parse(body)?;
    let (credential, token) = (input.text("credential")?, input.text("token")?);
    shared.with(|world, now| {
        let id = world.runner_with(&credential)?;
        world.unregister(id, &token, now.world)?;
        Ok(Reply::new(200, json!({"id": id, "runner": Value::Null})))
    })
}
