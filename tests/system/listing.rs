//! A thousand runners of ours on ten pages, of which the seventh fails.

use std::time::Duration;

use anyhow::ensure;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::StatusCode;
use serde_json::json;
use testkit::github::{Endpoint, Fault};
use testkit::system::System;

use crate::replicas::three;
use crate::support::{database, provision, token_of, until};

const RUNNERS: usize = 1000;
const AT_ONCE: usize = 20;
/// A comparison of a thousand rows, on a machine under load.
const PATIENCE: Duration = Duration::from_mins(2);

async fn number(system: &System, query: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(query).fetch_one(&mut database(system).await?).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_among_ten_costs_nobody_of_a_thousand_a_runner() -> anyhow::Result<()> {
    let system = three().await?;
    let token = token_of(&system, "team-blue")?;
    let made = stream::iter(0..RUNNERS).map(async |number| {
        let body = json!({"runner_name": format!("r-{number:04}"), "mode": "jit"});
        let answer = provision(&system, &token, &body).await?;
        ensure!(answer.status == StatusCode::CREATED, "{}", answer.body);
        anyhow::Ok(())
    });
    made.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    // Old enough that no listing may miss them.
    let age = "update runners set requested_at = requested_at - interval '1 hour'";
    sqlx::query(age).execute(&mut database(&system).await?).await?;

    // Two that GitHub lost: they must not be found missing while the page fails, and must be when it is back.
    let lost: Vec<u64> = system.github().runners().iter().rev().take(2).map(|runner| runner.id).collect();
    system.github().fail_page(7, Fault::BeforeCommit(502), usize::MAX);
    let failures = || system.github().calls().iter().filter(|call| call.status == Some(502)).count();
    // Three attempts a comparison: the first of these may have begun before.
    until("the page fails", PATIENCE, async || Ok(failures() >= 3)).await?;
    for id in &lost {
        assert!(system.github().remove_runner(*id));
    }
    let before = failures();
    until("five comparisons fail", PATIENCE, async || Ok(failures() >= before + 15)).await?;
    let live = "select count(*) from runners where state <> 'deleted' and missing_since is null";
    assert_eq!(number(&system, live).await?, i64::try_from(RUNNERS)?, "nobody is deleted, nor found missing");
    assert_eq!(system.github().count(Endpoint::GetRunner), 0, "nobody is even asked for");

    system.github().clear_faults();
    let gone = "select count(*) from runners where deleted_reason = 'gone-from-github'";
    until("those that are gone are known", PATIENCE, async || Ok(number(&system, gone).await? == 2)).await?;
    assert_eq!(number(&system, live).await?, i64::try_from(RUNNERS - lost.len())?);
    let listed = "select count(*) from audit_log where event = 'runner.deleted'";
    assert_eq!(number(&system, listed).await?, 2, "one entry each");
    println!("{RUNNERS} runners on ten pages: {} failures of page 7, none deleted by mistake", failures());
    Ok(())
}
