//! What a runner is: its name, its labels, where it belongs and the states that it goes through.

mod drift;
mod labels;
mod name;
mod state;
mod target;

pub use drift::Drift;
pub use labels::{LabelError, Labels, MAX_LABELS, is_reserved};
pub use name::{NameError, NamePrefix, RunnerName};
pub use state::{DeletedReason, Issuance, State, TransitionError, transition};
pub use target::{Target, TargetError, is_login};

use serde::{Deserialize, Serialize};

/// What a machine is given to register with.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    sqlx::Type,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[sqlx(type_name = "text", rename_all = "kebab-case")]
pub enum Mode {
    /// A registration token for `config.sh`.
    #[default]
    RegistrationToken,
    /// A just-in-time configuration for `run.sh`: one runner, one job.
    Jit,
}

impl Mode {
    /// As the API and the database write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RegistrationToken => "registration-token",
            Self::Jit => "jit",
        }
    }
}

/// A text that names none of the values there are.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not known")]
pub struct UnknownValue(pub String);
