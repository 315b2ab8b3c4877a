//! A GitHub with state: organisations, repositories, an App with installations, tokens and self-hosted runners.
//!
//! What it does and says follows GitHub's documentation of its REST API and what users of it report. Faults are
//! ordered with [`FakeGithub::inject`]; machines that become runners come from [`FakeGithub::machine`].

mod agent;
mod config;
mod control;
mod faults;
mod http;
mod input;
mod machine;
mod reply;
mod route;
mod schema;
mod shared;
mod webhook;
mod wire;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use jsonwebtoken::DecodingKey;

pub use self::config::{
    APP_ID, Enterprise, GithubConfig, INSTALLATION_ID, Limits, ORGANIZATION, Organization, Repository, RunnerGroup,
};
pub use self::faults::{Endpoint, Fault};
pub use self::machine::{Command, CommandError, ConfigCommand, Machine, MachineError, RunnerMachine};
pub use self::shared::Call;
pub use self::webhook::{Delivery, Webhook};
pub use self::world::{Consumer, RunnerKind, RunnerSecret, RunnerView};

use self::shared::Shared;
use self::world::{App, NewRunner, World};
use crate::issuer::Algorithm;
use crate::issuer::keys::SigningKey;
use crate::random::{self, Random};
use crate::server::{Bound, Server, url_of};

/// A running fake GitHub. Clones are handles on the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct FakeGithub {
    shared: Arc<Shared>,
    server: Arc<Server>,
    app_id: u64,
    installation_id: u64,
    app_private_key_pem: String,
    verdict: Arc<Verdict>,
}

/// Fails whoever drops the last handle of a fake that did not keep its word: tests with it would prove nothing.
struct Verdict(Arc<Shared>);

impl Drop for Verdict {
    fn drop(&mut self) {
        let broken = self.0.broken();
        assert!(broken.is_none() || std::thread::panicking(), "{}", broken.unwrap_or_default());
    }
}

impl FakeGithub {
    /// Makes the world and serves it; returns when it can be asked.
    pub async fn start(config: GithubConfig) -> anyhow::Result<Self> {
        let bound = Bound::new(config.listen).await?;
        let local_url = url_of(bound.address());
        let url = config.public_url.clone().unwrap_or_else(|| local_url.clone());
        let url = url.trim_end_matches('/').to_owned();
        let given = config.app_private_key_pem.clone();
        let key = tokio::task::spawn_blocking(move || match given {
            Some(pem) => SigningKey::from_pem(Algorithm::Rs256, &pem),
            None => SigningKey::generate(Algorithm::Rs256),
        });
        let key = key.await?.context("the App's key")?;
        let public = DecodingKey::from_rsa_pem(key.public_pem.as_bytes()).context("the App's public key")?;
        let app = App { id: config.app_id, key: public };
        let world = World::new(&url, app, &config, Random::new(random::seed()), crate::clock::now());
        let shared = Arc::new(Shared::new(url, local_url, config.control, config.limits, world));
        let server = Arc::new(bound.serve(http::router(Arc::clone(&shared))));
        let installation_id = config.organizations.iter().find_map(|organization| organization.installation_id);
        Ok(Self {
            verdict: Arc::new(Verdict(Arc::clone(&shared))),
            shared,
            server,
            app_id: config.app_id,
            installation_id: installation_id.unwrap_or_default(),
            app_private_key_pem: key.private_pem,
        })
    }

    /// Stops serving and waits until the port is free, if this is the last handle.
    pub async fn stop(self) {
        drop(self.verdict);
        if let Some(server) = Arc::into_inner(self.server) {
            server.stop().await;
        }
    }

    /// Base URL of the REST API, and of the pages: an organisation's is `<base>/<org>`.
    pub fn base_url(&self) -> &str {
        &self.shared.url
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The page of an organisation, or of `owner/repository`: what `config.sh --url` wants.
    pub fn html_url(&self, target: &str) -> String {
        format!("{}/{target}", self.shared.url)
    }

    /// The App's id.
    pub fn app_id(&self) -> u64 {
        self.app_id
    }

    /// The id of the first organisation's installation.
    pub fn installation_id(&self) -> u64 {
        self.installation_id
    }

    /// The App's private key, PKCS#8 PEM. GitHub itself keeps the public half only.
    pub fn app_private_key_pem(&self) -> &str {
        &self.app_private_key_pem
    }

    /// A machine that can become a runner.
    pub fn machine(&self) -> Machine {
        Machine::new(&self.shared.local_url)
    }

    /// Lets a fault befall the next `times` calls to an endpoint.
    pub fn inject(&self, endpoint: Endpoint, fault: Fault, times: usize) {
        self.shared.inject(endpoint, fault, times);
    }

    /// Lets a fault befall the next `times` listings of this page.
    pub fn fail_page(&self, page: u64, fault: Fault, times: usize) {
        self.shared.inject_page(page, fault, times);
    }

    /// Forgets faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Every call so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls()
    }

