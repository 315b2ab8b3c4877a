//! What is wrong with a deployment, and what to do about it. Looks, tries, and leaves nothing behind.

mod callers;
mod database;
mod edge;
mod github;
mod runner;
mod upkeep;
mod web;
mod webhook;

pub use callers::{Callers, assertion, check_callers, check_identity};
pub use database::{check_database, sealing};
pub use edge::check_edge;
pub use github::{budget, check_github};
pub use runner::check_runner;
pub use upkeep::{MAX_STUCK, drains, job, stuck_before};
pub use webhook::check_hook;

use serde::Serialize;

use crate::config::{ConfigError, ServeConfig};
use crate::policy;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Not looked at; says what to give for that.
    Skipped,
    /// It works, but is weaker than it should be, or soon will not.
    Warning,
    /// It does not work.
    Error,
}

impl Level {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Finding {
    /// What was looked at; stable.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, what: what.into(), fix: None }
    }

    fn with(check: &'static str, level: Level, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level, what: what.into(), fix: Some(fix.into()) }
    }

    fn skipped(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::with(check, Level::Skipped, what, fix)
    }

    fn warning(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::with(check, Level::Warning, what, fix)
    }

    fn error(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::with(check, Level::Error, what, fix)
    }
}

/// Looks at what `serve` reads.
pub fn check_configuration(config: &Result<ServeConfig, ConfigError>) -> Vec<Finding> {
    match config {
        Err(error) => {
            let problems = error.problems.iter();
            problems
                .map(|one| {
                    Finding::error("configuration", format!("{} {}", one.variable, one.what), one.remedy.clone())
                })
                .collect()
        }
        Ok(config) => {
            let webhook = webhook::secrets(&config.webhook_secrets);
            vec![Finding::ok("configuration", "is complete"), webhook, policy(config), audit_key(config)]
        }
    }
}

/// One that can't be used is a problem of the configuration.
fn policy(config: &ServeConfig) -> Finding {
    let policy = config.policy_file.as_deref().and_then(|path| policy::read(path).ok());
    match policy {
        Some(policy) if policy.grants_nothing() => Finding::warning(
            "policy",
            "no rule in force grants a target or admin rights: every request is refused",
            "give a rule `targets`, and see that it is not on trial (`enforce: false`); docs/policy.md",
        ),
        Some(policy) => Finding::ok("policy", format!("{} rule(s)", policy.size().unwrap_or_default())),
        None => Finding::warning(
            "policy",
            "there is none: every verified caller may provision in the default organisation and group",
            "write one (docs/policy.md) and set POLICY_FILE to its path",
        ),
    }
}

fn audit_key(config: &ServeConfig) -> Finding {
    match config.audit.key {
        Some(_) => Finding::ok("audit-key", "checkpoints are signed"),
        None => Finding::warning(
            "audit-key",
            "checkpoints of the audit log are not signed",
            "set AUDIT_SIGNING_KEY_FILE to the path of a key made with `openssl genpkey -algorithm ed25519`",
        ),
    }
}
