//! Controls for demos, under `/fake/`, if the configuration allows them: curl plays the machines.
//!
//! - `GET runners` lists every runner as it is.
//! - `POST machines` with `{"command": "./config.sh …"}` runs the command that a user was told to paste.
//! - `POST runners/{id}/online`, `offline`, `job-start`, `job-finish`.
//! - `POST advance` with `{"seconds": 3600}` lets time pass.

use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use http::request::Parts;
use serde_json::{Value, json};

use super::faults::Endpoint;
use super::http::log;
use super::input::Input;
use super::machine::Machine;
use super::reply::{Refusal, Reply};
use super::shared::Shared;
use super::wire::{self, Damage};
use super::world::{Event, RunnerView};

pub(crate) async fn serve(shared: &Shared, parts: &Parts, path: &str, body: &Bytes) -> Response {
    let call = log(shared, parts, Endpoint::Control);
    let answer = if shared.control { answer(shared, parts, path, body).await } else { Err(Refusal::not_found()) };
    let reply = Reply::from(answer);
    shared.log_status(call, reply.status);
    wire::response(reply, Damage::None, shared.servers.now(), call)
}

async fn answer(shared: &Shared, parts: &Parts, path: &str, body: &Bytes) -> Result<Reply, Refusal> {
    let segments: Vec<&str> = path.split('/').collect();
    match (parts.method.as_str(), segments.as_slice()) {
        ("GET", ["runners"]) => Ok(runners(shared)),
        ("POST", ["machines"]) => machine(shared, body).await,
        ("POST", ["runners", id, event]) => happen(shared, id, event),
        ("POST", ["advance"]) => {
            shared.clock.advance(Duration::from_secs(Input::parse(body)?.integer("seconds")?));
            Ok(Reply::new(200, json!({"now": shared.clock.now().to_rfc3339()})))
        }
        _ => Err(Refusal::not_found()),
    }
}

fn runners(shared: &Shared) -> Reply {
    let runners: Vec<RunnerView> = shared
        .with(|world, now| world.all_runners(now.world).map(|runner| RunnerView::of(runner, now.world)).collect());
    Reply::new(200, json!({"total_count": runners.len(), "runners": runners}))
}

async fn machine(shared: &Shared, body: &Bytes) -> Result<Reply, Refusal> {
    let command = Input::parse(body)?.text("command")?;
    let machine = Machine::new(&shared.local_url).run_command(&command).await;
    let mut machine = machine.map_err(|error| Refusal::new(422, error.to_string()))?;
    machine.go_online().await.map_err(|error| Refusal::new(422, error.to_string()))?;
    let runner = shared.with(|world, now| world.show(machine.id()).map(|runner| RunnerView::of(runner, now.world)));
    Ok(Reply::new(201, json!({"runner": runner})))
}

fn happen(shared: &Shared, id: &str, event: &str) -> Result<Reply, Refusal> {
    let id = id.parse().map_err(|_| Refusal::not_found())?;
    let event: Event = serde_json::from_value(Value::from(event)).map_err(|_| Refusal::not_found())?;
    let runner = shared.happen(id, event)?;
    Ok(Reply::new(200, json!({"runner": runner})))
}
