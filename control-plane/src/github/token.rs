//! Tokens of an installation: minted with the App's key, kept for their hour.

use axum::http::Request;
use chrono::{DateTime, TimeDelta, Utc};
use octocrab::Octocrab;
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::GithubError;
use super::answer::Answer;
use super::client::traced;
use super::wire::AccessToken;
use crate::clock::Clock;
use crate::metrics::{Calls, Operation};

/// A token is renewed this long before it ends, so that none ends in the middle of a call.
const RESERVE: TimeDelta = TimeDelta::minutes(2);
/// GitHub may refuse a new token for its first seconds; one that is older and refused is worth nothing any more.
const FRESH: TimeDelta = TimeDelta::seconds(30);

/// A token with its age.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    /// When it was minted, and until when it holds; a token that was configured has neither.
    life: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Token {
    /// One that was configured: it can't be renewed.
    pub(super) fn configured(secret: &SecretString) -> Self {
        Self { secret: secret.clone(), life: None }
    }

    pub(super) fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.life.is_some_and(|(minted, _)| now.signed_duration_since(minted) < FRESH)
    }

    /// Minted, and old enough that another may fare better.
    pub(super) fn is_renewable(&self, now: DateTime<Utc>) -> bool {
        self.life.is_some() && !self.is_fresh(now)
    }

    fn holds(&self, now: DateTime<Utc>) -> bool {
        self.life.is_some_and(|(_, ends)| ends.signed_duration_since(now) > RESERVE)
    }
}

/// The newest token of an installation. The lock is held while one is minted, so that a crowd on a cold cache mints one.
pub(super) struct Tokens {
    installation: u64,
    newest: Mutex<Option<Token>>,
}

impl Tokens {
    pub(super) fn new(installation: u64) -> Self {
        Self { installation, newest: Mutex::default() }
    }

    /// The newest token, or a new one; a new one also if the newest is the one that was `refused`.
    pub(super) async fn get(
        &self,
        app: &Octocrab,
        clock: &Clock,
        calls: &Calls,
        refused: Option<&Token>,
        deadline: Instant,
    ) -> Result<Token, GithubError> {
        let work = async {
            let mut newest = self.newest.lock().await;
            let good =
                |token: &&Token| token.holds(clock.now()) && refused.is_none_or(|refused| refused.life != token.life);
            if let Some(token) = newest.as_ref().filter(good) {
                return Ok(token.clone());
            }
            let path = format!("/app/installations/{}/access_tokens", self.installation);
            let minted = mint(app, &path, clock, calls).await.map_err(GithubError::before)?;
            let token = Token { secret: minted.token, life: Some((clock.now(), minted.expires_at)) };
            *newest = Some(token.clone());
            Ok(token)
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(GithubError::timed_out().before()))
    }
}

/// octocrab signs what it executes with the App's key.
async fn mint(app: &Octocrab, path: &str, clock: &Clock, calls: &Calls) -> Result<AccessToken, GithubError> {
    let mut under_way = calls.begin(Operation::AccessToken);
    let request = traced(Request::post(path), &under_way);
    let request = app.build_request(request, None::<&()>).map_err(GithubError::of_transport)?;
    let response = app.execute(request).await.map_err(GithubError::of_transport)?;
    under_way.answered(response.status());
    Answer::of(response, clock.now()).await?.parse()
}
