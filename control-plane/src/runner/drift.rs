//! How a runner on GitHub differs from the one that was asked for.

use serde::{Deserialize, Serialize};

/// What somebody changed: on GitHub's pages, or in the command before they ran it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Drift {
    /// Labels that it was to have and does not have.
    pub missing_labels: Vec<String>,
    /// Labels that it has beside those and GitHub's own.
    pub added_labels: Vec<String>,
    /// The group that it is in, if that is another one.
    pub runner_group_id: Option<i64>,
}

impl Drift {
    /// The drift, unless there is none.
    pub fn of(missing_labels: Vec<String>, added_labels: Vec<String>, runner_group_id: Option<i64>) -> Option<Self> {
        let none = missing_labels.is_empty() && added_labels.is_empty() && runner_group_id.is_none();
        (!none).then_some(Self { missing_labels, added_labels, runner_group_id })
    }
}
