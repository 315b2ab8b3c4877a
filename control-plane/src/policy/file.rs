//! The policy file: read at start, and again whenever it changes. A broken one changes nothing but the health report.
//!
//! A file that is being written in place may be read halfway. Half a policy can be in order and grant more than the
//! whole, when the line with a limit or a condition is not there yet; so a change counts only once two looks have found
//! the same.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

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
    /// SHA-256 of what the last look found; none if it could read nothing.
    found: Option<String>,
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
        let found = policy.sha256().map(str::to_owned);
        let state = State { policy: Arc::new(policy), loaded_at: now, error: None, found };
        Arc::new(Self { path, state: RwLock::new(state) })
    }

    /// The policy in force. Whoever decides by it keeps it until the decision is carried out.
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).policy)
    }

    /// Looks at the file, and takes it into force if the look before has found the same.
    pub fn look(&self, now: DateTime<Utc>) -> Change {
        self.read_again(now, false)
    }

    /// Takes the file into force: somebody says that it is whole.
    pub fn reload(&self, now: DateTime<Utc>) -> Change {
        self.read_again(now, true)
    }

    /// What is in force changes as a whole, and only to a policy that is in order.
    fn read_again(&self, now: DateTime<Utc>, is_whole: bool) -> Change {
        let Some(path) = &self.path else { return Change::None };
        let content = content(path);
        let found = content.as_ref().ok().map(|content| hex::encode(Sha256::digest(content)));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut state.found, found);
        if !is_whole && before != state.found {
            return Change::None;
        }
        match content.and_then(|content| Ok(Policy::parse(&content)?)) {
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
    Ok(Policy::parse(&content(path)?)?)
}

fn content(path: &Path) -> Result<Vec<u8>, LoadError> {
    // A byte more than is allowed tells that it is too much.
    let limit = u64::try_from(MAX_SIZE).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last line narrows the grant, so that the file is in order without it and grants more.
    const WHOLE: &str = "version: 1
rules:
  - name: a
    match: {iss: https://idp.example.com, claims: {aud: x}}
    grant:
      targets: [org:acme]
      modes: [jit]
";

    #[test]
    fn what_is_half_written_is_not_taken_into_force() {
        let path = std::env::temp_dir().join(format!("policy-file-{}.yaml", std::process::id()));
        let now = DateTime::UNIX_EPOCH;
        let hash = |text: &str| Some(hex::encode(Sha256::digest(text)));
        std::fs::write(&path, "version: 1\nrules: []\n").unwrap();
        let file = PolicyFile::open(path.clone(), now).unwrap();
        let half = WHOLE.replace("      modes: [jit]\n", "");
        assert!(Policy::parse(half.as_bytes()).is_ok());
        for (text, expected) in [(half.as_str(), Change::None), (WHOLE, Change::None), (WHOLE, Change::Loaded)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(file.look(now), expected);
        }
        assert_eq!((file.status().sha256, file.look(now)), (hash(WHOLE), Change::None));

        // A file that is gone for a moment, or empty, is no broken one yet; and told of, each counts at once.
        std::fs::write(&path, "").unwrap();
        assert_eq!((file.look(now), file.status().status), (Change::None, "ok"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!((file.look(now), file.status().status), (Change::None, "ok"));
        assert!(matches!(file.look(now), Change::Broken(_)));
        std::fs::write(&path, &half).unwrap();
        assert_eq!((file.reload(now), file.status().sha256), (Change::Loaded, hash(&half)));
        std::fs::remove_file(&path).unwrap();
    }
}
