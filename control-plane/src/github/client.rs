//! Calls with one credential: the tokens of an installation, or the enterprise token.
//!
//! octocrab does the transport and signs for the App. Tokens are ours: octocrab throws one away at the first 401, so that
//! one which GitHub does not know yet would never be known, and asks again by itself, also for what creates something.

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, IF_NONE_MATCH};
use axum::http::request::Builder;
use axum::http::{HeaderName, HeaderValue, Method, Request};
use octocrab::Octocrab;
use octocrab::models::AppId;
use octocrab::service::middleware::retry::RetryConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::Answer;
use super::budget::{Budget, BudgetState, Priority};
use super::group::Groups;
use super::listing::Pages;
use super::token::{Token, Tokens};
use super::{GithubError, Kind};
use crate::clock::Clock;
use crate::config::GithubConfig;
use crate::metrics::{Calls, Operation, UnderWay};
use crate::trace::TRACEPARENT;

/// Between attempts at what is safe to repeat.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// Until a new token is known everywhere at GitHub.
const TOKEN_PAUSES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)];
/// The version of the API that the structs follow.
const API_VERSION: &str = "2022-11-28";

pub(super) enum Credential {
    Installation(Tokens),
    EnterpriseToken(SecretString),
}

/// What is asked, by whom, and how.
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// The entity tag of an answer that is known already.
    pub(super) known: Option<HeaderValue>,
    pub(super) priority: Priority,
}

impl Call {
    pub(super) fn new(operation: Operation, method: Method, path: String, priority: Priority) -> Self {
        Self { operation, method, path, body: None, known: None, priority }
    }

    /// What creates something is never asked twice: the answer may have been lost on its way.
    fn is_repeatable(&self) -> bool {
        self.method != Method::POST
    }
}

/// What to do about a failed attempt.
enum Next {
    GiveUp,
    Wait(Duration),
    RenewToken,
}

pub(super) struct Client {
    /// The account whose installation it is, or `enterprise`.
    account: String,
    app: Octocrab,
    credential: Credential,
    timeout: Duration,
    clock: Clock,
    calls: Calls,
    budget: Budget,
    pub(super) groups: Groups,
    pub(super) pages: Pages,
}

