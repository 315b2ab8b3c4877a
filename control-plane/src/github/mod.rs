//! GitHub's API for runners, as a GitHub App.
//!
//! octocrab does the transport and the App's credentials; structs, paging and time-outs are ours (its own models are
//! stricter than the API, and its paging loses the credentials on page 2 of anything but api.github.com). What only reads
//! or deletes is tried again a few times; what could create something twice never is.

mod error;
mod listing;
mod wire;

pub use error::{GithubError, Kind};
pub use wire::{JitConfig, JitRequest, RegistrationToken, RemoteRunner};

use std::collections::HashMap;
use std::sync::{Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderName;
use chrono::TimeDelta;
use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use octocrab::service::middleware::retry::RetryConfig;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::config::GithubConfig;
use crate::runner::Target;
use listing::Listings;
use wire::{RunnerGroup, RunnersPage};

/// The most that GitHub gives at once.
const PER_PAGE: usize = 100;
/// GitHub's own limit is 10,000 runners a group; more pages than this mean that paging does not end.
const MAX_PAGES: u32 = 1000;
/// Between attempts at what is safe to repeat.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// An installation token is renewed this long before it ends, so that none ends in the middle of a call.
const TOKEN_RESERVE: TimeDelta = TimeDelta::minutes(2);
/// The version of the API that the structs follow.
const API_VERSION: &str = "2022-11-28";

/// One installation of the App. Share it: the token is cached in it.
pub struct Github {
    /// A clone would have a token cache of its own.
    crab: Octocrab,
    /// Held while the token is looked up, so that a crowd on a cold cache mints one token.
    token: Mutex<()>,
    timeout: Duration,
    clock: Clock,
    groups: SyncMutex<HashMap<(Target, i64), String>>,
    listings: Listings,
}

/// What became of a runner that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It was there.
    Now,
    /// It was gone already.
    Before,
}

impl Github {
    /// A client; calls nothing yet. Needs a Tokio runtime.
    pub fn new(config: &GithubConfig, clock: Clock) -> Result<Self, Box<octocrab::Error>> {
        let crab = Octocrab::builder()
            .base_uri(config.api_url.as_str())?
            .app(AppId(config.app_id), config.private_key.clone())
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(config.timeout))
            .add_header(HeaderName::from_static("x-github-api-version"), API_VERSION.to_owned())
            .build()?
            .installation(InstallationId(config.installation_id))?;
        Ok(Self {
            crab,
            token: Mutex::new(()),
            timeout: config.timeout,
            clock,
            groups: SyncMutex::default(),
            listings: Listings::default(),
        })
    }

    /// A token with which any machine may register for the next hour.
    pub async fn registration_token(&self, target: &Target) -> Result<RegistrationToken, GithubError> {
        let path = format!("{}/runners/registration-token", target.api_path());
        self.call(self.crab.post(path, None::<&()>)).await
    }

    /// A runner with its configuration; it is on GitHub, off line, as soon as this returns.
    pub async fn jit_config(&self, target: &Target, request: &JitRequest<'_>) -> Result<JitConfig, GithubError> {
        let path = format!("{}/runners/generate-jitconfig", target.api_path());
        self.call(self.crab.post(path, Some(request))).await
    }

    /// The runner of this name, if there is one.
    pub async fn runner_named(&self, target: &Target, name: &str) -> Result<Option<RemoteRunner>, GithubError> {
        let path = format!("{}/runners", target.api_path());
        let found: RunnersPage = self.get(&path, Some(&[("name", name)])).await?;
        Ok(found.runners.into_iter().find(|runner| runner.name.eq_ignore_ascii_case(name)))
    }

    /// The runner with this id, if it is still there.
    pub async fn runner(&self, target: &Target, id: i64) -> Result<Option<RemoteRunner>, GithubError> {
        match self.get(&format!("{}/runners/{id}", target.api_path()), None::<&()>).await {
            Ok(runner) => Ok(Some(runner)),
            Err(error) if error.kind == Kind::NotFound && !error.before_call => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a runner. A busy one is an error of [`Kind::Busy`]. Safe to repeat.
    pub async fn delete_runner(&self, target: &Target, id: i64) -> Result<Deleted, GithubError> {
        let path = format!("{}/runners/{id}", target.api_path());
        let delete = || async {
            octocrab::map_github_error(self.crab._delete(path.as_str(), None::<&()>).await?).await.map(|_| Deleted::Now)
        };
        match self.call_safely(delete).await {
            Err(error) if error.kind == Kind::NotFound && !error.before_call => Ok(Deleted::Before),
            answer => answer,
        }
    }

    /// The name of a runner group, which `config.sh` wants instead of its id. Asked once and kept.
    pub async fn group_name(&self, target: &Target, id: i64) -> Result<String, GithubError> {
        let key = (target.clone(), id);
        let known = self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(name) = known {
            return Ok(name);
        }
        let path = format!("{}/runner-groups/{id}", target.api_path());
        let group: RunnerGroup = self.get(&path, None::<&()>).await?;
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(key, group.name.clone());
        Ok(group.name)
    }

    async fn get<R, Q>(&self, path: &str, query: Option<&Q>) -> Result<R, GithubError>
    where
        R: DeserializeOwned,
        Q: serde::Serialize + ?Sized,
    {
        self.call_safely(|| self.crab.get(path, query)).await
    }

    /// Makes sure of a token, then calls; each may take as long as the time-out.
    async fn call<R>(&self, request: impl Future<Output = octocrab::Result<R>>) -> Result<R, GithubError> {
        self.ready_token().await?;
        match timeout(self.timeout, request).await {
            Ok(answer) => answer.map_err(|error| GithubError::of_call(error, self.clock.now())),
            Err(_) => Err(GithubError::timed_out()),
        }
    }

    /// Like `call`, for what may be asked twice. The time-out is for all attempts together.
    async fn call_safely<R, F>(&self, request: impl Fn() -> F) -> Result<R, GithubError>
    where
        F: Future<Output = octocrab::Result<R>>,
    {
        self.ready_token().await?;
        let attempts = async {
            for pause in PAUSES {
                match request().await.map_err(|error| GithubError::of_call(error, self.clock.now())) {
                    Err(error) if error.is_passing() => {
                        let pause = error.wait().unwrap_or_else(|| self.jittered(pause));
                        tracing::debug!(%error, ?pause, "asking GitHub again");
                        sleep(pause).await;
                    }
                    answer => return answer,
                }
            }
            request().await.map_err(|error| GithubError::of_call(error, self.clock.now()))
        };
        timeout(self.timeout, attempts).await.unwrap_or_else(|_| Err(GithubError::timed_out()))
    }

    /// From one to two times as long, so that replicas which failed together do not come back together.
    fn jittered(&self, pause: Duration) -> Duration {
        let random = self.clock.new_id().as_u128().to_be_bytes().last().copied().unwrap_or_default();
        pause.saturating_add(pause.saturating_mul(random.into()).checked_div(256).unwrap_or_default())
    }

    async fn ready_token(&self) -> Result<(), GithubError> {
        let _single_flight = self.token.lock().await;
        match timeout(self.timeout, self.crab.installation_token_with_buffer(TOKEN_RESERVE)).await {
            Ok(answer) => answer.map(drop).map_err(|error| GithubError::of_token(error, self.clock.now())),
            Err(_) => Err(GithubError::timed_out().before()),
        }
    }
}
