//! Takes a changed policy file into force: within about two seconds of its change, or at once on SIGHUP.
//!
//! The content is compared, not the time of the change, so that it makes no difference how the file is replaced
//! (Kubernetes swaps a link to a directory). Each replica does this for itself.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::audit::{Entry, Event, Outcome};
use crate::operations::App;
use crate::policy::{Change, PolicyFile};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks at the policy file until told to end.
pub async fn run(app: Arc<App>, end: CancellationToken) -> std::io::Result<()> {
    // Without this the signal would end the process.
    let mut hangups = signal(SignalKind::hangup())?;
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return Ok(()),
            _ = ticks.tick() => read_again(&app, PolicyFile::look).await,
            Some(()) = hangups.recv() => {
                tracing::info!("told to read the policy file again");
                read_again(&app, PolicyFile::reload).await;
            }
        }
    }
}

/// Reads the file in one of its two ways, and records what comes of it.
pub async fn read_again(app: &App, how: fn(&PolicyFile, DateTime<Utc>) -> Change) {
    let (file, now) = (Arc::clone(&app.policy), app.clock.now());
    let Ok(change) = tokio::task::spawn_blocking(move || how(&file, now)).await else { return };
    let status = app.policy.status();
    let (event, outcome, reasons) = match change {
        Change::None => return,
        Change::Loaded => {
            tracing::info!(sha256 = status.sha256, "a new policy is in force");
            (Event::PolicyLoaded, Outcome::Success, Vec::new())
        }
        Change::Broken(error) => {
            app.metrics.policy_refused();
            tracing::error!(
                error,
                sha256 = status.sha256,
                "the policy file is broken; the one from before stays in force"
            );
            (Event::PolicyRefused, Outcome::Failure, vec![error])
        }
    };
    let entry = Entry::new(&app.system("policy"), event, outcome).reasons(reasons);
    let recorded = async {
        let entry = entry.details(json!({"rules": app.policy.current().size()}));
        entry.record(&mut *app.connection().await?).await
    };
    if let Err(error) = recorded.await {
        tracing::warn!(%error, "the change of the policy is not in the audit log");
    }
}
