//! One running system for the tests that leave nothing behind in it, and a client for all.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use testkit::issuer::Mint;
use testkit::system::{AUDIENCE, System, SystemOptions};
use tokio::runtime::Runtime;

/// The system and the runtime on which it lives, or why it did not start.
static SHARED: LazyLock<Result<(Runtime, System), String>> = LazyLock::new(|| {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let system = runtime.block_on(System::start(SystemOptions::default())).map_err(|error| format!("{error:#}"))?;
    Ok((runtime, system))
});

/// Runs a story in the system that many stories share.
pub(crate) fn in_shared_system<F: Future<Output = anyhow::Result<()>>>(
    story: impl FnOnce(&'static System) -> F,
) -> anyhow::Result<()> {
    let (runtime, system) = SHARED.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    runtime.block_on(story(system))
}

/// An answer as the tests look at it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) challenge: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    async fn read(response: Response) -> anyhow::Result<Self> {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (challenge, cache_control, retry_after) =
            (header("www-authenticate"), header("cache-control"), header("retry-after"));
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        // What is not JSON comes from no part of ours.
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Self { status, challenge, cache_control, retry_after, headers, body })
    }

    /// The last part of a problem's `type`; empty if it is no problem.
    pub(crate) fn problem(&self) -> &str {
        let kind = self.body.get("type").and_then(Value::as_str);
        kind.and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default()
    }

    /// A header; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A string member of the body.
    pub(crate) fn text(&self, name: &str) -> anyhow::Result<&str> {
        self.body.get(name).and_then(Value::as_str).with_context(|| format!("no text {name:?} in {}", self.body))
    }
}

/// A request to this base URL.
pub(crate) fn request(method: Method, base: &str, path: &str) -> RequestBuilder {
    reqwest::Client::new().request(method, format!("{base}{path}"))
}

/// Sends a request and reads its answer.
pub(crate) async fn answer(request: RequestBuilder) -> anyhow::Result<Answer> {
    Answer::read(request.send().await?).await
}

/// `GET /api/v1/runners` through the edge with this token.
pub(crate) async fn list_with(system: &System, token: &str) -> anyhow::Result<Answer> {
    answer(request(Method::GET, system.edge_url(), "/api/v1/runners").bearer_auth(token)).await
}

/// `POST /api/v1/runners/provision` through the edge with this token.
pub(crate) async fn provision(system: &System, token: &str, body: &Value) -> anyhow::Result<Answer> {
    answer(request(Method::POST, system.edge_url(), "/api/v1/runners/provision").bearer_auth(token).json(body)).await
}

/// The control plane's database.
pub(crate) async fn database(system: &System) -> anyhow::Result<PgConnection> {
    PgConnection::connect(system.database_url()).await.context("the system's database")
}

/// Looks again and again until it is so.
pub(crate) async fn until(
    what: &str,
    at_most: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Duration> {
    let started = Instant::now();
    while !look().await? {
        ensure!(started.elapsed() < at_most, "not within {at_most:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(started.elapsed())
}

/// A good token of this subject.
pub(crate) fn token_of(system: &System, subject: &str) -> anyhow::Result<String> {
    system.issuer().mint(&Mint::new(subject, AUDIENCE))
}

/// The smallest body of a provision.
pub(crate) fn runner(name: &str) -> Value {
    json!({"runner_name": name, "labels": ["linux", "gpu"]})
}
