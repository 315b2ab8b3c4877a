//! The kill switch: refuses somebody at once on all replicas, and takes away what they have.
//!
//! A revocation and a provision never cross: who revokes waits for the transactions that add runners, and finds what
//! they added; each transaction after that finds the revocation. A secret that GitHub is being asked for meanwhile goes
//! to nobody.

use identity::Identity;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{App, OperationError, try_drain};
use crate::audit::{Actor, Entry, Event, Origin, Outcome};
use crate::causes::causes;
use crate::github::Priority;
use crate::policy::{ClaimValue, Revoked, Who};
use crate::runner::State;
use crate::store::revocations::{self, Revocation};
use crate::store::runners::{self, Runner};

/// What a caller is revoked by, if they are.
pub async fn revocation_of(conn: &mut PgConnection, caller: &Identity) -> sqlx::Result<Option<Revoked>> {
    let revocations = revocations::list(conn, Some(&caller.principal.issuer)).await?;
    Ok(revocations.into_iter().map(|revocation| revocation.revoked).find(|revoked| revoked.is_about(caller)))
}

/// Refuses whoever is revoked. Nobody is revoked from here until the transaction ends.
pub(super) async fn hold_off_revocations(conn: &mut PgConnection, caller: &Identity) -> Result<(), OperationError> {
    revocations::lock_shared(conn).await?;
    let revoked = revocation_of(conn, caller).await?;
    revoked.map_or(Ok(()), |revoked| Err(OperationError::Revoked(revoked.to_string())))
}

/// Revokes somebody, and puts all runners that they asked for into the drain queue. Safe to repeat. The runners' ids.
pub async fn revoke(app: &App, origin: &Origin, revoked: Revoked, reason: &str) -> Result<Vec<Uuid>, OperationError> {
    let now = app.clock.now();
    let mut transaction = app.begin().await?;
    revocations::lock(&mut transaction).await?;
    let revocation =
        Revocation { revoked, reason: reason.to_owned(), revoked_by: name_of(&origin.actor), revoked_at: now };
    revocations::insert(&mut transaction, &revocation).await?;
    let ids = revocations::runners_of(&mut transaction, &revocation.revoked).await?;
    runners::set_all_draining(&mut transaction, &ids, now).await?;
    let details = json!({"revoked": described(&revocation.revoked), "runners": ids.len()});
    let entry = Entry::new(origin, Event::PrincipalRevoked, Outcome::Success).reasons([reason]).details(details);
    entry.record(&mut transaction).await?;
    transaction.commit().await?;
    tracing::warn!(revoked = %revocation.revoked, runners = ids.len(), "revoked");
    Ok(ids)
}

/// What a revocation would do if it were made now.
#[derive(Debug)]
pub struct Prospect {
    /// It is made already.
    pub is_revoked: bool,
    /// Live runners of those whom it is about, the oldest first.
    pub runners: Vec<Runner>,
    /// Of these, how many GitHub is being asked for a secret for: it goes to nobody.
    pub under_way: usize,
}

impl Prospect {
    /// How many of the runners are in this state.
    pub fn count(&self, state: State) -> usize {
        self.runners.iter().filter(|runner| runner.state == state).count()
    }

    /// How many of them are to go already.
    pub fn draining(&self) -> usize {
        self.runners.iter().filter(|runner| runner.drain_requested_at.is_some()).count()
    }

    /// How many of them run a job, which may end first.
    pub fn busy(&self) -> usize {
        self.runners.iter().filter(|runner| runner.busy).count()
    }
}

/// Looks at what [`revoke`] would do, and changes nothing.
pub async fn prospect(app: &App, revoked: &Revoked) -> Result<Prospect, OperationError> {
    let mut conn = app.connection().await?;
    let made = revocations::list(&mut conn, Some(&revoked.issuer)).await?;
    let ids = revocations::runners_of(&mut conn, revoked).await?;
    let runners = runners::find_all(&mut conn, &ids).await?;
    let now = app.clock.now();
    Ok(Prospect {
        is_revoked: made.iter().any(|revocation| revocation.revoked == *revoked),
        under_way: runners.iter().filter(|runner| app.is_under_way(runner, now)).count(),
        runners,
    })
}

/// Takes a revocation back. Runners that are in the drain queue for it still go.
pub async fn restore(app: &App, origin: &Origin, revoked: &Revoked) -> Result<(), OperationError> {
    let mut transaction = app.begin().await?;
    if !revocations::delete(&mut transaction, revoked).await? {
        return Err(OperationError::NotRevoked(revoked.to_string()));
    }
    let entry = Entry::new(origin, Event::PrincipalRestored, Outcome::Success);
    entry.details(json!({"revoked": described(revoked)})).record(&mut transaction).await?;
    transaction.commit().await?;
    tracing::warn!(%revoked, "restored");
    Ok(())
}

/// What has become of a runner that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It is gone.
    Gone,
    /// It runs a job, GitHub did not do it, or its secret is being asked for: the drain queue goes on trying.
    Waits,
}

/// Tries to take a runner of somebody revoked away now, instead of at the next round of the drain queue.
pub async fn depart(app: &App, origin: &Origin, id: Uuid) -> Result<Departure, OperationError> {
    let runner = runners::find(&mut *app.connection().await?, id).await?.ok_or(OperationError::RunnerNotFound)?;
    if runner.state == State::Deleted {
        return Ok(Departure::Gone);
    }
    if app.is_under_way(&runner, app.clock.now()) {
        return Ok(Departure::Waits);
    }
    let entry = Entry::new(origin, Event::DeprovisionRequested, Outcome::Success).runner(&runner);
    entry.details(json!({"revoked": true})).record(&mut *app.connection().await?).await?;
    match try_drain(app, origin, runner, Priority::Request).await {
        Ok(runner) if runner.state == State::Deleted => Ok(Departure::Gone),
        Ok(_) => Ok(Departure::Waits),
        Err(error) => {
            tracing::warn!(runner = %id, error = %causes(&error), "a runner of somebody revoked is still there");
            Ok(Departure::Waits)
        }
    }
}

fn described(revoked: &Revoked) -> Value {
    match &revoked.who {
        Who::Subject(subject) => json!({"issuer": revoked.issuer, "subject": subject}),
        Who::Claim(ClaimValue { name, value }) => json!({"issuer": revoked.issuer, "claim": name, "value": value}),
        Who::Everybody => json!({"issuer": revoked.issuer, "whole_issuer": true}),
    }
}

fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Principal(identity) => identity.name.clone(),
        Actor::Anonymous => "nobody".to_owned(),
        Actor::System(job) => (*job).to_owned(),
        Actor::Admin(account) => account.clone(),
    }
}
