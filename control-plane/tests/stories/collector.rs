//! Traces that go to a collector.

use anyhow::Context as _;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::json;
use sqlx::PgPool;
use testkit::collector::Collector;
use testkit::github::Endpoint;

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::serving::Service;
use crate::world::World;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const UNRECORDED: &str = "5bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const CREDENTIAL: &str = "hunter2hunter2";

/// All spans of a trace so far, and the name of the service that they are of.
fn spans(collector: &Collector, trace: &str) -> Vec<(String, Span)> {
    let batches = collector.got().into_iter().filter_map(|(_, body)| ExportTraceServiceRequest::decode(body).ok());
    let resources = batches.flat_map(|batch| batch.resource_spans).map(|of| {
        let names = of.resource.into_iter().flat_map(|resource| resource.attributes);
        let name = names.filter(|each| each.key == "service.name").find_map(|each| match each.value?.value? {
            Value::StringValue(name) => Some(name),
            _ => None,
        });
        (name.unwrap_or_default(), of.scope_spans)
    });
    let spans = resources.flat_map(|(name, scopes)| {
        scopes.into_iter().flat_map(|scope| scope.spans).map(move |span| (name.clone(), span))
    });
    spans.filter(|(_, span)| hex::encode(&span.trace_id) == trace).collect()
}

fn sends_to(collector: &Collector) -> impl FnOnce(&mut Cli) -> anyhow::Result<()> {
    let url = collector.url();
    move |cli| {
        let file = cli.directory.join("headers");
        std::fs::write(&file, format!("Authorization=Bearer%20{CREDENTIAL}\n"))?;
        cli.environment.push(("OTEL_EXPORTER_OTLP_HEADERS_FILE", file.to_string_lossy().into_owned()));
        cli.environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", url));
        cli.environment.push(("OTEL_SERVICE_NAME", "tokens-of-the-story".to_owned()));
        // Sooner than usual.
        cli.environment.push(("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()));
        Ok(())
    }
}

async fn provision(world: &World, service: &Service, name: &str, trace: &str, flags: &str) -> anyhow::Result<()> {
    let request = reqwest::Client::new().post(format!("{}/api/v1/runners/provision", service.base));
    let request = request.header(identity::headers::ASSERTION, world.assertion("alice")?);
    let request = request.header("traceparent", format!("00-{trace}-{PARENT}-{flags}"));
    let answer = world.send(request.json(&json!({"runner_name": name, "mode": "jit"}))).await?;
    anyhow::ensure!(answer.status == 201, "{answer:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_collector_gets_the_clients_trace_down_to_github_and_no_secret(pool: PgPool) -> anyhow::Result<()> {
    let (world, collector) = (World::new(pool.clone()).await?, Collector::start(StatusCode::OK).await?);
    let service = Service::start(&world, &pool, "collected", sends_to(&collector)).await?;
    provision(&world, &service, "unrecorded-runner", UNRECORDED, "00").await?;
    provision(&world, &service, "recorded-runner", TRACE, "01").await?;
    service.until(|_| spans(&collector, TRACE).iter().any(|(_, span)| span.kind() == SpanKind::Server)).await?;

    let recorded = spans(&collector, TRACE);
    let of_kind = |kind| recorded.iter().filter(move |(_, span)| span.kind() == kind).map(|(_, span)| span);
    let request = of_kind(SpanKind::Server).next().context("no request")?;
    assert_eq!(request.name, "POST /api/v1/runners/provision");
    assert_eq!(hex::encode(&request.parent_span_id), PARENT);
    assert!(recorded.iter().all(|(service, _)| service == "tokens-of-the-story"), "{recorded:?}");
    let calls: Vec<&Span> = of_kind(SpanKind::Client).collect();
    let [call] = calls[..] else { anyhow::bail!("the token was there already: {calls:?}") };
    assert_eq!((call.name.as_str(), &call.parent_span_id), ("github jit_config", &request.span_id));
    let asked = world.github.calls();
    let asked = asked.iter().rfind(|call| call.endpoint == Endpoint::JitConfig).context("no call")?;
    let expected = format!("00-{TRACE}-{}-01", hex::encode(&call.span_id));
    assert_eq!(asked.traceparent.as_deref(), Some(expected.as_str()));
    assert!(call.start_time_unix_nano >= request.start_time_unix_nano);
    assert!(call.end_time_unix_nano <= request.end_time_unix_nano && call.end_time_unix_nano > 0);
    assert!(spans(&collector, UNRECORDED).is_empty(), "the client says that it is not recorded");

    let secrets = [world.github.issued_secrets(), vec![CREDENTIAL.to_owned(), world.assertion("alice")?]].concat();
    let texts = ["recorded-runner", "alice", "acme-partners"].map(str::to_owned);
    for (headers, body) in collector.got() {
        assert_eq!(headers["authorization"], format!("Bearer {CREDENTIAL}"));
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(secrets.iter().chain(&texts).all(|each| !body.contains(each)), "{body}");
    }
    assert!(service.log().iter().all(|line| !line.contains(CREDENTIAL)));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_collector_that_takes_nothing_is_warned_of_and_stops_nobody(pool: PgPool) -> anyhow::Result<()> {
    let (world, collector) = (World::new(pool.clone()).await?, Collector::start(StatusCode::FORBIDDEN).await?);
    let service = Service::start(&world, &pool, "refusing", sends_to(&collector)).await?;
    provision(&world, &service, "a", TRACE, "01").await?;
    let warned = || service.log().iter().any(|line| line.contains("spans could not be sent") && line.contains("403"));
    service.until(|_| warned()).await?;
    provision(&world, &service, "b", TRACE, "01").await?;
    assert!(service.log().iter().all(|line| !line.contains(CREDENTIAL)));
    Ok(())
}
