//! Runner groups of an organisation.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::auth::Access;
use super::listing::Page;
use super::{Kind, Request, World};
use crate::github::config::RunnerGroup;
use crate::github::reply::{Refusal, Reply};

impl World {
    pub(super) fn runner_groups(&self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        self.require_runners(request, Access::Read, now)?;
        let (key, target) = self.target(request)?;
        let Kind::Organization { groups } = &target.kind else {
            return Err(Refusal::not_found());
        };
        if let Some(id) = request.route.id {
            let group = groups.iter().find(|group| group.id == id).ok_or_else(Refusal::not_found)?;
            return Ok(Reply::new(200, self.group(key, group)));
        }
        let page = Page::of(request, groups.len());
        let shown: Vec<Value> = page.cut(groups.iter()).into_iter().map(|group| self.group(key, group)).collect();
        Ok(page.reply(&self.url, request, json!({"total_count": groups.len(), "runner_groups": shown})))
    }

    fn group(&self, organization: &str, group: &RunnerGroup) -> Value {
        json!({
            "id": group.id,
            "name": group.name,
            "visibility": "all",
            "default": group.id == 1,
            "runners_url": format!("{}/orgs/{organization}/actions/runner-groups/{}/runners", self.url, group.id),
            "inherited": false,
            "allows_public_repositories": false,
            "restricted_to_workflows": false,
            "selected_workflows": [],
            "workflow_restrictions_read_only": false,
        })
    }
}
