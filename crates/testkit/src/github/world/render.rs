//! Runners as the API shows them, and as tests look at them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::runners::RunnerKind;
use super::{Runner, World};

/// A runner as it is, whatever listings say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunnerView {
    /// GitHub's id.
    pub id: u64,
    /// Organisation or `owner/repository`, in lower case.
    pub target: String,
    /// Its name.
    pub name: String,
    /// Its group.
    pub runner_group_id: u64,
    /// Whether a machine is connected.
    pub online: bool,
    /// Whether it counts as busy.
    pub busy: bool,
    /// How it came to be.
    pub kind: RunnerKind,
    /// Names of all labels.
    pub labels: Vec<String>,
}

impl RunnerView {
    pub(crate) fn of(runner: &Runner, now: DateTime<Utc>) -> Self {
        Self {
            id: runner.id,
            target: runner.target.clone(),
            name: runner.name.clone(),
            runner_group_id: runner.group_id,
            online: runner.online,
            busy: runner.busy(now),
            kind: runner.kind,
            labels: runner.labels.iter().map(|(label, _)| label.clone()).collect(),
        }
    }
}

impl World {
    /// Gives every label of a runner its id; the same name has the same id everywhere.
    pub(super) fn number_labels(&mut self, runner: &Runner) {
        for (label, _) in &runner.labels {
            if !self.label_ids.contains_key(label) {
                let id = self.next_id();
                self.label_ids.insert(label.clone(), id);
            }
        }
    }

    pub(super) fn runner(&self, runner: &Runner, now: DateTime<Utc>) -> Value {
        json!({
            "id": runner.id,
            "runner_group_id": runner.group_id,
            "name": runner.name,
            "os": runner.os.as_deref().unwrap_or("unknown"),
            "status": if runner.online { "online" } else { "offline" },
            "busy": runner.busy(now),
            "ephemeral": runner.kind.ephemeral(),
            "version": runner.version,
            "labels": self.labels(runner),
        })
    }

    /// A JIT runner's labels come without id and type: clients must not count on them.
    pub(super) fn labels(&self, runner: &Runner) -> Vec<Value> {
        let label = |(name, custom): &(String, bool)| {
            let mut label = Map::new();
            label.insert("name".to_owned(), json!(name));
            if let Some(id) = self.label_ids.get(name).filter(|_| runner.kind != RunnerKind::Jit) {
                label.insert("id".to_owned(), json!(id));
                label.insert("type".to_owned(), json!(if *custom { "custom" } else { "read-only" }));
            }
            Value::Object(label)
        };
        runner.labels.iter().map(label).collect()
    }
}
