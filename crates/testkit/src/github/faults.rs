//! Faults that a test orders: each is used up by the next calls to its endpoint.

use std::time::Duration;

use serde::Serialize;

/// What a call asks for. The variants of an endpoint for organisations, repositories and enterprises count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Every endpoint, in [`FakeGithub::inject`](super::FakeGithub::inject) alone.
    Any,
    /// `GET /app`.
    App,
    /// `GET /app/installations…`, `GET /orgs/{org}/installation`, `GET /repos/{owner}/{repo}/installation`.
    Installation,
    /// `POST /app/installations/{id}/access_tokens`.
    AccessToken,
    /// `POST …/actions/runners/registration-token`.
    RegistrationToken,
    /// `POST …/actions/runners/remove-token`.
    RemoveToken,
    /// `POST …/actions/runners/generate-jitconfig`.
    JitConfig,
    /// `GET …/actions/runners`.
    ListRunners,
    /// `GET …/actions/runners/{id}`.
    GetRunner,
    /// `DELETE …/actions/runners/{id}`.
    DeleteRunner,
    /// `GET`, `POST`, `PUT` and `DELETE …/actions/runners/{id}/labels`.
    RunnerLabels,
    /// `GET …/actions/runner-groups`.
    ListRunnerGroups,
    /// `GET …/actions/runner-groups/{id}`.
    GetRunnerGroup,
    /// `GET /orgs/{org}` and `GET /repos/{owner}/{repo}`.
    Account,
    /// `GET /app/hook/config`.
    AppHook,
    /// `GET /rate_limit`.
    RateLimit,
    /// `GET /meta`.
    Meta,
    /// A machine that registers with a registration token, as `config.sh` does.
    MachineRegistration,
    /// A machine that reports what it does, as the runner's own program does.
    MachineSession,
    /// The demo's controls under `/fake/`.
    Control,
    /// Anything else.
    Unknown,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status; nothing has changed.
    BeforeCommit(u16),
    /// Does what was asked, then answers with this status: the answer is lost.
    AfterCommit(u16),
    /// Waits this long and then goes on as usual; a client that gives up meanwhile has changed nothing.
    HangBeforeCommit(Duration),
    /// Does what was asked, then waits this long before it says so.
    HangAfterCommit(Duration),
    /// Does what was asked, then closes the connection in the middle of the answer.
    CutOff,
    /// Does what was asked, then answers with the right status and this body.
    Body(String),
    /// Does what was asked, then answers with the right status and a body that does not end.
    Endless,
    /// Answers with this status, these headers and this body, as somebody in GitHub's place might; nothing has changed.
    Instead(u16, Vec<(&'static str, String)>, String),
    /// The hourly limit is used up, answered as 403 or 429, until so much later.
    PrimaryLimit(u16, Duration),
    /// Too much in a short time, answered as 403 or 429; says when to come back, or not.
    SecondaryLimit(u16, Option<Duration>),
    /// 403: the installation is suspended.
    SuspendedInstallation,
    /// 403: the installation lacks a permission.
    MissingPermission,
    /// On [`Endpoint::AccessToken`]: the new token is refused for so long.
    FreshTokenRefused(Duration),
    /// On endpoints that make a runner: listings leave it out for so long.
    ReplicationLag(Duration),
    /// On endpoints that make or delete a runner: it counts as busy for so long, though offline.
    PhantomBusy(Duration),
    /// On endpoints that make a runner: it is gone after so long, whether a machine has started or not.
    VanishesEarly(Duration),
}

/// Faults that wait for their calls.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    endpoint: Endpoint,
    /// Only this page of a list.
    page: Option<u64>,
    fault: Fault,
    left: usize,
}

impl Faults {
    pub(crate) fn add(&mut self, endpoint: Endpoint, page: Option<u64>, fault: Fault, times: usize) {
        self.waiting.push(Waiting { endpoint, page, fault, left: times });
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The oldest fault for this endpoint and page, used up by one.
    pub(crate) fn take(&mut self, endpoint: Endpoint, page: Option<u64>) -> Option<Fault> {
        let fits = |one: &&mut Waiting| {
            (one.endpoint == endpoint || one.endpoint == Endpoint::Any) && (one.page.is_none() || one.page == page)
        };
        let waiting = self.waiting.iter_mut().find(fits)?;
        waiting.left = waiting.left.saturating_sub(1);
        let fault = waiting.fault.clone();
        self.waiting.retain(|one| one.left > 0);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_used_up_in_order_by_their_own_endpoint() {
        let mut faults = Faults::default();
        faults.add(Endpoint::JitConfig, None, Fault::BeforeCommit(500), 2);
        faults.add(Endpoint::Any, None, Fault::AfterCommit(502), 1);
        assert_eq!(faults.take(Endpoint::JitConfig, None), Some(Fault::BeforeCommit(500)));
        assert_eq!(faults.take(Endpoint::ListRunners, None), Some(Fault::AfterCommit(502)));
        assert_eq!(faults.take(Endpoint::ListRunners, None), None);
        assert_eq!(faults.take(Endpoint::JitConfig, None), Some(Fault::BeforeCommit(500)));
        assert_eq!(faults.take(Endpoint::JitConfig, None), None);
    }

    #[test]
    fn a_page_has_faults_of_its_own() {
        let mut faults = Faults::default();
        faults.add(Endpoint::ListRunners, Some(7), Fault::BeforeCommit(502), 1);
        assert_eq!(faults.take(Endpoint::ListRunners, Some(6)), None);
        assert_eq!(faults.take(Endpoint::ListRunners, None), None);
        assert_eq!(faults.take(Endpoint::ListRunners, Some(7)), Some(Fault::BeforeCommit(502)));
        assert_eq!(faults.take(Endpoint::ListRunners, Some(7)), None);
    }
}
