//! The states of a runner and the one table of steps between them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::UnknownValue;

/// Where a runner is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// Asked for; no machine has come on line with it yet.
    Pending,
    /// GitHub says that it is on line.
    Active,
    /// Registered, and GitHub says that it is off line.
    Offline,
    /// Gone; [`DeletedReason`] says why. The end.
    Deleted,
}

/// Every step there is. Anything else is a [`TransitionError`].
const STEPS: &[(State, State)] = &[
    (State::Pending, State::Active),
    (State::Pending, State::Offline),
    (State::Pending, State::Deleted),
    (State::Active, State::Offline),
    (State::Active, State::Deleted),
    (State::Offline, State::Active),
    (State::Offline, State::Deleted),
];

/// A step that is not in the table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a runner can't go from {from} to {to}")]
pub struct TransitionError {
    /// Where it is.
    pub from: State,
    /// Where it was to go.
    pub to: State,
}

/// The state after a step, if there is such a step.
pub fn transition(from: State, to: State) -> Result<State, TransitionError> {
    if STEPS.contains(&(from, to)) { Ok(to) } else { Err(TransitionError { from, to }) }
}

impl State {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Offline, Self::Deleted];

    /// As the API and the database write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Offline => "offline",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl std::str::FromStr for State {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, UnknownValue> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| UnknownValue(text.to_owned()))
    }
}

/// Why a runner is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[sqlx(type_name = "text", rename_all = "kebab-case")]
pub enum DeletedReason {
    /// Its owner asked for it.
    Deprovisioned,
    /// GitHub refused to register it.
    ProvisionRefused,
    /// The answer of GitHub was lost, or the service died while waiting, and nothing usable was handed out.
    ProvisionInterrupted,
    /// No machine came on line with it while its secret was valid.
    NeverRegistered,
    /// Two complete listings of GitHub in a row lacked it: it did its job, or somebody deleted it there.
    GoneFromGithub,
    /// Off line for longer than the limit.
    Stale,
}

impl DeletedReason {
    /// As the API and the database write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deprovisioned => "deprovisioned",
            Self::ProvisionRefused => "provision-refused",
            Self::ProvisionInterrupted => "provision-interrupted",
            Self::NeverRegistered => "never-registered",
            Self::GoneFromGithub => "gone-from-github",
            Self::Stale => "stale",
        }
    }
}

/// How far the conversation with GitHub about a runner's secret went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Issuance {
    /// The intent is recorded; GitHub is being asked, or the service died while asking.
    Requested,
    /// GitHub was asked, and nobody knows what it did.
    Unknown,
    /// GitHub answered, and the answer is recorded.
    Issued,
}

impl Issuance {
    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Unknown => "unknown",
            Self::Issued => "issued",
        }
    }
}

/// The table as a diagram.
#[cfg(test)]
fn diagram() -> String {
    let mut lines = vec!["```mermaid".to_owned(), "stateDiagram-v2".to_owned(), "    [*] --> pending".to_owned()];
    lines.extend(STEPS.iter().map(|(from, to)| format!("    {from} --> {to}")));
    lines.extend(["    deleted --> [*]".to_owned(), "```".to_owned()]);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagram_in_the_docs_is_the_table() {
        let page = include_str!("../../../docs/states.md");
        assert!(page.contains(&diagram()), "docs/states.md must hold:\n{}", diagram());
    }

    #[test]
    fn nothing_leaves_deleted_or_returns_to_pending() {
        for state in State::ALL {
            assert!(transition(State::Deleted, state).is_err(), "{state}");
            assert!(transition(state, State::Pending).is_err(), "{state}");
            assert!(transition(state, state).is_err(), "{state}");
        }
    }

    #[test]
    fn every_live_state_can_end() {
        for state in [State::Pending, State::Active, State::Offline] {
            assert_eq!(transition(state, State::Deleted), Ok(State::Deleted));
        }
        let refused = transition(State::Deleted, State::Active).unwrap_err();
        assert_eq!(refused.to_string(), "a runner can't go from deleted to active");
    }
}
