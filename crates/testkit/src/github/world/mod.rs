//! The world itself: what exists, and how calls change it. No I/O and no clock; time comes with every call.

mod accounts;
mod auth;
mod groups;
mod labels;
pub(crate) mod limits;
mod listing;
mod registration;
mod render;
mod runners;
mod session;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jsonwebtoken::DecodingKey;
use serde_json::json;

use super::config::{GithubConfig, Limits, RunnerGroup};
use super::faults::{Endpoint, Fault};
use super::reply::{Refusal, Reply};
use super::route::Route;
use crate::random::Random;

pub use self::limits::Consumer;
pub(crate) use self::registration::MachineRegistration;
pub use self::registration::RunnerSecret;
pub use self::render::RunnerView;
pub use self::runners::RunnerKind;
pub(crate) use self::runners::{NewRunner, Runner};
pub(crate) use self::session::Event;

/// The present. Apps write their JWTs with the real clock, so those are judged by it; all else by the world's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The world's time: real time plus what was let pass.
    pub(crate) world: DateTime<Utc>,
    /// The time that GitHub's servers believe when they look at an App's JWT.
    pub(crate) servers: DateTime<Utc>,
}

/// A request taken apart, with the fault that is to befall it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) route: Route,
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) fault: Option<Fault>,
}

impl Request {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn id(&self) -> Result<u64, Refusal> {
        self.route.id.ok_or_else(Refusal::not_found)
    }
}

/// What runners are registered on: an organisation, a repository or an enterprise.
#[derive(Debug)]
pub(crate) struct Target {
    id: u64,
    full_name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Organization { groups: Vec<RunnerGroup> },
    Repository { runners_disabled: bool },
    Enterprise { groups: Vec<RunnerGroup>, token: String },
}

impl Kind {
    /// Its runner groups; a repository has none.
    fn groups(&self) -> &[RunnerGroup] {
        match self {
            Self::Organization { groups } | Self::Enterprise { groups, .. } => groups,
            Self::Repository { .. } => &[],
        }
    }
}

/// The App installed on an account.
#[derive(Debug)]
pub(crate) struct Installation {
    id: u64,
    /// The account's key among the targets.
    account: String,
    permissions: BTreeMap<String, String>,
    suspended_at: Option<DateTime<Utc>>,
}

/// The App: GitHub knows its public key only.
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) key: DecodingKey,
}

pub(crate) struct World {
    url: String,
    app: App,
    /// Where the App's webhook goes.
    hook: Option<String>,
    created_at: DateTime<Utc>,
    /// By organisation, `owner/repository`, or `enterprises/slug`, in lower case.
    targets: BTreeMap<String, Target>,
    installations: BTreeMap<u64, Installation>,
    installation_tokens: BTreeMap<String, auth::InstallationToken>,
    machine_tokens: BTreeMap<String, registration::MachineToken>,
    runners: BTreeMap<u64, Runner>,
    label_ids: BTreeMap<String, u64>,
    last_id: u64,
    random: Random,
    budgets: limits::Budgets,
    /// Every secret ever given out.
    secrets: Vec<String>,
    /// Those of them with which a machine becomes a runner.
    runner_secrets: Vec<RunnerSecret>,
}

impl World {
    pub(crate) fn new(url: &str, app: App, config: &GithubConfig, random: Random, now: DateTime<Utc>) -> Self {
        let mut world = Self {
            url: url.to_owned(),
            app,
            hook: None,
            created_at: now,
            targets: BTreeMap::new(),
            installations: BTreeMap::new(),
            installation_tokens: BTreeMap::new(),
            machine_tokens: BTreeMap::new(),
            runners: BTreeMap::new(),
            label_ids: BTreeMap::new(),
            last_id: 0,
            random,
            budgets: limits::Budgets::new(config.limits),
            secrets: Vec::new(),
            runner_secrets: Vec::new(),
        };
        for organization in &config.organizations {
            world.add_organization(organization);
        }
        for enterprise in &config.enterprises {
            world.add_enterprise(enterprise);
        }
        world
    }

    pub(crate) fn set_hook(&mut self, url: Option<String>) {
        self.hook = url;
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.budgets.set_limits(limits);
    }

    pub(crate) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    pub(crate) fn runner_secrets(&self) -> &[RunnerSecret] {
        &self.runner_secrets
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    /// Answers one request of the REST API. Whatever the answer, the rate-limit headers are on it.
    pub(crate) fn answer(&mut self, request: &Request, now: Now) -> Reply {
        self.let_time_pass(now.world);
        let consumer = self.consumer(request, now.world);
        let charged = self.charge(consumer, request, now.world);
        let reply = charged.and_then(|()| self.dispatch(request, now));
        self.budgets.stamp(Reply::from(reply), consumer, now.world)
    }

    /// Refuses one request without looking at what it asks for.
    pub(crate) fn refuse(&mut self, request: &Request, refusal: Refusal, now: Now) -> Reply {
        let consumer = self.consumer(request, now.world);
        self.budgets.stamp(Reply::from(refusal), consumer, now.world)
    }

    fn dispatch(&mut self, request: &Request, now: Now) -> Result<Reply, Refusal> {
        match request.route.endpoint {
            Endpoint::App => self.show_app(request, now),
            Endpoint::AppHook => self.show_hook(request, now),
            Endpoint::Installation => self.show_installations(request, now),
            Endpoint::AccessToken => self.mint_installation_token(request, now),
            Endpoint::RegistrationToken | Endpoint::RemoveToken => self.mint_machine_token(request, now.world),
            Endpoint::JitConfig => self.generate_jit_config(request, now.world),
            Endpoint::ListRunners => self.list_runners(request, now.world),
            Endpoint::GetRunner => self.show_runner(request, now.world),
            Endpoint::DeleteRunner => self.delete_runner(request, now.world),
            Endpoint::RunnerLabels => self.runner_labels(request, now.world),
            Endpoint::ListRunnerGroups | Endpoint::GetRunnerGroup => self.runner_groups(request, now.world),
            Endpoint::Account => self.show_account(request, now.world),
            Endpoint::RateLimit => Ok(self.show_rate_limit(request, now.world)),
            Endpoint::Meta => Ok(Reply::new(200, json!({"verifiable_password_authentication": false}))),
            _ => Err(Refusal::not_found()),
        }
    }
}
