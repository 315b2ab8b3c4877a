//! GitHub's API for runners: as a GitHub App, with one client for each of its installations, and for enterprises with the
//! token that they need.
//!
//! octocrab does the transport and the App's signature; structs, tokens, paging, repeats and time-outs are ours (its own
//! models are stricter than the API, and its paging loses the credentials on page 2 of anything but api.github.com). What
//! only reads or deletes is tried again a few times; what could create something twice never is.

mod answer;
mod budget;
mod client;
mod error;
mod group;
mod hook;
mod listing;
mod token;
mod wire;

pub use budget::{BudgetState, Hour, Priority};
pub use error::{GithubError, Kind};
pub use hook::Hook;
pub use wire::{JitConfig, JitRequest, RegistrationToken, RemoteLabel, RemoteRunner};

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::json;

use crate::clock::Clock;
use crate::config::GithubConfig;
use crate::metrics::{Calls, Operation};
use crate::runner::Target;
use client::{Call, Client, Credential};
use token::Tokens;
use wire::RunnersPage;

/// What GitHub says of a JIT config when the App lacks a permission, and not the group.
const NOT_ACCESSIBLE: &str = "not accessible";

/// GitHub, as far as there are credentials for it.
pub struct Github {
    calls: Calls,
    /// By the account's login, in lower case.
    installations: BTreeMap<String, Client>,
    enterprises: Option<Client>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// GitHub's address or the App's key can't be used.
    #[error(transparent)]
    Client(#[from] Box<octocrab::Error>),
    /// A metric is not what its library takes: a mistake of ours.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
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
    /// Clients for everything that is configured; calls nothing yet. Needs a Tokio runtime.
    pub fn new(config: &GithubConfig, clock: &Clock) -> Result<Self, StartError> {
        let calls = Calls::new()?;
        let client = |account: &str, credential| Client::new(config, account, credential, clock.clone(), calls.clone());
        let installation = |(account, id): (&String, &u64)| {
            let client = client(account, Credential::Installation(Tokens::new(*id)))?;
            Ok::<_, StartError>((account.clone(), client))
        };
        let enterprise = |token| client("enterprise", Credential::EnterpriseToken(token));
        let enterprises = config.enterprise_token.clone().map(enterprise);
        Ok(Self {
            installations: config.installations.iter().map(installation).collect::<Result<_, _>>()?,
            enterprises: enterprises.transpose()?,
            calls,
        })
    }

    /// What was asked so far, for the metrics.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The client for a target: that of its owner's installation and no other.
    fn client(&self, target: &Target) -> Result<&Client, GithubError> {
        let client = match target {
            Target::Organisation(owner) | Target::Repository(owner, _) => self.installations.get(owner),
            Target::Enterprise(_) => self.enterprises.as_ref(),
        };
        client.ok_or_else(|| GithubError { kind: Kind::NoCredentials(target.clone()), before_call: true })
    }

    /// Whether there are credentials for a target.
    pub fn check(&self, target: &Target) -> Result<(), GithubError> {
        self.client(target).map(drop)
    }

    /// What each credential may still ask.
    pub fn budgets(&self) -> Vec<BudgetState> {
        self.installations.values().chain(&self.enterprises).map(Client::budget).collect()
    }

    /// A token with which any machine may register for the next hour.
    pub async fn registration_token(&self, target: &Target) -> Result<RegistrationToken, GithubError> {
        let path = format!("{}/runners/registration-token", target.api_path());
        self.client(target)?
            .call(&Call::new(Operation::RegistrationToken, Method::POST, path, Priority::Request))
            .await?
            .parse()
    }

    /// A runner with its configuration; it is on GitHub, off line, as soon as this returns.
    pub async fn jit_config(&self, target: &Target, request: &JitRequest<'_>) -> Result<JitConfig, GithubError> {
        let path = format!("{}/runners/generate-jitconfig", target.api_path());
        let call = Call {
            body: Some(json!(request)),
            ..Call::new(Operation::JitConfig, Method::POST, path, Priority::Request)
        };
        let group = || GithubError { kind: Kind::Group(request.runner_group_id), before_call: false };
        match self.client(target)?.call(&call).await {
            // Something is missing: the target, or the group on it.
            Err(error) if error.kind == Kind::NotFound && !error.before_call && target.has_groups() => {
                match self.ask_for_group(target, request.runner_group_id).await {
                    Err(GithubError { kind: Kind::Group(_), .. }) => Err(group()),
                    _ => Err(error),
                }
            }
            // A group that takes no runners, such as that of GitHub's own.
            Err(GithubError { kind: Kind::Permission(text), before_call: false })
                if target.has_groups() && !text.contains(NOT_ACCESSIBLE) && text.contains("group") =>
            {
                Err(group())
            }
            answer => {
                let made: JitConfig = answer?.parse()?;
                // Whoever deletes this runner later goes by its id.
                let named = made.runner.name.eq_ignore_ascii_case(request.name);
                if named { Ok(made) } else { Err(GithubError::lost("it is about another runner")) }
            }
        }
    }

    /// The runner of this name, if there is one.
    pub async fn runner_named(
        &self,
        target: &Target,
        name: &str,
        priority: Priority,
    ) -> Result<Option<RemoteRunner>, GithubError> {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish();
        let path = format!("{}/runners?{query}", target.api_path());
        let found: RunnersPage =
            self.client(target)?.call(&Call::new(Operation::FindRunner, Method::GET, path, priority)).await?.parse()?;
        Ok(found.runners.into_iter().find(|runner| runner.name.eq_ignore_ascii_case(name)))
    }

    /// The runner with this id, if it is still there.
    pub async fn runner(
        &self,
        target: &Target,
        id: i64,
        priority: Priority,
    ) -> Result<Option<RemoteRunner>, GithubError> {
        let path = format!("{}/runners/{id}", target.api_path());
        match self.client(target)?.call(&Call::new(Operation::ReadRunner, Method::GET, path, priority)).await {
            Ok(answer) => answer.parse().map(Some),
            Err(error) if error.kind == Kind::NotFound && !error.before_call => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a runner. A busy one is an error of [`Kind::Busy`]. Safe to repeat.
    pub async fn delete_runner(&self, target: &Target, id: i64, priority: Priority) -> Result<Deleted, GithubError> {
        let path = format!("{}/runners/{id}", target.api_path());
        match self.client(target)?.call(&Call::new(Operation::DeleteRunner, Method::DELETE, path, priority)).await {
            Ok(_) => Ok(Deleted::Now),
            Err(error) if error.kind == Kind::NotFound && !error.before_call => Ok(Deleted::Before),
            Err(error) => Err(error),
        }
    }
}
