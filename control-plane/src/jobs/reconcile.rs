//! Compares the records with complete listings of GitHub.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Turn, interrupted};
use crate::audit::{Entry, Event, Origin, Outcome};
use crate::github::{Priority, RemoteRunner};
use crate::operations::{App, Observation, OperationError, delete, is_news, observe, ours};
use crate::runner::{DeletedReason, Issuance, State, Target};
use crate::store::cache;
use crate::store::runners::{self, Runner};

/// So many vanished runners are asked for one by one in a round; the rest wait for the next.
const MAX_CONFIRMATIONS: u32 = 50;

/// What a round found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// Runners on GitHub, ours and others'.
    pub listed: usize,
    /// Runners of ours that were compared.
    pub compared: usize,
    /// That came on line.
    pub active: u32,
    /// That went off line.
    pub offline: u32,
    /// That are gone from GitHub.
    pub gone: u32,
    /// Interrupted provisions that were finished or undone, and runners that they left and that showed up late.
    pub resolved: u32,
    /// That could not be dealt with; the log says why.
    pub failed: u32,
}

/// Compares every target that has runners, and the default one. A target that can't be listed is left as it is, and
/// the first such error is returned after the others are done.
pub async fn reconcile(app: &App, origin: &Origin, turn: &Turn) -> Result<Summary, OperationError> {
    let mut targets = vec![app.defaults.target.clone()];
    for text in runners::live_targets(&mut *app.connection().await?).await? {
        let target: Target = text.parse()?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut summary = Summary::default();
    let mut first_error = None;
    for target in &targets {
        if let Err(error) = one_target(app, origin, target, &mut summary, turn).await {
            tracing::warn!(%target, %error, "a target could not be compared");
            first_error = first_error.or(Some(error));
        }
    }
    if summary.active > 0 || summary.offline > 0 || summary.gone > 0 || summary.resolved > 0 {
        let entry = Entry::new(origin, Event::SyncCompleted, Outcome::Success);
        entry.details(serde_json::json!(summary)).record(&mut *app.connection().await?).await?;
    }
    first_error.map_or(Ok(summary), Err)
}

async fn one_target(
    app: &App,
    origin: &Origin,
    target: &Target,
    summary: &mut Summary,
    turn: &Turn,
) -> Result<(), OperationError> {
    let started = app.clock.now();
    let listing = app.github.runners(target).await?;
    // What was asked for while GitHub answered may be on it: nothing on it is known to have been there any earlier.
    let listed = app.clock.now();
    let rows = runners::live_of_target(&mut *app.connection().await?, target).await?;
    let round = Round::new(app, origin, started, &listing, turn);
    summary.listed = summary.listed.saturating_add(listing.len());
    summary.compared = summary.compared.saturating_add(rows.len());
    let mut confirmations = 0_u32;
    for row in &rows {
        let step = round.judge(row);
        if step == Step::Confirm {
            confirmations = confirmations.saturating_add(1);
            if confirmations > MAX_CONFIRMATIONS {
                continue;
            }
        }
        match round.take(row, step).await {
            Ok(done) => summary.add(done),
            Err(error) => {
                summary.failed = summary.failed.saturating_add(1);
                tracing::warn!(runner = %row.id, name = row.name, %error, "a runner could not be compared");
            }
        }
    }
    let mut transaction = app.begin().await?;
    cache::replace(&mut transaction, target, &listing, listed).await?;
    transaction.commit().await?;
    let removed = interrupted::sweep(app, origin, target, &listing, started, turn).await?;
    summary.resolved = summary.resolved.saturating_add(removed);
    Ok(())
}

/// What there is to do about a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// GitHub lists it, or one of its name.
    Observe,
    /// A complete listing lacks it for the first time.
    FirstMiss,
    /// And now for the second: GitHub is asked for it alone.
    Confirm,
    /// Its provision was interrupted.
    Resolve,
}

/// What came of it.
#[derive(Clone, Copy)]
enum Done {
    Nothing,
    Moved(State),
    Gone,
    Resolved,
}

struct Round<'a> {
    app: &'a App,
    origin: &'a Origin,
    started: DateTime<Utc>,
    by_id: HashMap<i64, &'a RemoteRunner>,
    by_name: HashMap<String, &'a RemoteRunner>,
    turn: &'a Turn,
}

