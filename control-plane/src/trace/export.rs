//! Spans on their way to a collector: OTLP by HTTP, in batches, from a queue with a bound. Nothing waits for it.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use octocrab::Octocrab;
use octocrab::service::middleware::retry::RetryConfig;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::causes::causes;
use crate::config::TracesConfig;

/// How long the collector may take, and a stop may wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a collector says of a batch is short.
const MAX_ANSWER: usize = 64 * 1024;

static COLLECTOR: OnceLock<BatchSpanProcessor> = OnceLock::new();

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// There is no HTTP client.
    #[error("the client for the collector could not be made: {0}")]
    Client(String),
    /// Something about the exporter's configuration, such as another variable of OpenTelemetry's.
    #[error("the exporter of traces could not be made: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// From now on spans are recorded and sent there. Needs a Tokio runtime.
pub(crate) fn start(config: TracesConfig) -> Result<(), ExportError> {
    let client = Octocrab::builder().add_retry_config(RetryConfig::None).set_connect_timeout(Some(PATIENCE)).build();
    let client = client.map_err(|error| ExportError::Client(causes(&error)))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { client, runtime: Handle::current() })
        .with_endpoint(config.url)
        .with_headers(config.headers)
        .build()?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    processor.set_resource(&Resource::builder().with_service_name(config.service_name).with_attribute(version).build());
    // There is one service in a process; a second one would go on with the first one's.
    let _ = COLLECTOR.set(processor);
    Ok(())
}

pub(super) fn is_on() -> bool {
    COLLECTOR.get().is_some()
}

/// Puts a span into the queue; it is dropped if that is full.
pub(super) fn record(span: SpanData) {
    if let Some(collector) = COLLECTOR.get() {
        collector.on_end(span);
    }
}

/// Sends what is in the queue, as far as the collector takes it soon.
pub(crate) async fn end() {
    let sent =
        tokio::task::spawn_blocking(|| COLLECTOR.get().map(|collector| collector.shutdown_with_timeout(PATIENCE)));
    if let Ok(Some(Err(error))) = sent.await {
        tracing::warn!(%error, "the last spans were not sent");
    }
}

/// The HTTP client that is there for GitHub, without its credentials. The exporter has a thread of its own, on which no
/// runtime is.
#[derive(Debug)]
struct Client {
    client: Octocrab,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { timeout(PATIENCE, send(&client, request)).await });
        let outcome = match sent.await {
            Ok(Ok(Ok(response))) if response.status().is_success() => return Ok(response),
            Ok(Ok(Ok(response))) => format!("the answer is {}", response.status()),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => "it did not answer in time".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error = outcome, "spans could not be sent to the collector; they are lost");
        Err(outcome.into())
    }
}

async fn send(client: &Octocrab, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let (head, body) = client.execute(request).await.map_err(|error| causes(&error))?.into_parts();
    let body = to_bytes(Body::new(body), MAX_ANSWER).await.map_err(|error| causes(&error))?;
    Ok(Response::from_parts(head, body))
}
