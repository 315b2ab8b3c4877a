//! What can go wrong with GitHub, told apart by what to do about it.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};

use super::budget::LONGEST_PAUSE;
use crate::causes::causes;
use crate::runner::Target;

/// A call waits no longer than this for a limit to pass; whoever asked is told to come back instead.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("GitHub{at}: {kind}", at = if *.before_call { ", before the call, at the App's token" } else { "" })]
pub struct GithubError {
    /// What happened.
    pub kind: Kind,
    /// It happened while the App's token was fetched, so the call itself was never made.
    pub before_call: bool,
}

/// What happened. The texts are for logs: they quote GitHub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// 401: wrong App id or key, or a clock that is wrong by minutes.
    #[error("credentials refused: {0}")]
    Credentials(String),
    /// 403: an owner of the organisation suspended the installation.
    #[error("the installation is suspended")]
    Suspended,
    /// Nothing that the target could be reached with is configured.
    #[error("no credentials for {0} are configured")]
    NoCredentials(Target),
    /// 401 or 403: the enterprise token.
    #[error("the enterprise token is refused: {0}")]
    EnterpriseToken(String),
    /// 403: a permission that is missing or not yet approved, or something forbidden to everybody.
    #[error("not permitted: {0}")]
    Permission(String),
    /// 403 or 429: too many calls.
    #[error("rate limit reached")]
    RateLimited(Option<Duration>),
    /// 404: no such thing, or none that the installation may see.
    #[error("not found")]
    NotFound,
    /// No such runner group, or one that takes no runners.
    #[error("no runner group {0} that takes runners")]
    Group(i64),
    /// 409: a runner of this name exists.
    #[error("a runner of this name exists")]
    NameConflict,
    /// 422: the runner runs a job.
    #[error("the runner is running a job")]
    Busy,
    /// A redirection, which is not followed: the target was renamed, or the API is at another address.
    #[error("redirected with status {0}")]
    Moved(u16),
    /// Another 4xx.
    #[error("refused with status {0}: {1}")]
    Invalid(u16, String),
    /// 5xx. What was asked may have been done.
    #[error("failed with status {0}: {1}")]
    Outage(u16, String),
    /// No answer in time. What was asked may have been done.
    #[error("no answer in time")]
    TimedOut,
    /// No connection: nothing was asked.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection broke or the answer made no sense. What was asked may have been done.
    #[error("the answer was lost: {0}")]
    AnswerLost(String),
}

impl Kind {
    /// The same without GitHub's words.
    pub fn brief(&self) -> &'static str {
        match self {
            Self::Credentials(_) | Self::EnterpriseToken(_) => "GitHub refuses this service's credentials",
            Self::NoCredentials(_) => "this service has no access to the target any more",
            Self::Suspended => "the installation of this service's App is suspended",
            Self::Permission(_) => "GitHub does not let this service's App do this",
            Self::RateLimited(_) => "GitHub takes no more calls for now",
            Self::NotFound | Self::Group(_) | Self::Moved(_) => "GitHub does not find the target",
            Self::Busy => "the runner is running a job",
            Self::NameConflict | Self::Invalid(..) => "GitHub refuses it",
            Self::Outage(..) | Self::TimedOut | Self::Unreachable(_) | Self::AnswerLost(_) => "GitHub does not answer",
        }
    }
}

impl GithubError {
    /// GitHub certainly did nothing: it refused, or was never asked. Otherwise nobody knows.
    pub fn is_definite(&self) -> bool {
        let unknown = matches!(self.kind, Kind::Outage(..) | Kind::TimedOut | Kind::AnswerLost(_));
        self.before_call || !unknown
    }

    /// What an operator should do, where there is something to do.
    pub fn remedy(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Credentials(_) => Some(
                "check GITHUB_APP_ID, that GITHUB_APP_PRIVATE_KEY_PATH is a current key of that App, and the clock",
            ),
            Kind::Suspended => Some("an owner of the organisation must un-suspend the App's installation"),
            Kind::Moved(_) => Some(
                "use the new name if the organisation, repository or enterprise was renamed, else check that \
                 GITHUB_API_URL is the API's own address",
            ),
            Kind::NotFound if self.before_call => {
                Some("check GITHUB_APP_INSTALLATION_ID and GITHUB_INSTALLATIONS, and that the App is installed there")
            }
            Kind::NoCredentials(Target::Enterprise(_)) => Some(
                "GitHub lets no App manage an enterprise's runners; set GITHUB_ENTERPRISE_TOKEN to a classic personal \
                 access token of an enterprise owner with the scope manage_runners:enterprise",
            ),
            Kind::NoCredentials(_) => {
                Some("install the App on the account and add LOGIN=ID of the installation to GITHUB_INSTALLATIONS")
            }
            Kind::EnterpriseToken(_) => Some(
                "GITHUB_ENTERPRISE_TOKEN must be a classic personal access token of an enterprise owner with the scope \
                 manage_runners:enterprise, and not have ended",
            ),
            Kind::Permission(_) => Some(
                "give the App the permission `Self-hosted runners: write` (repositories: `Administration: write`) and \
                 have an owner approve it",
            ),
            _ => None,
        }
    }

    /// Whether it may be over in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match &self.kind {
            Kind::Outage(..) | Kind::AnswerLost(_) | Kind::Unreachable(_) => true,
            Kind::RateLimited(_) => self.wait().is_some(),
            _ => false,
        }
    }

    /// How long GitHub asks to wait.
    pub(super) fn told_wait(&self) -> Option<Duration> {
        match self.kind {
            Kind::RateLimited(wait) => wait,
            _ => None,
        }
    }

    /// How long GitHub asks to wait, if that is short enough to wait for.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.told_wait().filter(|&wait| wait <= LONGEST_WAIT)
    }

    /// The same for a call with the enterprise token, which has no App and no permissions.
    pub(super) fn of_enterprise_token(self) -> Self {
        match self.kind {
            Kind::Credentials(text) | Kind::Permission(text) => Self { kind: Kind::EnterpriseToken(text), ..self },
            kind => Self { kind, ..self },
        }
    }

    pub(super) fn timed_out() -> Self {
        Self { kind: Kind::TimedOut, before_call: false }
    }

    pub(super) fn incomplete() -> Self {
        Self::lost("the listing is not complete: it changed while its pages were read")
    }

    pub(super) fn lost(text: &str) -> Self {
        Self { kind: Kind::AnswerLost(text.to_owned()), before_call: false }
    }

    pub(super) fn before(self) -> Self {
        Self { before_call: true, ..self }
    }

    pub(super) fn moved(status: StatusCode) -> Self {
        Self { kind: Kind::Moved(status.as_u16()), before_call: false }
    }

    /// No answer came.
    pub(super) fn of_transport(error: octocrab::Error) -> Self {
        let kind = match error {
            octocrab::Error::JWT { source, .. } => Kind::Credentials(format!("the key can't sign: {source}")),
            octocrab::Error::Service { source, .. } if was_refused(source.as_ref()) => {
                Kind::Unreachable(causes(source.as_ref()))
            }
            other => Kind::AnswerLost(causes(&other)),
        };
        Self { kind, before_call: false }
    }

    /// GitHub said no, in these words.
    pub(super) fn of_refusal(status: StatusCode, message: &str, headers: &HeaderMap, now: DateTime<Utc>) -> Self {
        Self { kind: classify(status, message, headers, now), before_call: false }
    }
}

