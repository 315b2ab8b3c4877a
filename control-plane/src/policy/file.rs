//! The policy file: read at start, and again whenever it changes. A broken one changes nothing but the health report.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{MAX_SIZE, Policy, PolicyError};

/// Where the policy comes from, and the one in force.
pub struct PolicyFile {
    path: Option<PathBuf>,
    state: RwLock<State>,
}

struct State {
    policy: Arc<Policy>,
    loaded_at: DateTime<Utc>,
    /// Why the file as it is now is not in force.
    error: Option<String>,
}

/// Why a policy file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It can't be read.
    #[error("the policy file can't be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is broken.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// What a look at the file has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing new.
    None,
    /// A new policy is in force.
    Loaded,
    /// The file is broken, in another way than at the last look; the policy from before stays in force.
    Broken(String),
}

/// What health reports tell of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyStatus {
    /// `none`: there is no file; `ok`: the file is in force; `stale`: the file is broken, and an older one in force.
    pub status: &'static str,
    /// SHA-256 of the file in force.
    pub sha256: Option<String>,
    /// Since when this process has it.
    pub loaded_at: DateTime<Utc>,
}

impl PolicyFile {
    /// No file.
    pub fn none(now: DateTime<Utc>) -> Arc<Self> {
        Self::of(None, Policy::none(), now)
    }

    /// The file at this path. It must be in order to begin with.
    pub fn open(path: PathBuf, now: DateTime<Utc>) -> Result<Arc<Self>, LoadError> {
        let policy = read(&path)?;
        Ok(Self::of(Some(path), policy, now))
    }

    fn of(path: Option<PathBuf>, policy: Policy, now: DateTime<Utc>) -> Arc<Self> {
        let state = State { policy: Arc::new(policy), loaded_at: now, error: None };
        Arc::new(Self { path, state: RwLock::new(state) })
    }

    /// The policy in force. Whoever decides by it keeps it until the decision is carried out.
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).policy)
    }

    /// Reads the file again. What is in force changes as a whole, and only to a policy that is in order.
    pub fn reload(&self, now: DateTime<Utc>) -> Change {
        let Some(path) = &self.path else { return Change::None };
        let loaded = read(path);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(policy) => {
                state.error = None;
                if policy.sha256() == state.policy.sha256() {
                    return Change::None;
                }
                state.policy = Arc::new(policy);
                state.loaded_at = now;
                Change::Loaded
            }
            Err(error) => {
                let error = error.to_string();
                if state.error.as_ref() == Some(&error) {
                    return Change::None;
                }
                state.error = Some(error.clone());
                Change::Broken(error)
            }
        }
    }

    /// For health reports.
    pub fn status(&self) -> PolicyStatus {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let status = match (&self.path, &state.error) {
            (None, _) => "none",
            (Some(_), None) => "ok",
            (Some(_), Some(_)) => "stale",
        };
        PolicyStatus { status, sha256: state.policy.sha256().map(str::to_owned), loaded_at: state.loaded_at }
    }
}

/// The policy of the file at this path.
pub fn read(path: &Path) -> Result<Policy, LoadError> {
    // A byte more than is allowed tells that it is too much.
    let limit = u64::try_from(MAX_SIZE).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok(Policy::parse(&content)?)
}
