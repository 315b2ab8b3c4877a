//! What a policy grants, to whom runners belong, and that limits hold.

use control_plane::policy::PolicyFile;
use control_plane::reload::read_again;
use identity::headers;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use testkit::github::ORGANIZATION;

use crate::MIGRATIONS;
use crate::admins::policy_file;
use crate::world::{Answer, ISSUER, World};

const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// A policy whose one rule is about everybody of the issuer with this audience.
fn one_rule(rest: &str, grant: &str) -> String {
    format!(
        "version: 1\nrules:\n  - name: all\n    match: {{iss: {ISSUER}, claims: {{aud: runners}}}}\n    {rest}\n    \
         grant: {{targets: [org:{ORGANIZATION}]{grant}}}\n"
    )
}

/// A call with a token of `repository` as a workflow on `branch` gets it.
async fn workflow(
    world: &World,
    repository: u64,
    branch: &str,
    call: (Method, &str),
    body: Value,
) -> anyhow::Result<Answer> {
    let subject = format!("repo:acme/app:ref:refs/heads/{branch}");
    let claims = json!({"repository_owner_id": "1234", "repository_id": repository.to_string()});
    let assertion = world.assertion_of(GITHUB, &subject, &claims)?;
    let (method, path) = call;
    let request = world.anonymous(method, &format!("/api/v1/runners{path}")).header(headers::ASSERTION, assertion);
    world.send(request.json(&body)).await
}

