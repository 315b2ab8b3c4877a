//! What administrators may see and do, and that nobody else may.

use std::path::PathBuf;
use std::time::Duration;

use identity::headers;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::ORGANIZATION;

use crate::MIGRATIONS;
use crate::world::{Answer, ISSUER, World};

pub(crate) const POLICY: &str = "
version: 1
rules:
  - name: staff
    match: {iss: https://idp.example.com, claims: {sub: {in: [alice, bob]}}}
    grant: {targets: [org:acme-partners], labels: [gpu], limits: {active: 3}}
  - name: operators
    match: {iss: https://idp.example.com, claims: {groups: runner-admins}}
    grant: {admin: true}
";

/// A policy file of a story.
pub(crate) fn policy_file(text: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("policy-{}.yaml", control_plane::clock::Clock::system().new_id()));
    std::fs::write(&path, text)?;
    Ok(path)
}

pub(crate) async fn admin(world: &World, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
    let assertion = world.assertion_of(ISSUER, "root", &json!({"groups": ["runner-admins"]}))?;
    let request = world.anonymous(method, &format!("/api/v1/admin/{path}")).header(headers::ASSERTION, assertion);
    world
        .send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
}

/// Every call of administrators, as the API describes itself.
async fn calls(world: &World) -> anyhow::Result<Vec<(Method, String)>> {
    let described = world.send(world.anonymous(Method::GET, "/api/v1/openapi.json")).await?;
    let mut calls = Vec::new();
    for (path, operations) in described.body.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for method in operations.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase()) {
            if path.starts_with("/api/v1/admin/") && method != "PARAMETERS" {
                calls.push((method.parse()?, path.clone()));
            }
        }
    }
    assert!(calls.len() >= 9, "{calls:?}");
    Ok(calls)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn nobody_but_an_administrator_gets_in(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    let calls = calls(&world).await?;
    for (method, path) in calls.clone() {
        let answer = world.call("alice", method.clone(), &path).await?;
        assert_eq!((answer.status, answer.problem()), (403, "denied-by-policy"), "{path}");
        let answer = world.send(world.anonymous(method, &path)).await?;
        assert_eq!((answer.status, answer.problem()), (401, "unauthenticated"), "{path}");
    }
    // The same claim from another issuer is worth nothing.
    let assertion = world.assertion_of("https://evil.example", "root", &json!({"groups": "runner-admins"}))?;
    let request = world.anonymous(Method::POST, "/api/v1/admin/sync").header(headers::ASSERTION, assertion);
    assert_eq!(world.send(request).await?.status, 403);
    let denied = world.events().await?.iter().filter(|event| *event == "admin.denied denied").count();
    assert_eq!(denied, calls.len() + 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_call_of_an_administrator_leaves_an_entry(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    let whom = json!({"issuer": ISSUER, "subject": "bob"});
    admin(&world, Method::POST, "principals/revoke", Some(whom.clone())).await?;
    for (method, path) in calls(&world).await? {
        let path = path.trim_start_matches("/api/v1/admin/");
        let explain = json!({"claims": {"iss": ISSUER, "sub": "bob"}, "request": {"runner_name": "a"}});
        let (body, event) = match path {
            "sync" => (None, "admin.command"),
            "cleanup" => (Some(json!({"hours": 48})), "admin.command"),
            "policy/explain" => (Some(explain), "policy.explained"),
            "principals/revoke" => (Some(whom.clone()), "principal.revoked"),
            "principals/restore" => (Some(whom.clone()), "principal.restored"),
            _ => (None, "admin.read"),
        };
        let answer = admin(&world, method, path, body).await?;
        assert!([200, 202].contains(&answer.status), "{path}: {answer:?}");
        let last = "select event from audit_log
            where id = (select max(id) from audit_log) and principal_subject = 'root' and outcome = 'success'";
        let last: Option<String> = sqlx::query_scalar(last).fetch_optional(&world.pool).await?;
        assert_eq!(last.as_deref(), Some(event), "{path}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_dry_run_of_a_revocation_says_what_it_would_do_and_does_nothing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    for name in ["a", "b"] {
        let made = world.provision("bob", json!({"runner_name": name, "labels": ["gpu"]})).await?;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let mut whom = json!({"issuer": ISSUER, "subject": "bob", "reason": "leaked", "dry_run": true});
    let foretold = admin(&world, Method::POST, "principals/revoke", Some(whom.clone())).await?;
    let expected = json!({
        "dry_run": true, "already_revoked": false, "policy_rules": ["staff", "operators"], "runners": 2, "pending": 2,
        "active": 0, "offline": 0, "draining": 0, "busy": 0, "under_way": 0,
    });
    assert_eq!((foretold.status, &foretold.body), (200, &expected));
    let still = world.provision("bob", json!({"runner_name": "c", "labels": ["gpu"]})).await?;
    assert_eq!(still.status, 201, "{still:?}");
    let events = world.events().await?;
    assert!(!events.iter().any(|event| event.starts_with("principal.revoked")), "{events:?}");

    whom["dry_run"] = json!(false);
    let revoked = admin(&world, Method::POST, "principals/revoke", Some(whom.clone())).await?;
    assert_eq!((revoked.status, &revoked.body), (202, &json!({"runners": 3})));
    whom["dry_run"] = json!(true);
    let again = admin(&world, Method::POST, "principals/revoke", Some(whom.clone())).await?;
    assert_eq!((&again.body["already_revoked"], &again.body["draining"]), (&json!(true), &json!(3)), "{again:?}");
    // A dry run that is nobody's must not pass for a restoration.
    let answer = admin(&world, Method::POST, "principals/restore", Some(whom)).await?;
    assert_eq!((answer.status, answer.problem()), (400, "invalid-request"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn without_a_policy_file_nobody_is_an_administrator(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for (method, path) in calls(&world).await? {
        let path = path.trim_start_matches("/api/v1/admin/");
        assert_eq!(admin(&world, method, path, None).await?.problem(), "denied-by-policy", "{path}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_administrator_sees_everybodys_runners_page_by_page(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    for (subject, name) in [("alice", "a-1"), ("bob", "b-1"), ("alice", "a-2")] {
        assert_eq!(world.provision(subject, json!({"runner_name": name, "labels": ["gpu"]})).await?.status, 201);
        world.advance(Duration::from_secs(1))?;
    }
    let names = |answer: &Answer| -> Vec<String> {
        let runners = answer.body["runners"].as_array().cloned().unwrap_or_default();
        runners.iter().map(|runner| runner["runner_name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let first = admin(&world, Method::GET, "runners?limit=2", None).await?;
    assert_eq!(names(&first), ["a-1", "b-1"], "{first:?}");
    assert_eq!(first.body["runners"][1]["owner"], json!({"issuer": ISSUER, "subject": "bob"}));
    let next = format!("runners?limit=2&cursor={}", first.text("next_cursor")?);
    let second = admin(&world, Method::GET, &next, None).await?;
    assert_eq!((names(&second), &second.body["next_cursor"]), (vec!["a-2".to_owned()], &Value::Null));
    assert_eq!(names(&admin(&world, Method::GET, "runners?user=bob&label=GPU&status=pending", None).await?), ["b-1"]);
    for bad in ["limit=0", "limit=x", "cursor=1", "state=pending", "user=%00"] {
        assert_eq!(admin(&world, Method::GET, &format!("runners?{bad}"), None).await?.status, 400, "{bad}");
    }
    assert!(world.events().await?.contains(&"admin.read success".to_owned()));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_administrator_compares_and_cleans_up(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    drop(world.running("alice", "old").await?);
    world.github.add_runner(ORGANIZATION, "somebody-elses", &[]);
    let summary = admin(&world, Method::POST, "sync", None).await?;
    assert_eq!((summary.status, &summary.body["listed"]), (200, &json!(2)), "{summary:?}");
    let unmanaged = admin(&world, Method::GET, "unmanaged-runners", None).await?;
    assert_eq!(
        (&unmanaged.body["total"], &unmanaged.body["runners"][0]["name"]),
        (&json!(1), &json!("somebody-elses"))
    );

    let turn = control_plane::jobs::try_turn(&world.app, control_plane::jobs::Job::Upkeep).await?;
    let busy = admin(&world, Method::POST, "sync", None).await?;
    assert_eq!((busy.status, busy.problem()), (409, "upkeep-in-progress"));
    if let Some(turn) = turn {
        turn.release_now().await?;
    }
    let report = admin(&world, Method::POST, "cleanup", Some(json!({"hours": 1, "dry_run": true}))).await?;
    assert_eq!((report.status, &report.body), (200, &json!({"dry_run": true, "runners": []})));
    let bad = admin(&world, Method::POST, "cleanup", Some(json!({"hours": 1, "dryrun": true}))).await?;
    assert_eq!((bad.status, bad.problem()), (400, "invalid-request"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_administrator_asks_why(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    let ask = |subject: &str, label: &str| {
        json!({
            "claims": {"iss": ISSUER, "sub": subject}, "request": {"runner_name": "a", "labels": [label]},
        })
    };
    let granted = admin(&world, Method::POST, "policy/explain", Some(ask("alice", "gpu"))).await?;
    assert_eq!((granted.status, &granted.body["allowed"]), (200, &json!(true)), "{granted:?}");
    assert_eq!(granted.body["limits"]["active"], 3);
    assert_eq!(granted.body["owner"], json!({"issuer": ISSUER, "subject": "alice"}));
    let sha256 = world.app.policy.current().sha256().map(str::to_owned);
    assert_eq!(granted.body["policy_sha256"], json!(sha256));
    let denied = admin(&world, Method::POST, "policy/explain", Some(ask("alice", "tpu"))).await?;
    assert_eq!(denied.body["rules"][0]["reasons"], json!(["label tpu is not granted"]));
    let nobody = json!({"claims": {"iss": ISSUER}, "request": {"runner_name": "a"}});
    let answer = admin(&world, Method::POST, "policy/explain", Some(nobody)).await?;
    assert_eq!((answer.status, answer.problem()), (400, "invalid-request"));
    let query = "select count(*) from audit_log where policy_sha256 is distinct from $1";
    let without: i64 = sqlx::query_scalar(query).bind(sha256).fetch_one(&world.pool).await?;
    assert_eq!(without, 0, "each entry has the hash of the policy");
    Ok(())
}