    /// How many calls asked for this.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.calls().iter().filter(|call| call.endpoint == endpoint || endpoint == Endpoint::Any).count()
    }

    /// How many calls to this came with the credential of this caller.
    pub fn count_of(&self, caller: Consumer, endpoint: Endpoint) -> usize {
        let fits = |call: &&Call| call.endpoint == endpoint || endpoint == Endpoint::Any;
        self.calls().iter().filter(fits).filter(|call| call.caller == Some(caller)).count()
    }

    /// Every runner as it is, whatever listings say.
    pub fn runners(&self) -> Vec<RunnerView> {
        self.shared
            .with(|world, now| world.all_runners(now.world).map(|runner| RunnerView::of(runner, now.world)).collect())
    }

    /// The runner with this name.
    pub fn runner(&self, name: &str) -> Option<RunnerView> {
        self.runners().into_iter().find(|runner| runner.name == name)
    }

    /// Puts a runner on a target (organisation, `owner/repository` or `enterprises/slug`) that came there by other means:
    /// offline, in the default group.
    pub fn add_runner(&self, target: &str, name: &str, labels: &[&str]) -> u64 {
        let new = NewRunner {
            target: target.to_lowercase(),
            name: name.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            group_id: 1,
            kind: RunnerKind::Persistent,
        };
        self.shared.with(|world, now| world.add_runner(new, None, now.world))
    }

    /// Takes a runner out of the world, as a person on GitHub's pages would; `false` if there is none.
    pub fn remove_runner(&self, id: u64) -> bool {
        self.shared.with(|world, _| world.remove_runner(id))
    }

    /// Lets a runner count as busy for so long though no job runs.
    pub fn make_phantom_busy(&self, id: u64, length: Duration) {
        self.shared.with(|world, now| world.make_phantom_busy(id, length, now.world));
    }

    /// Lets listings leave a runner out for so long, as replicas that lag behind do.
    pub fn hide_runner(&self, id: u64, length: Duration) {
        self.shared.with(|world, now| world.hide(id, length, now.world));
    }

    /// Changes a runner's own labels, its group, or both, as a person on GitHub's pages would.
    pub fn change_runner(&self, id: u64, labels: Option<&[&str]>, group_id: Option<u64>) {
        self.shared.with(|world, _| world.change_runner(id, labels, group_id));
    }

    /// Renames a runner group of an organisation or of `enterprises/slug`, or takes it away.
    pub fn set_group(&self, target: &str, id: u64, name: Option<&str>) {
        self.shared.with(|world, _| world.set_group(target, id, name));
    }

    /// Suspends an installation, or ends that.
    pub fn set_suspended(&self, installation_id: u64, suspended: bool) {
        self.shared.with(|world, now| world.set_suspended(installation_id, suspended, now.world));
    }

    /// Grants an installation a permission (`read`, `write`) or takes it away.
    pub fn set_permission(&self, installation_id: u64, permission: &str, level: Option<&str>) {
        self.shared.with(|world, _| world.set_permission(installation_id, permission, level));
    }

    /// Changes the rate limits.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.set_limits(limits);
    }

    /// Delivers `workflow_job` there whenever a machine takes or finishes a job, as an App's webhook; `None` ends that.
    pub fn set_webhook(&self, webhook: Option<Webhook>) {
        self.shared.set_webhook(webhook);
    }

    /// Every delivery so far, to be repeated or reordered.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries()
    }

    /// Lets time pass in the world: tokens expire, limits recover, forgotten runners go. Apps write their JWTs by the
    /// real clock, so those are still judged by it; see [`set_clock_skew`](Self::set_clock_skew).
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Makes GitHub's clock wrong where Apps feel it: in judging their JWTs, and in `Date`.
    pub fn set_clock_skew(&self, skew: TimeDelta) {
        self.shared.servers.set_offset(skew);
    }

    /// Every secret that was ever given out (tokens, JIT configs, machines' credentials), to look for them where none
    /// should be, such as in logs.
    pub fn issued_secrets(&self) -> Vec<String> {
        self.shared.with(|world, _| world.secrets().to_vec())
    }

    /// Every registration token and JIT config that was ever made, in that order, also those whose answer was lost.
    pub fn runner_secrets(&self) -> Vec<RunnerSecret> {
        self.shared.with(|world, _| world.runner_secrets().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a lie")]
    async fn a_fake_that_did_not_keep_its_word_fails_its_test() {
        let github = FakeGithub::start(GithubConfig::default()).await.unwrap();
        github.shared.judge(Err("a lie".to_owned()));
        let request = reqwest::Client::new().get(format!("{}/rate_limit", github.base_url()));
        let answer = request.header("user-agent", "x").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 500, "and says nothing more");
        drop(github.clone());
        drop(github);
    }
}
