//! JIT configs: what is refused, and what a runner made by one looks like.

use serde_json::{Value, json};
use testkit::github::RunnerKind;

use super::support::{RUNNERS, Rest};

fn valid() -> Value {
    json!({"name": "jit-1", "runner_group_id": 1, "labels": ["linux"], "work_folder": "_work"})
}

/// The valid body with one member replaced, or left out.
fn with(name: &str, value: Option<Value>) -> Value {
    let mut body = valid();
    if let Some(members) = body.as_object_mut() {
        match value {
            Some(value) => drop(members.insert(name.to_owned(), value)),
            None => drop(members.remove(name)),
        }
    }
    body
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused() {
    let rest = Rest::start().await.unwrap();
    let missing = |key: &str| format!("Invalid request. Invalid input: object is missing required key: {key}");
    for key in ["name", "runner_group_id", "labels"] {
        let answer = rest.jit(with(key, None)).await.unwrap();
        assert_eq!((answer.status, answer.message()), (422, missing(key).as_str()));
    }
    for (key, value) in [
        ("labels", json!([])),
        ("labels", json!("linux")),
        ("labels", json!([1])),
        ("labels", json!(vec!["a"; 101])),
        ("name", json!(7)),
        ("name", json!("a/b")),
        ("name", json!("x".repeat(65))),
        ("runner_group_id", json!("1")),
        ("work_folder", json!(1)),
    ] {
        let answer = rest.jit(with(key, Some(value.clone()))).await.unwrap();
        assert_eq!(answer.status, 422, "{key}: {value}");
        assert!(answer.body["documentation_url"].is_string());
    }
    assert_eq!(rest.jit(json!([])).await.unwrap().status, 400);
    assert!(rest.github.runners().is_empty());
}

#[tokio::test]
async fn groups_decide_before_names() {
    let rest = Rest::start().await.unwrap();
    let status = async |id: u64| rest.jit(with("runner_group_id", Some(json!(id)))).await.unwrap().status;
    assert_eq!(status(2).await, 403, "GitHub-hosted");
    assert_eq!(status(77).await, 404);
    assert_eq!(status(3).await, 201);
    let groups = rest.get("/orgs/acme-partners/actions/runner-groups").await.unwrap().body;
    assert_eq!(groups["total_count"], 3);
    assert_eq!(groups["runner_groups"][2]["name"], "GPU pool");
    let group = rest.get("/orgs/acme-partners/actions/runner-groups/3").await.unwrap();
    assert_eq!((group.status, &group.body["default"]), (200, &json!(false)));
    assert_eq!(rest.get("/orgs/acme-partners/actions/runner-groups/77").await.unwrap().status, 404);
}

#[tokio::test]
async fn the_runner_is_there_at_once_with_its_own_labels_only() {
    let rest = Rest::start().await.unwrap();
    let made = rest.jit(with("labels", Some(json!(["GPU", "gpu", "Linux-Big"])))).await.unwrap();
    assert_eq!(made.status, 201);
    let runner = &made.body["runner"];
    assert_eq!(runner["labels"], json!([{"name": "gpu"}, {"name": "linux-big"}]));
    assert_eq!(
        (&runner["os"], &runner["status"], &runner["busy"]),
        (&json!("unknown"), &json!("offline"), &json!(false))
    );
    assert_eq!((&runner["ephemeral"], &runner["version"]), (&json!(true), &Value::Null));
    let shown = rest.get(&format!("{RUNNERS}/{}", runner["id"])).await.unwrap();
    assert_eq!(&shown.body, runner);
    assert_eq!(rest.github.runner("jit-1").unwrap().kind, RunnerKind::Jit);
}

#[tokio::test]
async fn the_same_name_again_is_a_conflict_whatever_its_case() {
    let rest = Rest::start().await.unwrap();
    assert_eq!(rest.jit(valid()).await.unwrap().status, 201);
    for name in ["jit-1", "JIT-1"] {
        let again = rest.jit(with("name", Some(json!(name)))).await.unwrap();
        assert_eq!(
            (again.status, again.message()),
            (409, "Already exists - A runner with the name *** already exists.")
        );
    }
    let id = rest.github.runner("jit-1").unwrap().id;
    assert_eq!(rest.delete(id).await.unwrap().status, 204);
    assert_eq!(rest.jit(valid()).await.unwrap().status, 201);
    let elsewhere = "/repos/acme-partners/app/actions/runners/generate-jitconfig";
    let other = rest.call(http::Method::POST, elsewhere, Some(valid())).await.unwrap();
    assert_eq!(other.status, 201, "a repository has its own names");
}

#[tokio::test]
async fn an_unused_jit_runner_is_forgotten_after_a_day() {
    let rest = Rest::start().await.unwrap();
    rest.jit(valid()).await.unwrap();
    rest.github.add_runner("acme-partners", "old", &[]);
    rest.github.advance(std::time::Duration::from_hours(24));
    assert!(rest.github.runner("jit-1").is_none() && rest.github.runner("old").is_some());
    rest.github.advance(std::time::Duration::from_hours(24 * 13));
    assert!(rest.github.runner("old").is_none());
}
