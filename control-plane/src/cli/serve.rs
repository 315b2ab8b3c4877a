//! `serve`

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::environment;
use crate::clock::Clock;
use crate::http::{Bounds, Web, Webhooks, router};
use crate::operations::App;
use crate::policy::PolicyFile;
use crate::store::schema::SchemaError;
use crate::store::{self, roles, schema};
use crate::{config, jobs, metrics, reload, trace};

pub(super) async fn serve() -> anyhow::Result<()> {
    let config = config::serve(&environment)?;
    let pool = store::pool(&config.database);
    schema::check(&pool).await.map_err(start_error)?;
    warn_of_risks(&config);
    warn_of_rights(&pool).await?;
    if let Some(traces) = config.traces {
        trace::start(traces).context("check the variables that begin with OTEL_")?;
    }
    let clock = Clock::system();
    let policy = match config.policy_file {
        Some(path) => PolicyFile::open(path, clock.now())?,
        None => PolicyFile::none(clock.now()),
    };
    let app = App::new(pool, config.github, policy, clock).context("the client for GitHub could not be made")?;
    let listener = TcpListener::bind(SocketAddr::new(config.host, config.port))
        .await
        .with_context(|| format!("can't listen on {}:{}", config.host, config.port))?;
    let metrics_port = match config.metrics_addr {
        Some(address) => Some(TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?),
        None => None,
    };
    tracing::info!("listening on http://{}", listener.local_addr()?);

    let end = CancellationToken::new();
    let mut stop_signals = Signals::new()?;
    let reload = tokio::spawn(reload::run(app.clone(), end.clone()));
    let upkeep = jobs::run(app.clone(), config.jobs, end.clone());
    let audit = jobs::run_audit(app.clone(), config.audit, end.clone());
    let jobs = tokio::spawn(async { tokio::join!(upkeep, audit) });
    if let Some(listener) = metrics_port {
        tracing::info!("metrics are at http://{}/metrics", listener.local_addr()?);
        // Ends with the process, not before: a stop is worth watching.
        tokio::spawn(metrics::serve(listener, app.clone()));
    }
    let graceful = end.clone();
    let (webhooks, bounds) = (Webhooks::new(config.webhook_secrets), Bounds::new(config.rate_limit));
    let web = Web::new(app.clone(), config.verifier, webhooks, config.ui, bounds, config.drain_stuck);
    let server = axum::serve(listener, router(web)).with_graceful_shutdown(async move { graceful.cancelled().await });
    let server = tokio::spawn(server.into_future());

    stop_signals.wait().await;
    tracing::info!("stopping; what is under way finishes first, unless told a second time");
    end.cancel();
    app.tasks.close();
    let finish = async {
        let outcome = server.await;
        app.tasks.wait().await;
        let worked = jobs.await;
        reload.await.context("the policy file was not looked at any more")??;
        outcome?.context("the server failed")?;
        worked.context("the jobs failed")
    };
    tokio::select! {
        finished = timeout(config.shutdown_timeout, finish) => {
            finished.context("what was under way did not finish within SHUTDOWN_TIMEOUT_SECONDS; it is cut off")??;
        }
        () = stop_signals.wait() => bail!("told to stop a second time; what was under way is cut off"),
    }
    app.pool.close().await;
    trace::end().await;
    tracing::info!("stopped");
    Ok(())
}

fn start_error(error: SchemaError) -> anyhow::Error {
    match error {
        SchemaError::Behind(_) => error.into(),
        SchemaError::Database(_) => {
            anyhow::Error::new(error).context("check DATABASE_URL, and that the database is running")
        }
    }
}

fn warn_of_risks(config: &config::ServeConfig) {
    if config.policy_file.is_none() {
        tracing::warn!(
            default_target = %config.github.default_target,
            "no policy file: every verified caller may provision in the default organisation and runner group"
        );
    }
    if !config.github.api_url.starts_with("https://") {
        tracing::warn!(api_url = config.github.api_url, "GitHub is called without TLS; for tests on one machine only");
    }
    if config.audit.key.is_none() {
        tracing::warn!(
            "no AUDIT_SIGNING_KEY: checkpoints of the audit log are not signed, so who can write to the database can make \
             the whole chain anew"
        );
    }
    if environment("IDENTITY_SIGNING_KEY").is_some() {
        tracing::warn!("IDENTITY_SIGNING_KEY is set here; it belongs to the edge alone, and is not used");
    }
}

/// The trigger stops mistakes; whoever owns the table can drop it.
async fn warn_of_rights(pool: &PgPool) -> anyhow::Result<()> {
    let rights = roles::audit_rights(&mut *pool.acquire().await?).await?;
    if rights.are_too_many() {
        tracing::warn!(
            role = rights.role,
            owns = rights.owns,
            "the service can change the audit log; give it a role of its own, a member of runner_tokens_service alone \
             (docs/audit.md)"
        );
    }
    Ok(())
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
