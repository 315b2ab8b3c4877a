//! Reading runners, one or many. Each read leaves an audit entry before anything is told; one statement needs no
//! transaction around it, and what is read changes nothing that could need to be undone.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Caller, OperationError};
use crate::audit::{Entry, Event, Outcome};
use crate::runner::State;
use crate::store::runners::{self, Page, Runner};

/// A page of runners.
pub struct Listing {
    /// The newest first.
    pub runners: Vec<Runner>,
    /// How many there are on all pages.
    pub total: i64,
    /// Where the next page starts, if there is one.
    pub next: Option<Uuid>,
}

/// Which page.
#[derive(Clone, Debug, Default)]
pub struct ListCall {
    /// Only of this state; otherwise all live ones.
    pub state: Option<State>,
    /// Only with this label.
    pub label: Option<String>,
    /// Only older than this one.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// The caller's runner of this name or id.
pub async fn read(conn: &mut PgConnection, caller: &Caller, name_or_id: &str) -> Result<Runner, OperationError> {
    let found = find(conn, caller, name_or_id).await;
    let entry = match &found {
        Ok(runner) => Entry::new(&caller.origin, Event::RunnerRead, Outcome::Success).runner(runner),
        Err(error) => not_found(caller, Event::RunnerRead, name_or_id, error),
    };
    entry.record(conn).await?;
    found
}

/// A page of the caller's runners.
pub async fn list(conn: &mut PgConnection, caller: &Caller, call: &ListCall) -> Result<Listing, OperationError> {
    let owners = caller.owners();
    // One more than asked for tells whether there is a next page.
    let page = Page {
        owners: &owners,
        state: call.state,
        label: call.label.as_deref(),
        before: call.before,
        limit: call.limit.saturating_add(1),
    };
    let mut found = runners::page(conn, &page).await?;
    let returned = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let more = returned > call.limit;
    // Whoever sees all of them on one page has counted them.
    let total = if more || call.before.is_some() { runners::count(conn, &page).await? } else { returned };
    found.truncate(usize::try_from(call.limit).unwrap_or_default());
    let details = json!({"returned": found.len(), "total": total});
    let entry = Entry::new(&caller.origin, Event::RunnerListed, Outcome::Success).details(details);
    entry.record(conn).await?;
    let next = found.last().filter(|_| more).map(|runner| runner.id);
    Ok(Listing { runners: found, total, next })
}

/// The caller's runner: by id, also a deleted one, else a live one by name.
pub(super) async fn find(conn: &mut PgConnection, caller: &Caller, name_or_id: &str) -> Result<Runner, OperationError> {
    let owners = caller.owners();
    if let Ok(id) = Uuid::parse_str(name_or_id)
        && let Some(runner) = runners::find_by_id(conn, &owners, id).await?
    {
        return Ok(runner);
    }
    // No recorded name holds a NUL, and PostgreSQL would not even compare it.
    if name_or_id.contains('\0') {
        return Err(OperationError::RunnerNotFound);
    }
    runners::find_by_name(conn, &owners, name_or_id).await?.ok_or(OperationError::RunnerNotFound)
}

/// The entry of a look-up that found nothing. What was looked for is the caller's text, so it is shortened.
pub(super) fn not_found(caller: &Caller, event: Event, name_or_id: &str, error: &OperationError) -> Entry {
    let name: String = name_or_id.chars().filter(|each| !each.is_control()).take(64).collect();
    Entry::new(&caller.origin, event, Outcome::Denied).name(&name).reasons([error.to_string()])
}
