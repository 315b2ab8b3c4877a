//! Organisations, repositories and the App's installations on them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Installation, Kind, Now, Request, Target, World};
use crate::github::config::{Enterprise, Organization, Repository};
use crate::github::reply::{Refusal, Reply};

impl World {
    pub(super) fn add_organization(&mut self, organization: &Organization) {
        let key = organization.login.to_ascii_lowercase();
        let id = self.next_id();
        let kind = Kind::Organization { groups: organization.groups.clone() };
        self.targets.insert(key.clone(), Target { id, full_name: organization.login.clone(), kind });
        for repository in &organization.repositories {
            self.add_repository(&organization.login, repository);
        }
        if let Some(id) = organization.installation_id {
            let permissions = organization.permissions.iter().cloned().collect();
            self.installations.insert(id, Installation { id, account: key, permissions, suspended_at: None });
        }
    }

    fn add_repository(&mut self, owner: &str, repository: &Repository) {
        let full_name = format!("{owner}/{}", repository.name);
        let id = self.next_id();
        let kind = Kind::Repository { runners_disabled: repository.runners_disabled };
        self.targets.insert(full_name.to_ascii_lowercase(), Target { id, full_name, kind });
    }

    pub(super) fn add_enterprise(&mut self, enterprise: &Enterprise) {
        let full_name = format!("enterprises/{}", enterprise.slug);
        let id = self.next_id();
        self.secrets.push(enterprise.token.clone());
        let kind = Kind::Enterprise { groups: enterprise.groups.clone(), token: enterprise.token.clone() };
        self.targets.insert(full_name.to_ascii_lowercase(), Target { id, full_name, kind });
    }

    pub(crate) fn set_suspended(&mut self, installation: u64, suspended: bool, now: DateTime<Utc>) {
        if let Some(installation) = self.installations.get_mut(&installation) {
            installation.suspended_at = suspended.then_some(now);
        }
    }

    pub(crate) fn set_permission(&mut self, installation: u64, permission: &str, level: Option<&str>) {
        let Some(installation) = self.installations.get_mut(&installation) else {
            return;
        };
        match level {
            Some(level) => drop(installation.permissions.insert(permission.to_owned(), level.to_owned())),
            None => drop(installation.permissions.remove(permission)),
        }
    }

    pub(super) fn target(&self, request: &Request) -> Result<(&str, &Target), Refusal> {
        let key = request.route.target.as_deref().ok_or_else(Refusal::not_found)?;
        self.targets.get_key_value(key).map(|(key, target)| (key.as_str(), target)).ok_or_else(Refusal::not_found)
    }

    pub(super) fn show_account(&self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let (installation, _) = self.installation_of_token(request, now)?;
        let (key, target) = self.target(request)?;
        if owner_of(key) != installation.account {
            return Err(Refusal::not_found());
        }
        let mut body = match target.kind {
            Kind::Organization { .. } | Kind::Enterprise { .. } => self.simple_user(target),
            Kind::Repository { .. } => {
                json!({"id": target.id, "full_name": target.full_name, "private": true})
            }
        };
        if let Some(members) = body.as_object_mut() {
            members.insert("html_url".to_owned(), json!(self.html_url(target)));
            members.insert("created_at".to_owned(), json!(rfc3339(self.created_at)));
        }
        Ok(Reply::new(200, body))
    }

