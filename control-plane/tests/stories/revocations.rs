//! The kill switch.

use std::time::Duration;

use identity::headers;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault, ORGANIZATION};

use crate::MIGRATIONS;
use crate::admins::{admin, policy_file};
use crate::world::{Answer, ISSUER, World};

fn policy() -> String {
    format!(
        "version: 1\nrules:\n  - name: all\n    match: {{iss: {ISSUER}, claims: {{aud: runners}}}}\n    owner: team\n    \
         grant: {{targets: [org:{ORGANIZATION}], labels: [self-hosted]}}\n  - name: operators\n    \
         match: {{iss: {ISSUER}, claims: {{groups: runner-admins}}}}\n    grant: {{admin: true}}\n"
    )
}

/// A call by a member of the team, whose tokens have a claim of their project.
async fn member(world: &World, subject: &str, call: (Method, &str), body: Value) -> anyhow::Result<Answer> {
    let project = if subject.starts_with("red") { 7 } else { 8 };
    let claims = json!({"aud": ["runners"], "project": {"id": project}});
    let assertion = world.assertion_of(ISSUER, subject, &claims)?;
    let request = world.anonymous(call.0, &format!("/api/v1/runners{}", call.1));
    world.send(request.header(headers::ASSERTION, assertion).json(&body)).await
}

async fn jit(world: &World, subject: &str, name: &str) -> anyhow::Result<Answer> {
    member(world, subject, (Method::POST, "/provision"), json!({"runner_name": name, "mode": "jit"})).await
}

async fn post(world: &World, path: &str, body: Value) -> anyhow::Result<Answer> {
    admin(world, Method::POST, path, Some(body)).await
}

