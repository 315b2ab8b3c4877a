//! What is asked for: the body of a provision, and what it means with the defaults filled in.

use serde::{Deserialize, Serialize};

use crate::runner::{Labels, Mode, NamePrefix, RunnerName, Target};

/// The body of a provision, checked for form.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionRequest {
    /// The name wanted.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    pub runner_name: Option<RunnerName>,
    /// Instead of a name: the start of one that the service completes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 55)]
    pub runner_name_prefix: Option<NamePrefix>,
    /// Labels beside those that the runner gives itself.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub labels: Labels,
    /// The runner group; the default one unless given.
    #[schema(minimum = 1)]
    pub runner_group_id: Option<i64>,
    /// Ends after one job; true unless given.
    pub ephemeral: Option<bool>,
    /// The machine's runner software does not update itself.
    pub disable_update: Option<bool>,
    /// What the machine is given; a registration token unless given.
    #[serde(default)]
    pub mode: Mode,
    /// Where; the default organisation unless given.
    #[schema(value_type = Option<String>, example = "org:acme-partners")]
    pub target: Option<Target>,
}

/// What is to be registered, with the defaults filled in.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The name or its start.
    pub name: NameChoice,
    /// Labels in lower case.
    pub labels: Labels,
    /// The runner group.
    pub runner_group_id: i64,
    /// The group's name on GitHub, if it was looked up; only a rule that grants groups by name asks for it.
    pub group_name: Option<String>,
    /// Ends after one job.
    pub ephemeral: bool,
    /// The machine's runner software does not update itself.
    pub disable_update: bool,
    /// What the machine is given.
    pub mode: Mode,
    /// Where.
    pub target: Target,
}

/// A name, or the start of one.
#[derive(Clone, Debug)]
pub enum NameChoice {
    /// This one.
    Exact(RunnerName),
    /// This start and a random end.
    Prefix(NamePrefix),
}

/// Members of a request that do not go together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WishError {
    /// Neither or both.
    #[error("give either `runner_name` or `runner_name_prefix`")]
    Name,
    /// GitHub makes just-in-time runners ephemeral, always.
    #[error("`ephemeral`: a runner in `jit` mode is always ephemeral")]
    JitEphemeral,
    /// A just-in-time configuration has no such setting.
    #[error("`disable_update` can't be set in `jit` mode")]
    JitUpdate,
    /// Not the number of a group.
    #[error("`runner_group_id` must be 1 or more")]
    Group,
    /// GitHub has groups for organisations and enterprises alone.
    #[error("`runner_group_id`: a repository has no runner groups; leave it out")]
    RepositoryGroup,
}

/// Where runners go unless a request says otherwise, and without a policy the only place where they may go.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The organisation.
    pub target: Target,
    /// The runner group.
    pub runner_group_id: i64,
}

impl ProvisionRequest {
    /// Fills in the defaults and checks that the members go together.
    pub fn complete(self, defaults: &Defaults) -> Result<Wish, WishError> {
        let name = match (self.runner_name, self.runner_name_prefix) {
            (Some(name), None) => NameChoice::Exact(name),
            (None, Some(prefix)) => NameChoice::Prefix(prefix),
            _ => return Err(WishError::Name),
        };
        let jit = self.mode == Mode::Jit;
        if jit && self.ephemeral == Some(false) {
            return Err(WishError::JitEphemeral);
        }
        if jit && self.disable_update == Some(true) {
            return Err(WishError::JitUpdate);
        }
        let target = self.target.unwrap_or_else(|| defaults.target.clone());
        let default_group_id = if target.has_groups() { defaults.runner_group_id } else { 1 };
        let runner_group_id = self.runner_group_id.unwrap_or(default_group_id);
        if runner_group_id < 1 {
            return Err(WishError::Group);
        }
        if runner_group_id != 1 && !target.has_groups() {
            return Err(WishError::RepositoryGroup);
        }
        Ok(Wish {
            name,
            labels: if jit { self.labels.or_self_hosted() } else { self.labels },
            runner_group_id,
            group_name: None,
            ephemeral: self.ephemeral.unwrap_or(true),
            disable_update: self.disable_update.unwrap_or(false),
            mode: self.mode,
            target,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn defaults() -> Defaults {
        Defaults { target: "org:acme".parse().unwrap(), runner_group_id: 1 }
    }

    fn wish(body: Value) -> Result<Wish, WishError> {
        serde_json::from_value::<ProvisionRequest>(body).unwrap().complete(&defaults())
    }

    #[test]
    fn defaults_are_filled_in() {
        let wish = wish(json!({"runner_name": "a"})).unwrap();
        assert!(wish.ephemeral && !wish.disable_update && wish.labels.is_empty());
        assert_eq!((wish.mode, wish.runner_group_id), (Mode::RegistrationToken, 1));
        assert_eq!(wish.target.to_string(), "org:acme");
    }

    #[test]
    fn a_jit_runner_without_labels_gets_the_one_that_config_sh_would_give() {
        assert_eq!(wish(json!({"runner_name": "a", "mode": "jit"})).unwrap().labels.as_slice(), ["self-hosted"]);
    }

    #[test]
    fn members_that_do_not_go_together_are_refused() {
        for (body, expected) in [
            (json!({}), WishError::Name),
            (json!({"runner_name": "a", "runner_name_prefix": "a"}), WishError::Name),
            (json!({"runner_name": "a", "mode": "jit", "ephemeral": false}), WishError::JitEphemeral),
            (json!({"runner_name": "a", "mode": "jit", "disable_update": true}), WishError::JitUpdate),
            (json!({"runner_name": "a", "runner_group_id": 0}), WishError::Group),
            (json!({"runner_name": "a", "target": "repo:a/b", "runner_group_id": 2}), WishError::RepositoryGroup),
        ] {
            assert_eq!(wish(body).unwrap_err(), expected);
        }
    }
}