    pub(super) fn show_app(&self, request: &Request, now: Now) -> Result<Reply, Refusal> {
        self.require_app(request, now)?;
        let owner = self.installations.values().next().map(|first| first.account.as_str());
        let owner = owner.and_then(|key| self.targets.get(key));
        let permissions = self.installations.values().next().map(|first| json!(first.permissions));
        let body = json!({
            "id": self.app.id,
            "slug": "runner-tokens",
            "client_id": client_id(self.app.id),
            "node_id": format!("A_{}", self.app.id),
            "owner": owner.map(|owner| self.simple_user(owner)),
            "name": "Runner tokens",
            "description": Value::Null,
            "external_url": "https://example.com",
            "html_url": format!("{}/apps/runner-tokens", self.url),
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.created_at),
            "permissions": permissions.unwrap_or_else(|| Value::Object(Map::new())),
            "events": ["workflow_job"],
            "installations_count": self.installations.len(),
        });
        Ok(Reply::new(200, body))
    }

    /// The App's webhook; GitHub never shows the secret.
    pub(super) fn show_hook(&self, request: &Request, now: Now) -> Result<Reply, Refusal> {
        self.require_app(request, now)?;
        let url = self.hook.as_ref().ok_or_else(Refusal::not_found)?;
        let body = json!({"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": url});
        Ok(Reply::new(200, body))
    }

    pub(super) fn show_installations(&self, request: &Request, now: Now) -> Result<Reply, Refusal> {
        self.require_app(request, now)?;
        let found = match (request.route.id, &request.route.target) {
            (Some(id), _) => self.installations.get(&id),
            (None, Some(target)) => {
                self.installations.values().find(|installation| installation.account == owner_of(target))
            }
            (None, None) => {
                let all: Vec<Value> = self.installations.values().map(|one| self.installation(one)).collect();
                return Ok(Reply::new(200, Value::Array(all)));
            }
        };
        found.map(|one| Reply::new(200, self.installation(one))).ok_or_else(Refusal::not_found)
    }

    fn installation(&self, installation: &Installation) -> Value {
        let account = self.targets.get(&installation.account);
        let (id, login) = account.map_or((0, ""), |account| (account.id, account.full_name.as_str()));
        json!({
            "id": installation.id,
            "account": account.map(|account| self.simple_user(account)),
            "repository_selection": "all",
            "access_tokens_url": format!("{}/app/installations/{}/access_tokens", self.url, installation.id),
            "repositories_url": format!("{}/installation/repositories", self.url),
            "html_url": format!("{}/organizations/{login}/settings/installations/{}", self.url, installation.id),
            "app_id": self.app.id,
            "client_id": client_id(self.app.id),
            "target_id": id,
            "target_type": "Organization",
            "permissions": installation.permissions,
            "events": ["workflow_job"],
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.created_at),
            "single_file_name": Value::Null,
            "has_multiple_single_files": false,
            "single_file_paths": [],
            "app_slug": "runner-tokens",
            "suspended_at": installation.suspended_at.map(rfc3339),
            "suspended_by": Value::Null,
        })
    }

    pub(super) fn html_url(&self, target: &Target) -> String {
        format!("{}/{}", self.url, target.full_name)
    }

    fn simple_user(&self, target: &Target) -> Value {
        let (url, login) = (&self.url, &target.full_name);
        let mut user = json!({
            "login": login,
            "id": target.id,
            "node_id": format!("O_{}", target.id),
            "avatar_url": format!("{url}/avatars/{}", target.id),
            "gravatar_id": "",
            "url": format!("{url}/orgs/{login}"),
            "html_url": format!("{url}/{login}"),
            "following_url": format!("{url}/users/{login}/following{{/other_user}}"),
            "gists_url": format!("{url}/users/{login}/gists{{/gist_id}}"),
            "starred_url": format!("{url}/users/{login}/starred{{/owner}}{{/repo}}"),
            "events_url": format!("{url}/orgs/{login}/events"),
            "type": "Organization",
            "site_admin": false,
        });
        if let Some(members) = user.as_object_mut() {
            for name in ["followers", "subscriptions", "organizations", "repos", "received_events"] {
                members.insert(format!("{name}_url"), json!(format!("{url}/users/{login}/{name}")));
            }
        }
        user
    }
}

/// An App's client id; an App may use it as `iss` too.
pub(super) fn client_id(app_id: u64) -> String {
    format!("Iv1.{app_id:016x}")
}

/// The account that a target belongs to.
pub(super) fn owner_of(target: &str) -> &str {
    target.split_once('/').map_or(target, |(owner, _)| owner)
}

pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// The moment so long after another.
pub(super) fn after(time: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    chrono::TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| time.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
