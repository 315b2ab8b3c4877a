//! What is asked.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use identity::{Stated, headers};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::history::ISSUER;

use crate::side::{Known, Shape, Side};

const RUNNERS: &str = "/api/v1/runners";

/// Something that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    List,
    GetByName,
    GetById,
    Provision,
    Delete,
    AdminList,
    Feed,
    Reconcile,
}

/// A call as it goes over the wire, and what must come of it.
struct Question {
    method: Method,
    path: String,
    body: Value,
    is_right: fn(&Value) -> bool,
}

impl Call {
    /// Those that make sense for records of this shape.
    pub(crate) fn of(shape: Shape) -> Vec<Self> {
        // The log is the same whichever runners live, and GitHub has no million of them. The other calls write to it, so
        // they come later.
        let first: &[Self] = if shape == Shape::Gone { &[Self::Feed, Self::Reconcile] } else { &[] };
        let rest = [Self::List, Self::GetByName, Self::GetById, Self::Provision, Self::Delete, Self::AdminList];
        [first, &rest].concat()
    }

    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::List => "list an owner's 20 runners",
            Self::GetByName => "get one by name",
            Self::GetById => "get one by id",
            Self::Provision => "provision (just in time)",
            Self::Delete => "delete",
            Self::AdminList => "administrator's first page of all",
            Self::Feed => "feed of the log, the newest 100 entries",
            Self::Reconcile => "reconcile 1,000 live runners",
        }
    }

    /// So often in a round at most: what takes long is made once.
    pub(crate) fn most_repeats(self) -> u32 {
        if self == Self::Reconcile { 1 } else { u32::MAX }
    }

    fn question(self, side: &mut Side, known: &Known) -> anyhow::Result<Question> {
        let get = |path, is_right| Question { method: Method::GET, path, body: Value::Null, is_right };
        Ok(match self {
            Self::List => get(RUNNERS.to_owned(), |body| count(body, "runners") == 20),
            Self::GetByName => get(format!("{RUNNERS}/{}", known.name), is_runner),
            Self::GetById => get(format!("{RUNNERS}/{}", known.id), is_runner),
            Self::AdminList => get("/api/v1/admin/runners?limit=50".to_owned(), |body| count(body, "runners") == 50),
            Self::Feed => {
                let newest = side.size.saturating_sub(100);
                let path = format!("/api/v1/admin/audit-log?limit=100&cursor={newest}");
                get(path, |body| count(body, "entries") == 100)
            }
            Self::Provision => {
                let name = side.new_name();
                let body = json!({"runner_name": name, "mode": "jit"});
                let is_right = |body: &Value| body.get("encoded_jit_config").is_some();
                Question { method: Method::POST, path: format!("{RUNNERS}/provision"), body, is_right }
            }
            Self::Delete => {
                let name = side.made.pop().context("none was made")?;
                Question {
                    method: Method::DELETE,
                    path: format!("{RUNNERS}/{name}"),
                    body: Value::Null,
                    is_right: |_| true,
                }
            }
            Self::Reconcile => Question {
                method: Method::POST,
                path: "/api/v1/admin/sync".to_owned(),
                body: Value::Null,
                is_right: |body| body.get("compared").and_then(Value::as_u64) == Some(1_000),
            },
        })
    }
}

fn is_runner(body: &Value) -> bool {
    body.get("runner_name").is_some()
}

fn count(body: &Value, list: &str) -> usize {
    body.get(list).and_then(Value::as_array).map_or(0, Vec::len)
}

impl Side {
    /// How long it takes from the question to the whole answer, which must be the right one. What a deletion needs is
    /// made before, what a provision makes is deleted after it; neither counts.
    pub(crate) async fn time(&mut self, call: Call) -> anyhow::Result<Duration> {
        let known = self.next_known()?;
        if call == Call::Delete {
            self.ask(Call::Provision, &known).await?;
        }
        let took = self.ask(call, &known).await?;
        if call == Call::Provision {
            self.ask(Call::Delete, &known).await?;
        }
        Ok(took)
    }

    async fn ask(&mut self, call: Call, known: &Known) -> anyhow::Result<Duration> {
        let Question { method, path, body, is_right } = call.question(self, known)?;
        let now = u64::try_from(testkit::clock::now().timestamp())?;
        let claims = if path.starts_with("/api/v1/admin") { r#"{"groups":"admins"}"# } else { r#"{"aud":"bench"}"# };
        let subject = known.owner.as_str();
        let stated = Stated { issuer: ISSUER, subject, name: subject, claims, token_sha256: &"ab".repeat(32) };
        let assertion = self.signer.sign(&stated, now, 60)?;
        let request = self.client.request(method, format!("{}{path}", self.url)).header(headers::ASSERTION, assertion);
        let request = if body.is_null() { request } else { request.json(&body) };
        let asked = Instant::now();
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let took = asked.elapsed();
        let right = [StatusCode::OK, StatusCode::CREATED].contains(&status)
            && serde_json::from_str(&text).is_ok_and(|body| is_right(&body));
        ensure!(right, "{path}: {status} {text}");
        Ok(took)
    }
}