impl Client {
    /// A client; calls nothing yet. Needs a Tokio runtime.
    pub(super) fn new(
        config: &GithubConfig,
        account: &str,
        credential: Credential,
        clock: Clock,
        calls: Calls,
    ) -> Result<Self, Box<octocrab::Error>> {
        let app = Octocrab::builder()
            .base_uri(config.api_url.as_str())?
            .app(AppId(config.app_id), config.private_key.clone())
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(config.timeout))
            .add_header(HeaderName::from_static("x-github-api-version"), API_VERSION.to_owned())
            .build()?;
        Ok(Self {
            account: account.to_owned(),
            app,
            credential,
            timeout: config.timeout,
            clock,
            calls,
            budget: Budget::default(),
            groups: Groups::default(),
            pages: Pages::default(),
        })
    }

    pub(super) fn budget(&self) -> BudgetState {
        self.budget.state(&self.account)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Makes sure of a token, then calls, and calls again where that is safe and of use. The token and all attempts
    /// together may each take as long as the time-out.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, GithubError> {
        self.budget.allow(call.priority, self.clock.now())?;
        let mut token = self.token(None, self.deadline()).await?;
        let deadline = self.deadline();
        let mut attempts = 0_usize;
        loop {
            let error = match self.attempt(call, &token, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match self.next(call, &error, &token, attempts) {
                Next::Wait(pause) if Instant::now() + pause < deadline => {
                    tracing::debug!(%error, ?pause, "asking GitHub again");
                    sleep(pause).await;
                }
                Next::RenewToken => token = self.token(Some(&token), deadline).await?,
                Next::Wait(_) | Next::GiveUp => return Err(error),
            }
            attempts = attempts.saturating_add(1);
        }
    }

    /// Reads what is the App's own, as the App itself.
    pub(super) async fn as_app(&self, path: &str) -> Result<Answer, GithubError> {
        let ask = async {
            let request = self.app.build_request(Request::get(path), None::<&()>).map_err(GithubError::of_transport)?;
            let response = self.app.execute(request).await.map_err(GithubError::of_transport)?;
            Answer::of(response, self.clock.now()).await
        };
        timeout_at(self.deadline(), ask).await.unwrap_or_else(|_| Err(GithubError::timed_out()))
    }

    fn next(&self, call: &Call, error: &GithubError, token: &Token, attempts: usize) -> Next {
        let now = self.clock.now();
        let wait = |pauses: &[Duration]| pauses.get(attempts).map_or(Next::GiveUp, |&pause| Next::Wait(pause));
        match error.kind {
            // A refusal: nothing was done, so even what creates something may be asked again.
            Kind::Credentials(_) if token.is_fresh(now) => wait(&TOKEN_PAUSES),
            // Revoked, or minted before a permission was granted.
            Kind::Credentials(_) | Kind::Permission(_) if token.is_renewable(now) => Next::RenewToken,
            _ if call.is_repeatable() && error.is_passing() => match (error.wait(), wait(&PAUSES)) {
                (Some(told), Next::Wait(_)) => Next::Wait(told),
                (None, Next::Wait(pause)) => Next::Wait(self.jittered(pause)),
                (_, next) => next,
            },
            _ => Next::GiveUp,
        }
    }

    async fn attempt(&self, call: &Call, token: &Token, deadline: Instant) -> Result<Answer, GithubError> {
        let Ok(outcome) = timeout_at(deadline, self.send(call, token)).await else {
            return Err(GithubError::timed_out());
        };
        outcome.map_err(|error| {
            if matches!(error.kind, Kind::RateLimited(_)) && error.wait().is_none() {
                self.budget.pause(error.told_wait(), self.clock.now());
            }
            match self.credential {
                Credential::Installation(_) => error,
                Credential::EnterpriseToken(_) => error.of_enterprise_token(),
            }
        })
    }

    async fn send(&self, call: &Call, token: &Token) -> Result<Answer, GithubError> {
        let mut under_way = self.calls.begin(call.operation);
        let mut request = traced(Request::builder().method(call.method.clone()).uri(&call.path), &under_way);
        // One that is no header value was refused when it was read, or is none of GitHub's.
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.secret.expose_secret())) {
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(known) = &call.known {
            request = request.header(IF_NONE_MATCH, known.clone());
        }
        let request = self.app.build_request(request, call.body.as_ref()).map_err(GithubError::of_transport)?;
        let response = self.app.send(request).await.map_err(GithubError::of_transport)?;
        under_way.answered(response.status());
        let now = self.clock.now();
        self.budget.note(response.headers(), now);
        Answer::of(response, now).await
    }

    async fn token(&self, refused: Option<&Token>, deadline: Instant) -> Result<Token, GithubError> {
        match &self.credential {
            Credential::Installation(tokens) => {
                tokens.get(&self.app, &self.clock, &self.calls, refused, deadline).await
            }
            Credential::EnterpriseToken(secret) => Ok(Token::configured(secret)),
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// From one to two times as long, so that replicas which failed together do not come back together.
    fn jittered(&self, pause: Duration) -> Duration {
        let random = self.clock.new_id().as_u128().to_be_bytes().last().copied().unwrap_or_default();
        pause.saturating_add(pause.saturating_mul(random.into()).checked_div(256).unwrap_or_default())
    }
}

/// A request that tells GitHub of the trace which the call belongs to.
pub(super) fn traced(request: Builder, call: &UnderWay<'_>) -> Builder {
    match call.traceparent() {
        Some(header) => request.header(TRACEPARENT, header),
        None => request,
    }
}