async fn provision(world: &World, subject: &str, body: Value) -> anyhow::Result<Answer> {
    let assertion = world.assertion_of(ISSUER, subject, &json!({"aud": "runners"}))?;
    let request = world.anonymous(Method::POST, "/api/v1/runners/provision").header(headers::ASSERTION, assertion);
    world.send(request.json(&body)).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn forty_requests_at_once_on_three_replicas_get_as_many_runners_as_the_limit_says(
    pool: PgPool,
) -> anyhow::Result<()> {
    let text = one_rule("owner: team", ", labels: [self-hosted], limits: {active: 5}");
    let world = World::with_policy(pool, &policy_file(&text)?).await?;
    let replicas = [world.beside(|_| ()).await?, world.beside(|_| ()).await?, world.beside(|_| ()).await?];
    let requests = (0..40).zip(replicas.iter().cycle()).map(|(number, replica)| async move {
        let body = json!({"runner_name": format!("r-{number}"), "mode": "jit"});
        provision(replica, &format!("machine-{number}"), body).await
    });
    let answers = futures_util::future::try_join_all(requests).await?;
    let granted = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(granted, 5);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.status, answer.problem()), (429, "limit-reached"), "{answer:?}");
        assert!(answer.text("detail")?.contains("the limit of 5 runners of this owner at a time is reached"));
    }
    assert_eq!(world.github.runners().len(), 5);
    let denied = world.events().await?.iter().filter(|event| *event == "provision.denied denied").count();
    assert_eq!(denied, 35);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_limit_counts_what_it_says(pool: PgPool) -> anyhow::Result<()> {
    let text = one_rule("", ", limits: {active: 4, pending: 1, per_hour: 3}");
    let world = World::with_policy(pool, &policy_file(&text)?).await?;
    let refused = async |name: &str, expected: &str| {
        let answer = provision(&world, "m", json!({"runner_name": name})).await?;
        assert_eq!((answer.status, answer.problem()), (429, "limit-reached"), "{name}");
        assert!(answer.text("detail")?.contains(expected), "{answer:?}");
        anyhow::Ok(())
    };
    for number in 1..=3 {
        let answer = provision(&world, "m", json!({"runner_name": format!("r-{number}")})).await?;
        assert_eq!(answer.status, 201, "{answer:?}");
        refused("r-x", "the limit of 1 runners of this owner that no machine has come on line with yet").await?;
        let mut machine = world.github.machine().run_command(answer.text("configuration_command")?).await?;
        machine.go_online().await?;
        world.reconcile().await?;
    }
    refused("r-4", "the limit of 3 new runners of this owner within an hour").await?;
    // Another owner has limits of its own.
    assert_eq!(provision(&world, "n", json!({"runner_name": "n-1"})).await?.status, 201);
    world.advance(Duration::from_mins(61))?;
    assert_eq!(provision(&world, "m", json!({"runner_name": "r-5"})).await?.status, 201);
    refused("r-6", "the limit of 4 runners of this owner at a time").await?;
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn two_branches_of_one_repository_share_their_runners_and_no_third_sees_them(pool: PgPool) -> anyhow::Result<()> {
    let text = format!(
        "version: 1\nrules:\n  - name: app\n    match: {{iss: {GITHUB}, claims: {{repository_owner_id: 1234}}}}\n    \
         owner: {{claim: repository_id}}\n    grant: {{targets: [org:{ORGANIZATION}], limits: {{active: 2}}}}\n"
    );
    let world = World::with_policy(pool, &policy_file(&text)?).await?;
    let provision = (Method::POST, "/provision");
    let made = workflow(&world, 77, "main", provision.clone(), json!({"runner_name": "shared"})).await?;
    assert_eq!(made.status, 201, "{made:?}");
    let made = workflow(&world, 77, "dev", provision.clone(), json!({"runner_name": "other"})).await?;
    assert_eq!(made.status, 201, "{made:?}");
    let third = workflow(&world, 77, "docs", provision.clone(), json!({"runner_name": "one-more"})).await?;
    assert_eq!(third.problem(), "limit-reached", "they share the limit, too");

    let stranger = workflow(&world, 78, "main", (Method::GET, ""), Value::Null).await?;
    assert_eq!((stranger.status, &stranger.body["total"]), (200, &json!(0)));
    for call in [(Method::GET, "/shared"), (Method::DELETE, "/shared"), (Method::POST, "/shared/refresh")] {
        assert_eq!(workflow(&world, 78, "main", call, Value::Null).await?.problem(), "runner-not-found");
    }
    // Somebody whose subject is what the owner is called in the records is still somebody else.
    let subject = format!("[\"{GITHUB}\",\"repository_id\",\"77\"]");
    assert_eq!(world.get(&subject, "/api/v1/runners").await?.body["total"], 0);

    let listed = workflow(&world, 77, "dev", (Method::GET, "?limit=1"), Value::Null).await?;
    assert_eq!((&listed.body["total"], listed.body["next_cursor"].is_string()), (&json!(2), true), "{listed:?}");
    assert_eq!(workflow(&world, 77, "dev", (Method::DELETE, "/shared"), Value::Null).await?.status, 200);
    let made = workflow(&world, 77, "docs", provision, json!({"runner_name": "one-more"})).await?;
    assert_eq!(made.status, 201, "{made:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_denied_is_recorded_with_its_reasons_and_nothing_reaches_github(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(&one_rule("", ", labels: [gpu], name_prefix: a-"))?).await?;
    let calls = world.github.calls().len();
    for (body, status, problem) in [
        (json!({"runner_name": "a-1", "labels": ["gpu", "tpu"]}), 403, "denied-by-policy"),
        (json!({"runner_name": "a-1", "labels": ["g\u{440}u"]}), 400, "invalid-request"),
        (json!({"runner_name": "a-1", "labels": ["gpu "]}), 400, "invalid-request"),
        (json!({"runner_name": "b-1"}), 403, "denied-by-policy"),
        (json!({"runner_name": "a-1", "runner_group_id": 2}), 403, "denied-by-policy"),
        (json!({"runner_name": "a-1", "target": "org:other"}), 403, "denied-by-policy"),
    ] {
        let answer = provision(&world, "m", body.clone()).await?;
        assert_eq!((answer.status, answer.problem()), (status, problem), "{body}");
    }
    let stranger = world.provision("nobody", json!({"runner_name": "a-1"})).await?;
    assert_eq!((stranger.status, stranger.text("detail")?), (403, "no rule of the policy is about you"));
    assert_eq!(world.github.calls().len(), calls);
    let query = "select reasons[1] from audit_log where event = 'provision.denied' order by id limit 1";
    let reason: String = sqlx::query_scalar(query).fetch_one(&world.pool).await?;
    assert_eq!(reason, "rule \"all\" does not grant it: label tpu is not granted");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_group_is_granted_by_the_name_that_github_has_for_it(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(&one_rule("", ", runner_groups: [GPU pool]"))?).await?;
    let ask = async |name: &str, group: u64| {
        provision(&world, "m", json!({"runner_name": name, "runner_group_id": group})).await
    };
    let granted = ask("a", 3).await?;
    assert_eq!(granted.status, 201, "{granted:?}");
    assert_eq!(ask("b", 1).await?.problem(), "denied-by-policy", "the default group is not named");
    assert_eq!(ask("c", 4711).await?.problem(), "runner-group-unknown");
    // What counts is the name at GitHub, now.
    world.github.set_group(ORGANIZATION, 3, Some("CPU pool"));
    world.advance(Duration::from_mins(2))?;
    assert_eq!(ask("d", 3).await?.problem(), "denied-by-policy");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_rule_on_trial_refuses_nothing_and_records_what_it_would(pool: PgPool) -> anyhow::Result<()> {
    let text = one_rule("enforce: false", ", name_prefix: a-, limits: {active: 1}");
    let world = World::with_policy(pool, &policy_file(&text)?).await?;
    for (name, expected) in [
        ("a-1", "rule \"all\" grants it"),
        ("b-1", "rule \"all\" is not enforced and would have refused it: the name must begin with \"a-\""),
    ] {
        assert_eq!(provision(&world, "m", json!({"runner_name": name})).await?.status, 201, "{name}");
        let query = "select reasons from audit_log where event = 'provision.requested' order by id desc limit 1";
        let reasons: Vec<String> = sqlx::query_scalar(query).fetch_one(&world.pool).await?;
        assert_eq!(reasons[0], expected);
        assert_eq!(reasons.get(1).is_some_and(|reason| reason.contains("limit of 1")), name == "b-1", "{reasons:?}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_key_gives_no_secret_of_a_runner_that_is_not_the_callers_any_more(pool: PgPool) -> anyhow::Result<()> {
    let path = policy_file(&one_rule("owner: blue", ""))?;
    let world = World::with_policy(pool, &path).await?;
    let ask = async || {
        let assertion = world.assertion_of(ISSUER, "m", &json!({"aud": "runners"}))?;
        let request = world.anonymous(Method::POST, "/api/v1/runners/provision").header(headers::ASSERTION, assertion);
        world.send(request.header("idempotency-key", "k").json(&json!({"runner_name": "a"}))).await
    };
    assert_eq!(ask().await?.status, 201);
    assert_eq!(ask().await?.status, 201, "a repeat");
    std::fs::write(&path, one_rule("owner: green", ""))?;
    read_again(&world.app, PolicyFile::reload).await;
    assert_eq!(ask().await?.problem(), "runner-deleted");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_broken_file_under_load_changes_nothing_but_the_health_report(pool: PgPool) -> anyhow::Result<()> {
    let good = one_rule("", ", labels: [gpu]");
    let path = policy_file(&good)?;
    let world = World::with_policy(pool, &path).await?;
    let status = async || {
        let health = world.send(world.anonymous(Method::GET, "/health")).await?;
        anyhow::Ok(health.body["policy"]["status"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(status().await?, "ok");
    let load = async {
        for number in 0..30 {
            let granted = json!({"runner_name": format!("r-{number}"), "labels": ["gpu"]});
            assert_eq!(provision(&world, "m", granted).await?.status, 201);
            let refused = json!({"runner_name": format!("x-{number}"), "labels": ["tpu"]});
            assert_eq!(provision(&world, "m", refused).await?.status, 403);
        }
        anyhow::Ok(())
    };
    let reloads = async {
        for number in 0..60 {
            let broken = ["version: 1\nrules: [", "", "version: 1\nrules: []\nextra: 1", "\u{feff}%"];
            std::fs::write(&path, broken[number % broken.len()])?;
            read_again(&world.app, PolicyFile::reload).await;
            assert_eq!(status().await?, "stale");
            std::fs::write(&path, &good)?;
            read_again(&world.app, PolicyFile::reload).await;
            assert_eq!(status().await?, "ok");
        }
        anyhow::Ok(())
    };
    tokio::try_join!(load, reloads)?;
    std::fs::remove_file(&path)?;
    read_again(&world.app, PolicyFile::reload).await;
    assert_eq!(status().await?, "stale");
    std::fs::write(&path, "version: 1\nrules: []\n")?;
    read_again(&world.app, PolicyFile::reload).await;
    assert_eq!(status().await?, "ok");
    assert_eq!(provision(&world, "m", json!({"runner_name": "last"})).await?.problem(), "denied-by-policy");
    let events = world.events().await?;
    assert!(events.contains(&"policy.refused failure".to_owned()));
    assert_eq!(events.iter().filter(|event| *event == "policy.loaded success").count(), 1, "only a new policy is one");
    Ok(())
}