fn classify(status: StatusCode, message: &str, headers: &HeaderMap, now: DateTime<Utc>) -> Kind {
    // A proxy's page would fill the log, and PostgreSQL takes no NUL.
    let short = || message.chars().filter(|each| !each.is_control()).take(300).collect::<String>();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let exhausted = header("x-ratelimit-remaining") == Some("0") || header("retry-after").is_some();
    let lower = message.to_ascii_lowercase();
    match status.as_u16() {
        401 => Kind::Credentials(short()),
        403 if lower.contains("suspended") => Kind::Suspended,
        // Also on the last call of an hour.
        403 if lower.contains("not accessible by") => Kind::Permission(short()),
        403 if exhausted || lower.contains("rate limit") => Kind::RateLimited(wait(header, now)),
        403 => Kind::Permission(short()),
        404 => Kind::NotFound,
        409 => Kind::NameConflict,
        422 if lower.contains("still running a job") => Kind::Busy,
        429 => Kind::RateLimited(wait(header, now)),
        code @ 500.. => Kind::Outage(code, short()),
        code => Kind::Invalid(code, short()),
    }
}

/// How long GitHub asks to wait, at most an hour: `retry-after`, else until the reset if the hour's calls are used up.
fn wait<'a>(header: impl Fn(&str) -> Option<&'a str>, now: DateTime<Utc>) -> Option<Duration> {
    let longest = LONGEST_PAUSE.to_std().unwrap_or_default();
    if let Some(seconds) = header("retry-after").and_then(|value| value.parse().ok()) {
        return Some(Duration::from_secs(seconds).min(longest));
    }
    // A secondary limit comes with a reset too, which is that of the primary one.
    header("x-ratelimit-remaining").filter(|&remaining| remaining == "0")?;
    let reset: i64 = header("x-ratelimit-reset")?.parse().ok()?;
    u64::try_from(reset.saturating_sub(now.timestamp())).ok().map(|seconds| Duration::from_secs(seconds).min(longest))
}

/// Whether a connection was refused, so that nothing was sent.
fn was_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, message: &str, headers: &[(&'static str, &'static str)]) -> Kind {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        classify(StatusCode::from_u16(status).unwrap(), message, &headers, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn answers_are_told_apart_by_what_to_do_about_them() {
        assert_eq!(kind(403, "This installation has been suspended", &[]), Kind::Suspended);
        assert!(matches!(kind(403, "Resource not accessible by integration", &[]), Kind::Permission(_)));
        assert_eq!(kind(403, "You have exceeded a secondary rate limit", &[]), Kind::RateLimited(None));
        let limited = Kind::RateLimited(Some(Duration::from_mins(1)));
        assert_eq!(kind(403, "x", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")]), limited);
        assert_eq!(kind(429, "x", &[("retry-after", "60")]), limited);
        let elsewhere = [("x-ratelimit-remaining", "4000"), ("x-ratelimit-reset", "60")];
        assert_eq!(kind(429, "x", &elsewhere), Kind::RateLimited(None), "the reset of another limit");
        let far = Kind::RateLimited(Some(Duration::from_hours(1)));
        assert_eq!(kind(403, "x", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9999999999")]), far);
        assert_eq!(kind(429, "x", &[("retry-after", "9999999999")]), far);
        let last = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")];
        assert!(matches!(kind(403, "Resource not accessible by integration", &last), Kind::Permission(_)));
        assert_eq!(kind(422, "Bad request - Runner \"x\" is still running a job", &[]), Kind::Busy);
        assert!(matches!(kind(422, "Invalid request.", &[]), Kind::Invalid(422, _)));
    }

    #[test]
    fn only_refusals_and_calls_never_made_are_definite() {
        let definite = |kind| GithubError { kind, before_call: false }.is_definite();
        assert!(definite(Kind::NameConflict) && definite(Kind::Unreachable(String::new())));
        assert!(!definite(Kind::Outage(502, String::new())) && !definite(Kind::TimedOut));
        assert!(GithubError::timed_out().before().is_definite());
    }
}
