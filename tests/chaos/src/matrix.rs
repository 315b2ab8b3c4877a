//! What is tried: each way to fail, of each part.

use std::time::Duration;

use testkit::github::{Endpoint, Fault};
use testkit::issuer::JwksFault;
use testkit::wire::Wiring;

/// A part of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    ControlPlane,
    Postgres,
    Github,
    Issuer,
    Envoy,
}

impl Part {
    pub(crate) const ALL: [Self; 5] = [Self::ControlPlane, Self::Github, Self::Envoy, Self::Postgres, Self::Issuer];

    /// As tables have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "control plane",
            Self::Postgres => "Postgres",
            Self::Github => "GitHub",
            Self::Issuer => "issuer",
            Self::Envoy => "Envoy",
        }
    }
}

/// Which of the control planes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom {
    One,
    All,
}

/// What is done to a part.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    KillControlPlanes(Whom),
    StopControlPlane,
    FreezeControlPlanes(Whom),
    ControlPlaneWires(Whom, Wiring),
    KillPostgres,
    FreezePostgres,
    EndSessions,
    PostgresWire(Wiring),
    GithubWire(Wiring),
    /// Befalls every call that the control planes make.
    Github(Fault),
    IssuerWire(Wiring),
    /// Breaks the answer with the keys, and makes new ones, so that they are asked for.
    Keys(JwksFault),
    KillEnvoy,
    FreezeEnvoy,
    /// The filter's VM meets a request at which it traps, over and over.
    Trap,
}

/// One way to fail.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) part: Part,
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    /// How long it lasts, where that matters.
    pub(crate) lasts: Option<Duration>,
}

/// What the control planes ask GitHub for.
pub(crate) const ASKED: [Endpoint; 7] = [
    Endpoint::AccessToken,
    Endpoint::RegistrationToken,
    Endpoint::JitConfig,
    Endpoint::ListRunners,
    Endpoint::GetRunner,
    Endpoint::DeleteRunner,
    Endpoint::Installation,
];

/// Longer than an interrupted provision stays open: whoever wakes up after it finds that others have put it right.
const LONG: Duration = Duration::from_secs(20);
/// Each piece, in each direction.
const SLOW: Duration = Duration::from_millis(150);
/// Longer than the control planes wait for GitHub.
const TOO_LATE: Duration = Duration::from_millis(1500);

const fn case(part: Part, name: &'static str, action: Action) -> Case {
    Case { part, name, action, lasts: None }
}

/// Every case of a part.
pub(crate) fn cases(part: Part) -> Vec<Case> {
    match part {
        Part::ControlPlane => control_plane(),
        Part::Postgres => postgres(),
        Part::Github => github(),
        Part::Issuer => issuer(),
        Part::Envoy => envoy(),
    }
}

fn control_plane() -> Vec<Case> {
    use Whom::{All, One};
    let case = |name, action| case(Part::ControlPlane, name, action);
    vec![
        case("one killed", Action::KillControlPlanes(One)),
        case("all killed", Action::KillControlPlanes(All)),
        case("one told to stop", Action::StopControlPlane),
        case("one frozen", Action::FreezeControlPlanes(One)),
        Case { lasts: Some(LONG), ..case("one frozen for long", Action::FreezeControlPlanes(One)) },
        case("all frozen", Action::FreezeControlPlanes(All)),
        case("one slow", Action::ControlPlaneWires(One, Wiring::Delay(SLOW))),
        case("all slow", Action::ControlPlaneWires(All, Wiring::Delay(SLOW))),
        case("one reset", Action::ControlPlaneWires(One, Wiring::Cut)),
        case("all reset", Action::ControlPlaneWires(All, Wiring::Cut)),
        case("one gives 503", Action::ControlPlaneWires(One, Wiring::Unavailable)),
        case("one gives noise", Action::ControlPlaneWires(One, Wiring::Garbage)),
        case("all give noise", Action::ControlPlaneWires(All, Wiring::Garbage)),
    ]
}

fn postgres() -> Vec<Case> {
    let case = |name, action| case(Part::Postgres, name, action);
    vec![
        case("killed", Action::KillPostgres),
        case("frozen", Action::FreezePostgres),
        Case { lasts: Some(LONG), ..case("frozen for long", Action::FreezePostgres) },
        case("slow", Action::PostgresWire(Wiring::Delay(SLOW))),
        case("stalled", Action::PostgresWire(Wiring::Stall)),
        case("reset", Action::PostgresWire(Wiring::Cut)),
        case("refuses", Action::PostgresWire(Wiring::Refuse)),
        case("ends every session", Action::EndSessions),
        case("gives noise", Action::PostgresWire(Wiring::Garbage)),
    ]
}

fn github() -> Vec<Case> {
    let case = |name, action| case(Part::Github, name, action);
    vec![
        case("refuses", Action::GithubWire(Wiring::Refuse)),
        case("stalled", Action::GithubWire(Wiring::Stall)),
        case("slow", Action::GithubWire(Wiring::Delay(SLOW))),
        case("reset", Action::GithubWire(Wiring::Cut)),
        case("gives noise", Action::GithubWire(Wiring::Garbage)),
        case("503, nothing done", Action::Github(Fault::BeforeCommit(503))),
        case("502, but done", Action::Github(Fault::AfterCommit(502))),
        case("answers cut off", Action::Github(Fault::CutOff)),
        case("done, but too late", Action::Github(Fault::HangAfterCommit(TOO_LATE))),
        case("garbage as JSON", Action::Github(Fault::Body("{\"runner\": [], \"token\": 7".to_owned()))),
        case("secondary limit", Action::Github(Fault::SecondaryLimit(429, Some(Duration::from_secs(1))))),
        case("suspended", Action::Github(Fault::SuspendedInstallation)),
    ]
}

fn issuer() -> Vec<Case> {
    let case = |name, action| case(Part::Issuer, name, action);
    vec![
        case("refuses", Action::IssuerWire(Wiring::Refuse)),
        case("stalled", Action::IssuerWire(Wiring::Stall)),
        case("slow", Action::IssuerWire(Wiring::Delay(SLOW))),
        case("reset", Action::IssuerWire(Wiring::Cut)),
        case("503", Action::Keys(JwksFault::Status(503))),
        case("gives noise", Action::IssuerWire(Wiring::Garbage)),
        case("no JSON", Action::Keys(JwksFault::Garbage)),
        case("megabytes of keys", Action::Keys(JwksFault::Huge)),
        case("no keys", Action::Keys(JwksFault::Body("{\"keys\": []}".to_owned()))),
    ]
}

fn envoy() -> Vec<Case> {
    let case = |name, action| case(Part::Envoy, name, action);
    vec![
        case("killed", Action::KillEnvoy),
        case("frozen", Action::FreezeEnvoy),
        case("the filter's VM traps", Action::Trap),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_part_has_cases_of_its_own_name() {
        for part in Part::ALL {
            let cases = cases(part);
            let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
            assert!(!cases.is_empty() && cases.iter().all(|case| case.part == part), "{part:?}");
            assert_eq!(names.len(), cases.len(), "{part:?}");
        }
    }
}
