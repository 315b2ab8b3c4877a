//! Custom labels of a runner: read, add, replace, remove.

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::json;

use super::auth::Access;
use super::{Request, World};
use crate::github::input::Input;
use crate::github::reply::{Refusal, Reply};

impl World {
    pub(super) fn runner_labels(&mut self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let access = if request.method == Method::GET { Access::Read } else { Access::Write };
        let target = self.require_runners(request, access, now)?;
        let mut runner = self.runner_of(request, &target)?.clone();
        match request.method {
            Method::POST | Method::PUT => {
                let input = Input::parse(&request.body)?;
                // None at all takes all away; to add none is a mistake.
                let asked = if request.method == Method::PUT { input.texts("labels")? } else { input.labels()? };
                if request.method == Method::PUT {
                    runner.labels.retain(|(_, custom)| !custom);
                }
                for label in asked {
                    if !runner.labels.iter().any(|(known, _)| known.eq_ignore_ascii_case(&label)) {
                        runner.labels.push((label, true));
                    }
                }
            }
            Method::DELETE => match &request.route.label {
                None => runner.labels.retain(|(_, custom)| !custom),
                Some(label) => remove(&mut runner.labels, label)?,
            },
            _ => {}
        }
        self.number_labels(&runner);
        let labels = self.labels(&runner);
        self.runners.insert(runner.id, runner);
        Ok(Reply::new(200, json!({"total_count": labels.len(), "labels": labels})))
    }
}

fn remove(labels: &mut Vec<(String, bool)>, label: &str) -> Result<(), Refusal> {
    let found = labels.iter().position(|(known, _)| known.eq_ignore_ascii_case(label));
    match found.and_then(|index| labels.get(index).map(|(_, custom)| (index, *custom))) {
        None => Err(Refusal::not_found()),
        Some((_, false)) => Err(Refusal::new(422, "Read-only labels can't be removed.")),
        Some((index, true)) => {
            labels.remove(index);
            Ok(())
        }
    }
}
