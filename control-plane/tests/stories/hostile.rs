//! Answers that GitHub would never give: of a broken proxy, or of somebody in its place.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, FakeGithub, Fault, GithubConfig, ORGANIZATION};

use crate::MIGRATIONS;
use crate::world::World;

fn instead(status: u16, body: impl ToString) -> Fault {
    Fault::Instead(status, Vec::new(), body.to_string())
}

/// Runners as a listing has them.
fn listed(ids: impl IntoIterator<Item = u64>) -> Vec<Value> {
    let runner = |id| json!({"id": id, "name": format!("x-{id}"), "status": "online", "busy": false, "labels": []});
    ids.into_iter().map(runner).collect()
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn no_redirection_is_followed(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let elsewhere = FakeGithub::start(GithubConfig::default()).await?;
    world.running("alice", "a").await?;
    let runners = format!("/orgs/{ORGANIZATION}/actions/runners");
    for (number, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        for base in [elsewhere.base_url(), world.github.base_url()] {
            let to = |path: &str| Fault::Instead(status, vec![("location", format!("{base}{path}"))], String::new());
            world.github.inject(Endpoint::JitConfig, to(&format!("{runners}/generate-jitconfig")), 1);
            let name = format!("jit-{number}");
            let jit = world.provision("alice", json!({"runner_name": name, "mode": "jit"})).await?;
            assert_eq!((jit.status, jit.problem()), (502, "github-moved"), "{status}");
            assert!(jit.text("detail")?.contains("GITHUB_API_URL"), "{jit:?}");
            assert_eq!(world.state(&name).await?.1.as_deref(), Some("provision-refused"));
            world.github.inject(Endpoint::ListRunners, to(&runners), 1);
            assert!(world.reconcile().await.is_err());
            world.github.inject(Endpoint::ListRunners, to(&runners), 1);
            assert_eq!(world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await?.problem(), "github-moved");
        }
    }
    let another = world.beside(|_| ()).await?;
    let token = format!("{}/app/installations/1/access_tokens", elsewhere.base_url());
    world.github.inject(Endpoint::AccessToken, Fault::Instead(307, vec![("location", token)], String::new()), 1);
    assert_eq!(another.provision("alice", json!({"runner_name": "b"})).await?.problem(), "github-moved");
    assert_eq!(elsewhere.count(Endpoint::Any), 0, "not even without credentials");
    assert_eq!(world.github.runners().len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn pages_are_asked_of_the_configured_host_whatever_the_links_say(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let elsewhere = FakeGithub::start(GithubConfig::default()).await?;
    for number in 0..101 {
        world.github.add_runner(ORGANIZATION, &format!("other-{number:03}"), &[]);
    }
    let page = json!({"total_count": 101, "runners": listed(9000..9100)}).to_string();
    let link = format!("<{}/orgs/{ORGANIZATION}/actions/runners?page=2>; rel=\"next\"", elsewhere.base_url());
    world.github.inject(Endpoint::ListRunners, Fault::Instead(200, vec![("link", link)], page), 1);
    assert_eq!(world.reconcile().await?.listed, 101);
    assert_eq!((world.github.count(Endpoint::ListRunners), elsewhere.count(Endpoint::Any)), (2, 0));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_body_without_end_is_not_read_to_its_end(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.timeout = Duration::from_mins(1)).await?;
    world.running("alice", "a").await?;
    for (mode, endpoint) in [("jit", Endpoint::JitConfig), ("registration-token", Endpoint::RegistrationToken)] {
        world.github.inject(endpoint, Fault::Endless, 1);
        let lost = world.provision("alice", json!({"runner_name": mode, "mode": mode})).await?;
        assert_eq!((lost.status, lost.problem()), (504, "provision-outcome-unknown"), "{mode}");
    }
    // As often as it is tried.
    world.github.inject(Endpoint::ListRunners, Fault::Endless, 3);
    let error = format!("{:#}", world.reconcile().await.unwrap_err());
    assert!(error.contains("length limit exceeded"), "{error}");
    world.github.inject(Endpoint::ListRunners, Fault::Endless, 3);
    let refresh = world.call("alice", Method::POST, "/api/v1/runners/a/refresh").await?;
    assert_eq!((refresh.status, refresh.problem()), (503, "github-unavailable"));
    world.advance(Duration::from_hours(1))?;
    world.github.inject(Endpoint::AccessToken, Fault::Endless, 1);
    let token = world.provision("alice", json!({"runner_name": "b"})).await?;
    assert_eq!((token.status, token.problem()), (503, "github-unavailable"));
    world.reconcile().await?;
    assert_eq!(world.github.runners().len(), 1, "what was made without an answer is gone");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_makes_no_sense_counts_as_no_answer(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let runner = json!({"id": 7, "name": "other", "status": "offline", "busy": false, "labels": []});
    let odd = |change: Value| {
        let mut odd = runner.clone();
        odd.as_object_mut().into_iter().for_each(|odd| odd.extend(change.as_object().cloned().unwrap_or_default()));
        json!({"runner": odd, "encoded_jit_config": "x"}).to_string()
    };
    let bodies = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "[".repeat(100_000),
        "\u{feff}{}".to_owned(),
        json!({"runner": null, "encoded_jit_config": "x"}).to_string(),
        json!({"runner": runner, "encoded_jit_config": ["x"]}).to_string(),
        odd(json!({"id": "7"})),
        odd(json!({"id": 1.0e300})),
        odd(json!({"labels": {"name": "a"}})),
        odd(json!({"busy": "no"})),
        // Right in every way, but about a runner that nobody asked for.
        odd(json!({})),
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let name = format!("jit-{number}");
        world.github.inject(Endpoint::JitConfig, Fault::Body(body.clone()), 1);
        let lost = world.provision("alice", json!({"runner_name": name, "mode": "jit"})).await?;
        assert_eq!((lost.status, lost.problem()), (504, "provision-outcome-unknown"), "{body}");
        assert_eq!(world.state(&name).await?.0, "pending");
    }
    // A command can't carry this.
    world.github.inject(
        Endpoint::JitConfig,
        Fault::Body(odd(json!({"name": "nul"})).replace("\"x\"", "\"\\u0000\"")),
        1,
    );
    let nul = world.provision("alice", json!({"runner_name": "nul", "mode": "jit"})).await?;
    assert_eq!((nul.status, nul.problem()), (500, "internal"));
    world.advance_here(Duration::from_mins(5))?;
    assert_eq!(world.reconcile().await?.resolved, 13);
    assert!(world.github.runners().is_empty(), "whatever was made is found by its name");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_token_that_claims_to_last_for_ever_does_not(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"token": "a 'token'", "expires_at": "9999-12-31T23:59:59Z"}).to_string();
    world.github.inject(Endpoint::RegistrationToken, Fault::Body(body), 1);
    let made = world.provision("alice", json!({"runner_name": "a"})).await?;
    assert_eq!((made.status, made.text("registration_token")?), (201, "a 'token'"));
    world.advance_here(Duration::from_hours(25))?;
    world.cleanup(None, false).await?;
    assert_eq!(world.state("a").await?.1.as_deref(), Some("never-registered"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn listings_that_make_no_sense_change_nothing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.running("alice", "a").await?;
    world.reconcile().await?;
    world.advance_here(Duration::from_mins(5))?;
    let before = world.events().await?;
    let twice = listed([7, 7]);
    for body in [
        json!({"total_count": -1, "runners": []}),
        json!({"total_count": "0", "runners": []}),
        json!({"total_count": 1.5, "runners": []}),
        json!({"runners": []}),
        json!({"total_count": 0}),
        json!({"total_count": 0, "runners": {}}),
        json!({"total_count": 1, "runners": [null]}),
        json!({"total_count": 2, "runners": twice}),
        json!({"total_count": 101, "runners": listed(1..=101)}),
    ] {
        world.github.inject(Endpoint::ListRunners, instead(200, &body), 3);
        assert!(world.reconcile().await.is_err(), "{body}");
        world.github.clear_faults();
        world.advance_here(Duration::from_secs(1))?;
    }
    // GitHub has forgotten everything: the runner itself is asked for before it counts as gone.
    for _ in 0..3 {
        world.github.inject(Endpoint::ListRunners, instead(200, json!({"total_count": 0, "runners": []})), 1);
        assert_eq!(world.reconcile().await?.gone, 0);
        world.advance_here(Duration::from_secs(1))?;
    }
    assert!(world.github.count(Endpoint::GetRunner) > 0);
    assert_eq!((world.state("a").await?.0.as_str(), world.events().await?), ("active", before));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_refusal_is_known_by_its_status_whatever_its_body(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let page = "<html><h1>403 Forbidden</h1></html>".to_owned();
    let nul = json!({"message": "not\u{0} so\u{7}"}).to_string();
    let long = json!({"message": "x".repeat(1_000_000)}).to_string();
    let refused = Some("provision-refused");
    for (number, (status, body, problem, reason)) in [
        (403, page.clone(), "github-permission", refused),
        (404, nul.clone(), "github-not-found", refused),
        (422, nul.clone(), "github-refused", refused),
        (400, long, "github-refused", refused),
        (451, "[1]".to_owned(), "github-refused", refused),
        (502, page, "provision-outcome-unknown", None),
        (599, nul, "provision-outcome-unknown", None),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("a-{number}");
        world.github.inject(Endpoint::RegistrationToken, instead(status, body), 1);
        let answer = world.provision("alice", json!({"runner_name": name})).await?;
        assert_eq!(answer.problem(), problem, "{status}: {answer:?}");
        assert_eq!(world.state(&name).await?.1.as_deref(), reason, "{status}: recorded");
    }
    let longest: i32 =
        sqlx::query_scalar("select max(length(reasons::text)) from audit_log").fetch_one(&world.pool).await?;
    assert!(longest < 1000, "{longest}");
    Ok(())
}
