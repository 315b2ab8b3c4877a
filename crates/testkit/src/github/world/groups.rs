//! Runner groups of organisations and enterprises.

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
        if matches!(target.kind, Kind::Repository { .. }) {
            return Err(Refusal::not_found());
        }
        let groups = target.kind.groups();
        if let Some(id) = request.route.id {
            let group = groups.iter().find(|group| group.id == id).ok_or_else(Refusal::not_found)?;
            return Ok(Reply::new(200, self.group(key, group)));
        }
        let page = Page::of(request, groups.len());
        let shown: Vec<Value> = page.cut(groups.iter()).into_iter().map(|group| self.group(key, group)).collect();
        Ok(page.reply(&self.url, request, json!({"total_count": groups.len(), "runner_groups": shown})))
    }

    /// Renames a group of a target, or takes it away; its runners go to the default one, as on GitHub.
    pub(crate) fn set_group(&mut self, target: &str, id: u64, name: Option<&str>) {
        let kind = self.targets.get_mut(target).map(|target| &mut target.kind);
        let Some(Kind::Organization { groups } | Kind::Enterprise { groups, .. }) = kind else { return };
        if let Some(name) = name {
            for group in groups.iter_mut().filter(|group| group.id == id) {
                name.clone_into(&mut group.name);
            }
            return;
        }
        groups.retain(|group| group.id != id);
        for runner in self.runners.values_mut().filter(|one| one.target == target && one.group_id == id) {
            runner.group_id = 1;
        }
    }

    fn group(&self, target: &str, group: &RunnerGroup) -> Value {
        let base = if target.contains('/') { target.to_owned() } else { format!("orgs/{target}") };
        let mut shown = json!({
            "id": group.id,
            "name": group.name,
            "visibility": "all",
            "default": group.id == 1,
            "runners_url": format!("{}/{base}/actions/runner-groups/{}/runners", self.url, group.id),
            "allows_public_repositories": false,
            "restricted_to_workflows": false,
            "selected_workflows": [],
            "workflow_restrictions_read_only": false,
        });
        // An organisation may have groups of its enterprise.
        if let (Some(members), false) = (shown.as_object_mut(), target.contains('/')) {
            members.insert("inherited".to_owned(), json!(false));
        }
        shown
    }
}
