//! What GitHub's API sends and takes, as far as it is used. Unknown members are ignored: GitHub adds some now and then.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

/// A token of an installation.
#[derive(Deserialize)]
pub(super) struct AccessToken {
    #[serde(deserialize_with = "secret")]
    pub(super) token: SecretString,
    pub(super) expires_at: DateTime<Utc>,
}

/// A registration token.
#[derive(Deserialize)]
pub struct RegistrationToken {
    /// The secret.
    #[serde(deserialize_with = "secret")]
    pub token: SecretString,
    /// An hour after it was issued.
    pub expires_at: DateTime<Utc>,
}

/// What is asked for with a just-in-time configuration.
#[derive(Serialize)]
pub struct JitRequest<'a> {
    /// The runner's name.
    pub name: &'a str,
    /// The group that it joins.
    pub runner_group_id: i64,
    /// All of its labels: GitHub adds none, not even `self-hosted`.
    pub labels: &'a [String],
}

/// A just-in-time configuration and the runner that GitHub made with it.
#[derive(Deserialize)]
pub struct JitConfig {
    /// The runner, off line until a machine starts with the configuration.
    pub runner: RemoteRunner,
    /// The secret.
    #[serde(deserialize_with = "secret")]
    pub encoded_jit_config: SecretString,
}

/// A runner as GitHub has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RemoteRunner {
    /// GitHub's id; never used again for another one.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// `online` or `offline`.
    pub status: String,
    /// Whether it runs a job.
    pub busy: bool,
    /// Its labels, GitHub's own among them.
    pub labels: Vec<RemoteLabel>,
    /// Whether it ends after one job; older servers do not say.
    pub ephemeral: Option<bool>,
    /// Its group; repositories have none.
    pub runner_group_id: Option<i64>,
}

impl RemoteRunner {
    /// Whether it is on line.
    pub fn is_online(&self) -> bool {
        self.status == "online"
    }

    /// The names of its labels.
    pub fn label_names(&self) -> Vec<&str> {
        self.labels.iter().map(|label| label.name.as_str()).collect()
    }

    /// Whether it has this label.
    pub fn has_label(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label.name == name)
    }
}

/// A label of a runner. Its id may be absent, and does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RemoteLabel {
    /// Its name, in lower case as GitHub compares them.
    #[serde(deserialize_with = "lower_case")]
    pub name: String,
    /// `read-only` for one that GitHub gave, `custom` for any other; may be absent.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RunnersPage {
    pub(super) total_count: usize,
    pub(super) runners: Vec<RemoteRunner>,
}

#[derive(Deserialize)]
pub(super) struct RunnerGroup {
    pub(super) name: String,
}

fn secret<'de, D: Deserializer<'de>>(input: D) -> Result<SecretString, D::Error> {
    String::deserialize(input).map(SecretString::from)
}

fn lower_case<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    String::deserialize(input).map(|text| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_runner_without_optional_members_is_read() {
        let runner: RemoteRunner = serde_json::from_value(json!({
            "id": 7, "name": "a", "os": "unknown", "status": "offline", "busy": false, "labels": [{"name": "GPU"}],
        }))
        .unwrap();
        assert_eq!((runner.label_names(), runner.ephemeral, runner.runner_group_id), (vec!["gpu"], None, None));
    }
}