impl<'a> Round<'a> {
    fn new(
        app: &'a App,
        origin: &'a Origin,
        started: DateTime<Utc>,
        listing: &'a [RemoteRunner],
        turn: &'a Turn,
    ) -> Self {
        let by_id = listing.iter().map(|remote| (remote.id, remote)).collect();
        let by_name = listing.iter().map(|remote| (remote.name.to_ascii_lowercase(), remote)).collect();
        Self { app, origin, started, by_id, by_name, turn }
    }

    /// By id if it is known; a name is only the way to an id that is not.
    fn listed(&self, row: &Runner) -> Option<&'a RemoteRunner> {
        match row.github_runner_id {
            Some(id) => self.by_id.get(&id).copied(),
            None => self.by_name.get(&row.name.to_ascii_lowercase()).copied(),
        }
    }

    fn judge(&self, row: &Runner) -> Step {
        // A brand-new runner may be missing from listings for a while, and an attempt may still be under way.
        let settled = self.app.is_overdue(row, self.started);
        match (row.issuance, self.listed(row)) {
            (Issuance::Requested | Issuance::Unknown, _) if settled => Step::Resolve,
            (Issuance::Requested | Issuance::Unknown, _) => Step::Nothing,
            (Issuance::Issued, Some(_)) => Step::Observe,
            (Issuance::Issued, None) if row.github_runner_id.is_none() || !settled => Step::Nothing,
            (Issuance::Issued, None) => match row.missing_since {
                None => Step::FirstMiss,
                Some(since) if since < self.started => Step::Confirm,
                Some(_) => Step::Nothing,
            },
        }
    }

    async fn take(&self, row: &Runner, step: Step) -> Result<Done, OperationError> {
        match step {
            Step::Nothing => Ok(Done::Nothing),
            Step::Observe => match self.listed(row) {
                Some(remote) => self.observe(row, remote).await,
                None => Ok(Done::Nothing),
            },
            Step::FirstMiss => {
                runners::set_missing(&mut *self.app.connection().await?, row.id, self.started).await?;
                Ok(Done::Nothing)
            }
            Step::Confirm => self.confirm(row).await,
            Step::Resolve => {
                interrupted::resolve(self.app, self.origin, row, self.turn).await?;
                Ok(Done::Resolved)
            }
        }
    }

    async fn observe(&self, row: &Runner, remote: &RemoteRunner) -> Result<Done, OperationError> {
        // Most of them most of the time, and each transaction that is not begun counts.
        if !is_news(row, remote) {
            return Ok(Done::Nothing);
        }
        let mut transaction = self.app.begin().await?;
        let Some(row) = same(&mut transaction, row).await? else { return Ok(Done::Nothing) };
        if !ours(&mut transaction, &row, remote).await? {
            return Ok(Done::Nothing);
        }
        let seen = observe(&mut transaction, self.origin, &row, remote, self.app.clock.now()).await?;
        transaction.commit().await?;
        Ok(match seen {
            Observation::Unchanged => Done::Nothing,
            Observation::Moved(state) => Done::Moved(state),
        })
    }

    async fn confirm(&self, row: &Runner) -> Result<Done, OperationError> {
        let Some(id) = row.github_runner_id else { return Ok(Done::Nothing) };
        if let Some(remote) = self.app.github.runner(&row.target()?, id, Priority::Background).await? {
            return self.observe(row, &remote).await;
        }
        let mut transaction = self.app.begin().await?;
        let Some(row) = same(&mut transaction, row).await? else { return Ok(Done::Nothing) };
        let now = self.app.clock.now();
        delete(&mut transaction, self.origin, &row, DeletedReason::GoneFromGithub, now).await?;
        transaction.commit().await?;
        Ok(Done::Gone)
    }
}

/// The row, locked, unless something happened to it since it was read.
pub(super) async fn same(conn: &mut sqlx::PgConnection, row: &Runner) -> sqlx::Result<Option<Runner>> {
    let locked = runners::lock(conn, row.id).await?;
    Ok(locked.filter(|locked| locked.state != State::Deleted && locked.updated_at == row.updated_at))
}

impl Summary {
    fn add(&mut self, done: Done) {
        let count = match done {
            Done::Nothing | Done::Moved(State::Pending | State::Deleted) => return,
            Done::Moved(State::Active) => &mut self.active,
            Done::Moved(State::Offline) => &mut self.offline,
            Done::Gone => &mut self.gone,
            Done::Resolved => &mut self.resolved,
        };
        *count = count.saturating_add(1);
    }
}
