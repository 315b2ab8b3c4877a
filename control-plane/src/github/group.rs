//! Runner groups: that they are there, and their names, which `config.sh` wants instead of their ids.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::Method;
use chrono::{DateTime, TimeDelta, Utc};

use super::client::Call;
use super::wire::RunnerGroup;
use super::{Github, GithubError, Kind, Priority};
use crate::metrics::Operation;
use crate::runner::Target;

/// For so long a group's name is believed: a renamed or deleted group is noticed after that.
const LIFE: TimeDelta = TimeDelta::minutes(1);

/// A group's name, and when GitHub said so.
type Known = (String, DateTime<Utc>);

/// Groups that are there; GitHub bounds how many there can be.
#[derive(Default)]
pub(super) struct Groups(Mutex<HashMap<(Target, i64), Known>>);

impl Groups {
    fn get(&self, key: &(Target, i64), now: DateTime<Utc>) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, said)| now.signed_duration_since(*said) < LIFE).map(|(name, _)| name.clone())
    }

    fn set(&self, key: (Target, i64), name: Option<String>, now: DateTime<Utc>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match name {
            Some(name) => drop(known.insert(key, (name, now))),
            None => drop(known.remove(&key)),
        }
    }
}

impl Github {
    /// The name of a runner group of an organisation or enterprise. [`Kind::Group`] if there is none that the target sees.
    pub async fn group_name(&self, target: &Target, id: i64) -> Result<String, GithubError> {
        let client = self.client(target)?;
        match client.groups.get(&(target.clone(), id), client.clock().now()) {
            Some(name) => Ok(name),
            None => self.ask_for_group(target, id).await,
        }
    }

    /// The same, but asked now.
    pub(super) async fn ask_for_group(&self, target: &Target, id: i64) -> Result<String, GithubError> {
        let client = self.client(target)?;
        let path = format!("{}/runner-groups/{id}", target.api_path());
        let key = (target.clone(), id);
        match client.call(&Call::new(Operation::ReadGroup, Method::GET, path, Priority::Request)).await {
            Ok(answer) => {
                let RunnerGroup { name } = answer.parse()?;
                client.groups.set(key, Some(name.clone()), client.clock().now());
                Ok(name)
            }
            Err(error) if error.kind == Kind::NotFound && !error.before_call => {
                client.groups.set(key, None, client.clock().now());
                Err(GithubError { kind: Kind::Group(id), ..error })
            }
            Err(error) => Err(error),
        }
    }
}