fn names(world: &World) -> Vec<String> {
    let mut names: Vec<String> = world.github.runners().into_iter().map(|runner| runner.name).collect();
    names.sort();
    names
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn whoever_is_revoked_is_refused_everywhere_until_restored(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(&policy())?).await?;
    let other = world.beside(|_| ()).await?;
    assert_eq!(jit(&world, "red-1", "r-1").await?.status, 201);
    let whom = json!({"issuer": ISSUER, "subject": "red-1", "reason": "token leaked"});
    let revoked = post(&world, "principals/revoke", whom.clone()).await?;
    assert_eq!((revoked.status, &revoked.body), (202, &json!({"runners": 1})));
    for replica in [&world, &other] {
        for call in [(Method::GET, ""), (Method::POST, "/provision"), (Method::DELETE, "/r-1")] {
            let answer = member(replica, "red-1", call, json!({"runner_name": "r-2"})).await?;
            assert_eq!((answer.status, answer.problem()), (403, "principal-revoked"));
        }
        assert_eq!(member(replica, "red-2", (Method::GET, ""), Value::Null).await?.status, 200);
    }
    let listed = admin(&world, Method::GET, "principals", None).await?;
    assert_eq!(listed.body["principals"][0]["draining"], 1, "{listed:?}");
    let revocation = &listed.body["revocations"][0];
    assert_eq!((&revocation["subject"], &revocation["reason"]), (&json!("red-1"), &json!("token leaked")));

    let restored = post(&world, "principals/restore", json!({"issuer": ISSUER, "subject": "red-1"})).await?;
    assert_eq!(restored.status, 200, "{restored:?}");
    assert_eq!(member(&other, "red-1", (Method::GET, ""), Value::Null).await?.status, 200);
    let again = post(&world, "principals/restore", json!({"issuer": ISSUER, "subject": "red-1"})).await?;
    assert_eq!((again.status, again.problem()), (404, "not-revoked"));
    let events = world.events().await?;
    for event in ["principal.revoked success", "principal.restored success", "access.denied denied"] {
        assert!(events.contains(&event.to_owned()), "{event}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn their_runners_go_and_those_of_others_stay_though_they_share_an_owner(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(&policy())?).await?;
    for (subject, name) in [("red-1", "r-1"), ("red-1", "r-2"), ("red-2", "x-1"), ("blue-1", "b-1")] {
        let answer = jit(&world, subject, name).await?;
        assert_eq!(answer.status, 201);
        if name == "r-2" {
            let mut machine = world.github.machine().run_command(answer.text("configuration_command")?).await?;
            machine.go_online().await?;
            machine.take_job().await?;
        }
    }
    world.advance(Duration::from_mins(2))?;
    post(&world, "principals/revoke", json!({"issuer": ISSUER, "subject": "red-1"})).await?;
    assert_eq!(world.drain_round().await?, 1);
    assert_eq!(names(&world), ["b-1", "r-2", "x-1"], "the busy one may finish");

    let claim = json!({"issuer": ISSUER, "claim": {"name": "/project/id", "value": "7"}});
    assert_eq!(post(&world, "principals/revoke", claim).await?.body["runners"], 2);
    assert_eq!(jit(&world, "red-3", "r-3").await?.problem(), "principal-revoked");
    assert_eq!(jit(&world, "blue-1", "b-2").await?.status, 201);
    world.drain_round().await?;
    assert_eq!(names(&world), ["b-1", "b-2", "r-2"]);

    let all = json!({"issuer": ISSUER, "whole_issuer": true});
    assert_eq!(post(&world, "principals/revoke", all.clone()).await?.body["runners"], 3);
    assert_eq!(jit(&world, "blue-1", "b-3").await?.problem(), "principal-revoked");
    let locked_out = post(&world, "principals/restore", all).await?;
    assert_eq!(locked_out.problem(), "principal-revoked", "administrators too; the command line is left");
    let unexplained = "select distinct event from audit_log where policy_sha256 is null";
    let unexplained: Vec<String> = sqlx::query_scalar(unexplained).fetch_all(&world.pool).await?;
    assert!(unexplained.is_empty(), "entries that don't say which policy was in force: {unexplained:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn it_must_be_said_whom_to_revoke(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(&policy())?).await?;
    for bad in [
        json!({"issuer": ISSUER}),
        json!({"issuer": ISSUER, "subject": ""}),
        json!({"issuer": "", "whole_issuer": true}),
        json!({"issuer": ISSUER, "subject": "a", "whole_issuer": true}),
        json!({"issuer": ISSUER, "subject": "a\u{0}"}),
        json!({"issuer": ISSUER, "claim": {"name": "a"}}),
        json!({"issuer": ISSUER, "subject": "a", "user": "b"}),
        json!({"issuer": ISSUER, "subject": "a", "reason": "\n"}),
    ] {
        let answer = post(&world, "principals/revoke", bad.clone()).await?;
        assert_eq!((answer.status, answer.problem()), (400, "invalid-request"), "{bad}");
    }
    let none: i64 = sqlx::query_scalar("select count(*) from revocations").fetch_one(&world.pool).await?;
    assert_eq!(none, 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_secret_that_is_being_asked_for_goes_to_nobody(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(&policy())?).await?;
    world.github.inject(Endpoint::JitConfig, Fault::HangAfterCommit(Duration::from_secs(1)), 1);
    let revoke = async {
        while world.github.count(Endpoint::JitConfig) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        post(&world, "principals/revoke", json!({"issuer": ISSUER, "subject": "red-1"})).await
    };
    let (answer, revoked) = tokio::join!(jit(&world, "red-1", "r-1"), revoke);
    assert_eq!(revoked?.body["runners"], 1);
    let answer = answer?;
    assert_eq!((answer.status, answer.problem()), (403, "principal-revoked"), "{answer:?}");
    assert_eq!(names(&world), [""; 0]);
    assert!(world.events().await?.contains(&"provision.discarded failure".to_owned()));
    world.drain_round().await?;
    assert_eq!(world.state("r-1").await?.0, "deleted");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn under_load_on_three_replicas_nothing_is_issued_once_the_revocation_is_done(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(&policy())?).await?;
    let replicas = [world.beside(|_| ()).await?, world.beside(|_| ()).await?, world.beside(|_| ()).await?];
    let done = std::sync::atomic::AtomicBool::new(false);
    let load = (0..60).zip(replicas.iter().cycle()).map(|(number, replica)| {
        let done = &done;
        async move {
            tokio::time::sleep(Duration::from_millis(number * 15)).await;
            let late = done.load(std::sync::atomic::Ordering::SeqCst);
            let answer = jit(replica, "red-1", &format!("r-{number}")).await?;
            anyhow::ensure!(!late || answer.problem() == "principal-revoked", "{answer:?}");
            anyhow::ensure!([201, 403].contains(&answer.status), "{answer:?}");
            Ok(answer.status == 201)
        }
    });
    let revoke = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let revoked = post(&world, "principals/revoke", json!({"issuer": ISSUER, "subject": "red-1"})).await?;
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        anyhow::Ok(revoked.body["runners"].as_u64().unwrap_or_default())
    };
    let (issued, found) = tokio::try_join!(futures_util::future::try_join_all(load), revoke)?;
    let issued = u64::try_from(issued.into_iter().filter(|issued| *issued).count())?;
    assert!(issued > 0 && issued < 60 && found >= issued, "{issued} issued, {found} found by the revocation");
    world.drain_round().await?;
    assert_eq!(names(&world), [""; 0]);
    let live: i64 =
        sqlx::query_scalar("select count(*) from runners where state <> 'deleted'").fetch_one(&world.pool).await?;
    assert_eq!(live, 0);
    Ok(())
}
