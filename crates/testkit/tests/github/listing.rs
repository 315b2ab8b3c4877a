//! Listing, reading and deleting.

use std::collections::HashSet;

use http::Method;
use serde_json::{Value, json};

use super::support::{Answer, RUNNERS, Rest, answer};

fn ids(answer: &Answer) -> Vec<u64> {
    let runners = answer.body.get("runners").and_then(Value::as_array).into_iter().flatten();
    runners.filter_map(|runner| runner.get("id")?.as_u64()).collect()
}

/// The absolute URL of a relation in `Link`, cut down to its path.
fn link(rest: &Rest, answer: &Answer, relation: &str) -> Option<String> {
    let wanted = format!("; rel=\"{relation}\"");
    let found = answer.header("link").split(", ").find(|link| link.ends_with(&wanted))?;
    let url = found.trim_end_matches(&wanted).trim_start_matches('<').trim_end_matches('>');
    url.strip_prefix(rest.github.base_url()).map(str::to_owned)
}

#[tokio::test]
async fn a_hundred_and_fifty_runners_come_in_pages() {
    let rest = Rest::start().await.unwrap();
    for number in 0..150 {
        rest.github.add_runner("acme-partners", &format!("runner-{number}"), &["linux"]);
    }
    rest.github.add_runner("acme-partners/app", "elsewhere", &[]);
    let first = rest.get(RUNNERS).await.unwrap();
    assert_eq!((ids(&first).len(), &first.body["total_count"]), (30, &json!(150)));
    assert_eq!(link(&rest, &first, "last").unwrap(), format!("{RUNNERS}?page=5"));
    assert_eq!(link(&rest, &first, "prev"), None);

    let mut seen = HashSet::new();
    let mut next = Some(format!("{RUNNERS}?per_page=40"));
    let mut pages = 0;
    while let Some(path) = next {
        let page = rest.get(&path).await.unwrap();
        seen.extend(ids(&page));
        next = link(&rest, &page, "next");
        pages += 1;
    }
    assert_eq!((pages, seen.len()), (4, 150));
    let capped = rest.get(&format!("{RUNNERS}?per_page=1000")).await.unwrap();
    assert_eq!(ids(&capped).len(), 100);
    let beyond = rest.get(&format!("{RUNNERS}?per_page=100&page=9")).await.unwrap();
    assert_eq!((ids(&beyond).len(), &beyond.body["total_count"]), (0, &json!(150)));
    assert_eq!(link(&rest, &beyond, "prev").unwrap(), format!("{RUNNERS}?per_page=100&page=2"));
}

#[tokio::test]
async fn the_name_filter_is_exact() {
    let rest = Rest::start().await.unwrap();
    for name in ["a", "ab", "a b"] {
        rest.github.add_runner("acme-partners", name, &[]);
    }
    let found = rest.get(&format!("{RUNNERS}?name=a")).await.unwrap();
    assert_eq!((&found.body["total_count"], &found.body["runners"][0]["name"]), (&json!(1), &json!("a")));
    let spaced = rest.get(&format!("{RUNNERS}?name=a%20b")).await.unwrap();
    assert_eq!(spaced.body["runners"][0]["name"], "a b");
    assert_eq!(rest.get(&format!("{RUNNERS}?name=c")).await.unwrap().body["total_count"], 0);
}

#[tokio::test]
async fn what_did_not_change_costs_nothing() {
    let rest = Rest::start().await.unwrap();
    let first = rest.get(RUNNERS).await.unwrap();
    let conditional = || {
        let request = reqwest::Client::new().get(format!("{}{RUNNERS}", rest.github.base_url()));
        request.header("user-agent", "x").bearer_auth(&rest.token).header("if-none-match", first.header("etag"))
    };
    let same = answer(conditional()).await.unwrap();
    assert_eq!((same.status, &same.body), (304, &Value::String(String::new())));
    assert_eq!(rest.get("/rate_limit").await.unwrap().body["resources"]["core"]["used"], 1);
    rest.github.add_runner("acme-partners", "new", &[]);
    assert_eq!(answer(conditional()).await.unwrap().status, 200);
}

#[tokio::test]
async fn gone_is_404_and_busy_is_422() {
    let rest = Rest::start().await.unwrap();
    assert_eq!(rest.delete(404).await.unwrap().status, 404);
    let id = rest.github.add_runner("acme-partners", "old", &[]);
    rest.github.make_phantom_busy(id, std::time::Duration::from_mins(5));
    let runner = rest.get(&format!("{RUNNERS}/{id}")).await.unwrap().body;
    assert_eq!((&runner["status"], &runner["busy"]), (&json!("offline"), &json!(true)));
    let busy = rest.delete(id).await.unwrap();
    assert_eq!((busy.status, busy.message()), (422, "Bad request - Runner \"old\" is still running a job"));
    rest.github.advance(std::time::Duration::from_mins(5));
    assert_eq!(rest.delete(id).await.unwrap().status, 204);
    assert_eq!(rest.delete(id).await.unwrap().status, 404);
    let other = rest.github.add_runner("acme-partners/app", "elsewhere", &[]);
    assert_eq!(rest.delete(other).await.unwrap().status, 404, "it is not the organisation's");
}

#[tokio::test]
async fn labels_are_added_replaced_and_removed() {
    let rest = Rest::start().await.unwrap();
    let id = rest.github.add_runner("acme-partners", "old", &["a"]);
    let path = format!("{RUNNERS}/{id}/labels");
    let names = |answer: Answer| {
        let labels = answer.body["labels"].as_array().cloned().unwrap_or_default();
        labels.iter().skip(3).map(|label| label["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let body = |labels: &[&str]| Some(json!({"labels": labels}));
    assert_eq!(names(rest.call(Method::POST, &path, body(&["b", "A"])).await.unwrap()), ["a", "b"]);
    assert_eq!(names(rest.call(Method::PUT, &path, body(&["c", "d"])).await.unwrap()), ["c", "d"]);
    assert_eq!(names(rest.call(Method::DELETE, &format!("{path}/c"), None).await.unwrap()), ["d"]);
    assert_eq!(rest.call(Method::DELETE, &format!("{path}/c"), None).await.unwrap().status, 404);
    assert_eq!(rest.call(Method::DELETE, &format!("{path}/X64"), None).await.unwrap().status, 422);
    assert_eq!(rest.call(Method::DELETE, &path, None).await.unwrap().body["total_count"], 3);
    assert_eq!(rest.get(&path).await.unwrap().body["total_count"], 3);
}
