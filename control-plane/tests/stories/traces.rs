//! A trace goes from whoever called to GitHub, and through the log.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::Endpoint;

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::serving::Service;
use crate::world::World;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// More than a line of the log may have, and as much as a server of HTTP takes.
const LONG: usize = 9000;

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// Trace, span and flags of each call that GitHub got from the `first` on.
fn at_github(world: &World, first: usize) -> anyhow::Result<Vec<[String; 3]>> {
    let calls = world.github.calls();
    let traced = calls.iter().skip(first).map(|call| {
        let header = call.traceparent.as_deref().with_context(|| format!("no trace at {}", call.path))?;
        let [version, trace, span, flags] = header.split('-').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{header}");
        };
        ensure!((version, trace.len(), span.len()) == ("00", 32, 16), "{header}");
        Ok([trace, span, flags].map(str::to_owned))
    });
    traced.collect()
}

async fn provision(world: &World, headers: &[&str]) -> anyhow::Result<Vec<[String; 3]>> {
    let first = world.github.calls().len();
    let mut request = world.request("alice", Method::POST, "/api/v1/runners/provision")?;
    for header in headers {
        request = request.header("traceparent", *header);
    }
    let body = json!({"runner_name_prefix": "a-", "mode": "jit"});
    let answer = world.send(request.header("tracestate", "vendor=1").json(&body)).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    at_github(world, first)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_trace_goes_on_to_github_and_each_call_is_a_span_of_its_own(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let calls = provision(&world, &[&traceparent()]).await?;
    assert_eq!(calls.len(), 2, "for a token, and for the runner");
    assert!(calls.iter().all(|[trace, _, flags]| trace == TRACE && flags == "01"), "{calls:?}");
    let spans: BTreeSet<&str> = calls.iter().map(|[_, span, _]| span.as_str()).chain([PARENT]).collect();
    assert_eq!(spans.len(), 3, "{calls:?}");
    let not_recorded = provision(&world, &[&format!("00-{TRACE}-{PARENT}-00")]).await?;
    assert!(matches!(&not_recorded[..], [[trace, _, flags]] if trace == TRACE && flags == "00"), "{not_recorded:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_trace_that_is_none_is_replaced_by_a_new_one(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let good = traceparent();
    let (upper, more) = (good.to_uppercase(), format!("{good}-x"));
    let mut traces = BTreeSet::from([TRACE.to_owned(), TRACE.to_uppercase()]);
    for (number, bad) in
        [&[][..], &[upper.as_str()], &[more.as_str()], &[good.as_str(), good.as_str()]].into_iter().enumerate()
    {
        let calls = provision(&world, bad).await?;
        let of_the_request: BTreeSet<&String> = calls.iter().map(|[trace, _, _]| trace).collect();
        assert_eq!(of_the_request.len(), 1, "{bad:?}: {calls:?}");
        traces.extend(of_the_request.into_iter().cloned());
        assert_eq!(traces.len(), 3 + number, "{bad:?}: {calls:?}");
    }
    Ok(())
}

/// The lines of the log that are about a request.
fn lines_of(service: &Service, request_id: &str) -> Vec<Value> {
    let lines = service.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    lines.filter(|line| line.pointer("/span/request_id").is_some_and(|id| id == request_id)).collect()
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_line_about_a_request_has_its_trace_and_none_is_long(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let service = Service::start(&world, &pool, "traced", |_| Ok(())).await?;
    let first = world.github.calls().len();
    let client = reqwest::Client::new();
    let request = client.post(format!("{}/api/v1/runners/provision", service.base));
    let request = request.header(identity::headers::ASSERTION, world.assertion("alice")?);
    let request = request.header("traceparent", traceparent()).header("x-request-id", "of-the-story");
    assert_eq!(request.json(&json!({"runner_name": "a"})).send().await?.status(), 201);
    let long = format!("{}/{}", service.base, "a".repeat(LONG));
    let refused = client.get(long).header("x-request-id", "a-long-path").send().await?;
    assert_eq!(refused.status(), 404);

    service.until(|_| lines_of(&service, "a-long-path").iter().any(|line| line["message"] == "answered")).await?;
    let lines = lines_of(&service, "of-the-story");
    assert!(lines.len() >= 2, "{lines:?}");
    for line in &lines {
        assert_eq!(line["span"]["trace_id"], TRACE, "{line}");
        let span = line["span"]["span_id"].as_str().context("no span")?;
        assert!(span.len() == 16 && span != PARENT, "{line}");
        assert_eq!(line["span"]["span_id"], lines[0]["span"]["span_id"]);
    }
    let own = lines[0]["span"]["span_id"].as_str().unwrap_or_default().to_owned();
    let of_the_request: Vec<_> = at_github(&world, first)?.into_iter().filter(|[trace, _, _]| trace == TRACE).collect();
    assert!(of_the_request.iter().all(|[_, span, _]| *span != own) && !of_the_request.is_empty());
    let path = lines_of(&service, "a-long-path")[0]["span"]["path"].to_string();
    assert!(path.len() < 600 && path.contains("bytes cut"), "{path}");
    assert!(service.log().iter().all(|line| line.len() <= 8192));
    Ok(())
}

/// Each run of a job is a trace of its own, in the log and at GitHub.
#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_a_job_asks_and_says_is_traced_at_any_level(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    world.running("alice", "a").await?;
    let first = world.github.calls().len();
    world.github.inject(Endpoint::ListRunners, testkit::github::Fault::BeforeCommit(500), 100);
    let service = Service::start(&world, &pool, "traced-job", |cli| {
        cli.environment.push(("LOG_LEVEL", "error,control_plane::jobs=warn,control_plane::cli=info".to_owned()));
        cli.environment.push(("RECONCILE_INTERVAL_SECONDS", "1".to_owned()));
        Ok(())
    })
    .await?;
    let failures = || {
        let lines = service.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        lines.filter(|line| line["message"] == "a target could not be compared").collect::<Vec<_>>()
    };
    service.until(|_| failures().len() >= 2).await?;
    let logged: BTreeSet<String> =
        failures().iter().filter_map(|line| Some(line["span"]["trace_id"].as_str()?.to_owned())).collect();
    assert!(logged.len() >= 2, "{:?}", failures());
    let asked: BTreeSet<String> = at_github(&world, first)?.into_iter().map(|[trace, _, _]| trace).collect();
    assert!(logged.is_subset(&asked), "{logged:?} {asked:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_form_of_the_log_is_as_asked_and_else_for_whoever_reads_it(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "log-form")?;
    let restore = ["restore-principal", "--issuer", "https://idp.example.com", "--subject", "ci-7"];
    let revoke =
        ["revoke-principal", "--issuer", "https://idp.example.com", "--subject", "ci-7", "--reason", "x", "--yes"];
    for (format, json_elsewhere, json_at_terminal) in
        [("auto", true, false), ("pretty", false, false), ("json", true, true)]
    {
        cli.environment.push(("LOG_FORMAT", format.to_owned()));
        let elsewhere = String::from_utf8(cli.run(&revoke).await?.stderr)?;
        let at_terminal = cli.at_terminal(&restore, "").await?.text;
        for (text, json, level) in [(elsewhere, json_elsewhere, "revoked"), (at_terminal, json_at_terminal, "restored")]
        {
            let line = text.lines().find(|line| line.contains(level) && line.contains("WARN"));
            let line = line.with_context(|| format!("{format}: {text}"))?;
            assert_eq!(serde_json::from_str::<Value>(line).is_ok(), json, "{format}: {line}");
        }
    }
    Ok(())
}
