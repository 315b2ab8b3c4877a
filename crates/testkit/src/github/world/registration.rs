//! How runners come to be: registration tokens that a machine redeems, and JIT configs that are a runner at once.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::accounts::after;
use super::auth::Access;
use super::runners::{NewRunner, RunnerKind};
use super::{Kind, Request, World};
use crate::github::faults::{Endpoint, Fault};
use crate::github::input::{Input, runner_name};
use crate::github::reply::{Refusal, Reply};

/// How long registration and remove tokens live.
const MACHINE_TOKEN: Duration = Duration::from_hours(1);
const JIT_DOCUMENTATION: &str = "https://docs.github.com/rest/actions/self-hosted-runners";

/// A registration or remove token: good for any number of machines within its hour.
#[derive(Debug)]
pub(super) struct MachineToken {
    target: String,
    removes: bool,
    expires_at: DateTime<Utc>,
}

/// With what a machine becomes a runner, as GitHub made it; also if the answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerSecret {
    /// The registration token or JIT config.
    pub value: String,
    /// When it was made, by the world's time.
    pub made_at: DateTime<Utc>,
    /// The runner of a JIT config; a token is bound to none.
    pub runner_name: Option<String>,
}

/// What `config.sh` sends.
#[derive(Debug)]
pub(crate) struct MachineRegistration {
    pub(crate) token: String,
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) group: Option<String>,
    pub(crate) ephemeral: bool,
    pub(crate) replace: bool,
    pub(crate) fault: Option<Fault>,
}

impl World {
    pub(super) fn mint_machine_token(&mut self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let target = self.require_runners(request, Access::Write, now)?;
        let removes = request.route.endpoint == Endpoint::RemoveToken;
        let expires_at = after(now, MACHINE_TOKEN);
        let token = self.random.letters(29);
        self.secrets.push(token.clone());
        if !removes {
            self.runner_secrets.push(RunnerSecret { value: token.clone(), made_at: now, runner_name: None });
        }
        self.machine_tokens.insert(token.clone(), MachineToken { target, removes, expires_at });
        let expires_at = expires_at.to_rfc3339_opts(SecondsFormat::Millis, false);
        Ok(Reply::new(201, json!({"token": token, "expires_at": expires_at})))
    }

    pub(super) fn generate_jit_config(&mut self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let target = self.require_runners(request, Access::Write, now)?;
        let input = Input::parse(&request.body)?;
        let name = input.text("name")?;
        let group_id = input.integer("runner_group_id")?;
        let labels = input.labels()?;
        input.optional_text("work_folder")?;
        runner_name(&name)?;
        self.require_group(&target, group_id)?;
        if self.runner_named(&target, &name).is_some() {
            return Err(Refusal::new(409, "Already exists - A runner with the name *** already exists.")
                .documented_at(JIT_DOCUMENTATION));
        }
        let labels = labels.iter().map(|label| label.to_lowercase()).collect();
        let new = NewRunner { target, name, labels, group_id, kind: RunnerKind::Jit };
        let id = self.add_runner(new, request.fault.as_ref(), now);
        let config = self.encoded_jit_config(id, now)?;
        let runner = self.runners.get(&id).map(|runner| self.runner(runner, now));
        Ok(Reply::new(201, json!({"runner": runner, "encoded_jit_config": config})))
    }

    /// Base64 of a JSON object of files, each in base64 again: what `run.sh --jitconfig` unpacks.
    fn encoded_jit_config(&mut self, id: u64, now: DateTime<Utc>) -> Result<String, Refusal> {
        let runner = self.runners.get(&id).ok_or_else(Refusal::not_found)?;
        let target = self.targets.get(&runner.target).ok_or_else(Refusal::not_found)?;
        let settings = json!({
            "AgentId": id.to_string(),
            "AgentName": runner.name,
            "GitHubUrl": self.html_url(target),
            "Ephemeral": "True",
        });
        let credentials = json!({"Scheme": "OAuth", "Data": {"ClientId": runner.credential}});
        let files = json!({
            ".runner": BASE64_STANDARD.encode(settings.to_string()),
            ".credentials": BASE64_STANDARD.encode(credentials.to_string()),
        });
        let config = BASE64_STANDARD.encode(files.to_string());
        self.secrets.push(config.clone());
        let runner_name = Some(runner.name.clone());
        self.runner_secrets.push(RunnerSecret { value: config.clone(), made_at: now, runner_name });
        Ok(config)
    }

    fn require_group(&self, target: &str, id: u64) -> Result<(), Refusal> {
        let groups = match self.targets.get(target).map(|target| &target.kind) {
            // A repository has the default group alone.
            Some(Kind::Repository { .. }) if id == 1 => return Ok(()),
            Some(kind) => kind.groups(),
            None => return Err(Refusal::not_found()),
        };
        match groups.iter().find(|group| group.id == id) {
            Some(group) if group.allowed => Ok(()),
            Some(_) => Err(Refusal::new(403, "Runners can't be added to this runner group.")),
            None => Err(Refusal::not_found()),
        }
    }

    /// Redeems a registration token. One that does not hold shows as a bare 404, whatever the reason.
    pub(crate) fn register(&mut self, machine: MachineRegistration, now: DateTime<Utc>) -> Result<u64, Refusal> {
        self.let_time_pass(now);
        let target = self.redeem(&machine.token, &machine.url, false, now)?;
        runner_name(&machine.name)?;
        let group_id = self.group_named(&target, machine.group.as_deref())?;
        if let Some(existing) = self.runner_named(&target, &machine.name) {
            if !machine.replace {
                return Err(Refusal::new(409, format!("A runner exists with the same name {}", machine.name)));
            }
            self.runners.remove(&existing);
        }
        let MachineRegistration { name, labels, ephemeral, fault, .. } = machine;
        let kind = if ephemeral { RunnerKind::Ephemeral } else { RunnerKind::Persistent };
        let new = NewRunner { target, name, labels, group_id, kind };
        Ok(self.add_runner(new, fault.as_ref(), now))
    }

    /// Redeems a remove token, as `config.sh remove` does.
    pub(crate) fn unregister(&mut self, id: u64, token: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        let runner = self.runners.get(&id).ok_or_else(Refusal::not_found)?;
        let target = self.targets.get(&runner.target).ok_or_else(Refusal::not_found)?;
        self.redeem(token, &self.html_url(target), true, now)?;
        self.runners.remove(&id);
        Ok(())
    }

    fn redeem(&self, token: &str, url: &str, removes: bool, now: DateTime<Utc>) -> Result<String, Refusal> {
        let token = self.machine_tokens.get(token).ok_or_else(Refusal::not_found)?;
        let target = self.targets.get(&token.target).ok_or_else(Refusal::not_found)?;
        let same_url = self.html_url(target).eq_ignore_ascii_case(url.trim_end_matches('/'));
        if !same_url || token.removes != removes || now >= token.expires_at {
            return Err(Refusal::not_found());
        }
        Ok(token.target.clone())
    }

    /// The group with this name; the default one without a name.
    fn group_named(&self, target: &str, name: Option<&str>) -> Result<u64, Refusal> {
        let Some(name) = name else {
            return Ok(1);
        };
        let groups = self.targets.get(target).map_or(&[][..], |target| target.kind.groups());
        let found = groups.iter().find(|group| group.allowed && group.name == name);
        let unknown = || Refusal::new(422, format!("Could not find any self-hosted runner group named \"{name}\"."));
        found.map(|group| group.id).ok_or_else(unknown)
    }
}
