//! Every fault of GitHub's, as the real client meets it: the problem with its remedy, and what is recorded.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault, INSTALLATION_ID, ORGANIZATION};

use crate::MIGRATIONS;
use crate::world::World;

const LONG: Duration = Duration::from_secs(4);

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_fault_of_a_call_is_a_problem_of_its_own(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let unknown = (504, "provision-outcome-unknown", "Idempotency-Key", "unknown");
    let limited = (503, "github-rate-limited", "later", "refused");
    let faults = [
        (Fault::BeforeCommit(500), unknown),
        (Fault::BeforeCommit(400), (502, "github-refused", "log", "refused")),
        (Fault::BeforeCommit(404), (502, "github-not-found", "hides", "refused")),
        (Fault::AfterCommit(502), unknown),
        (Fault::HangBeforeCommit(LONG), unknown),
        (Fault::HangAfterCommit(LONG), unknown),
        (Fault::CutOff, unknown),
        (Fault::Body("<html>".to_owned()), unknown),
        (Fault::PrimaryLimit(403, Duration::from_mins(1)), limited),
        (Fault::SecondaryLimit(429, Some(Duration::from_mins(1))), limited),
        (Fault::SuspendedInstallation, (502, "github-suspended", "un-suspend", "refused")),
        (Fault::MissingPermission, (502, "github-permission", "Self-hosted runners: write", "refused")),
    ];
    for (number, (fault, (status, problem, remedy, end))) in faults.into_iter().enumerate() {
        for (mode, endpoint) in [("jit", Endpoint::JitConfig), ("registration-token", Endpoint::RegistrationToken)] {
            let name = format!("{mode}-{number}");
            // Twice, for a missing permission is looked at again with a new token.
            world.github.inject(endpoint, fault.clone(), 2);
            let answer = world.provision("alice", json!({"runner_name": name, "mode": mode})).await?;
            world.github.clear_faults();
            assert_eq!((answer.status, answer.problem()), (status, problem), "{mode}: {fault:?}");
            assert!(answer.text("detail")?.contains(remedy), "{mode}: {fault:?}: {answer:?}");
            let expected = if end == "unknown" {
                ("pending".to_owned(), None)
            } else {
                ("deleted".to_owned(), Some("provision-refused".to_owned()))
            };
            assert_eq!(world.state(&name).await?, expected, "{mode}: {fault:?}");
            world.advance(Duration::from_mins(2))?;
        }
    }
    world.advance_here(Duration::from_mins(5))?;
    world.reconcile().await?;
    assert!(world.github.runners().is_empty(), "whatever was made without an answer is gone");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_fault_of_the_apps_token_means_that_nothing_was_asked(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let faults = [
        (Fault::BeforeCommit(500), 503, "github-unavailable"),
        (Fault::BeforeCommit(401), 502, "github-credentials"),
        (Fault::BeforeCommit(404), 502, "github-credentials"),
        (Fault::AfterCommit(502), 503, "github-unavailable"),
        (Fault::HangBeforeCommit(LONG), 503, "github-unavailable"),
        (Fault::CutOff, 503, "github-unavailable"),
        (Fault::Body("{}".to_owned()), 503, "github-unavailable"),
        (Fault::SecondaryLimit(403, None), 503, "github-rate-limited"),
        (Fault::SuspendedInstallation, 502, "github-suspended"),
    ];
    for (number, (fault, status, problem)) in faults.into_iter().enumerate() {
        let name = format!("a{number}");
        world.github.inject(Endpoint::AccessToken, fault.clone(), 1);
        let answer = world.provision("alice", json!({"runner_name": name, "mode": "jit"})).await?;
        assert_eq!((answer.status, answer.problem()), (status, problem), "{fault:?}");
        assert_eq!(world.state(&name).await?.1.as_deref(), Some("provision-refused"), "{fault:?}");
    }
    assert_eq!(world.github.count(Endpoint::JitConfig), 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_token_that_is_too_fresh_is_waited_for(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.timeout = Duration::from_secs(10)).await?;
    world.github.inject(Endpoint::AccessToken, Fault::FreshTokenRefused(Duration::from_secs(2)), 1);
    let made = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(world.github.count(Endpoint::AccessToken), 1, "another one would be as fresh");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_token_that_lost_its_worth_is_replaced(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "a"})).await?;
    // Revoked at GitHub, long before its hour is over.
    world.advance_here(Duration::from_mins(10))?;
    world.github.inject(Endpoint::JitConfig, Fault::BeforeCommit(401), 1);
    assert_eq!(world.provision("alice", json!({"runner_name": "b", "mode": "jit"})).await?.status, 201);
    assert_eq!(world.github.count(Endpoint::AccessToken), 2);

    // A permission that an owner approves counts at once, and not when the old token ends.
    world.github.set_permission(INSTALLATION_ID, "administration", None);
    let repository = format!("repo:{ORGANIZATION}/app").parse()?;
    let world = world.beside(|config| config.default_target = repository).await?;
    let refused = world.provision("alice", json!({"runner_name": "c"})).await?;
    assert_eq!(refused.problem(), "github-permission");
    world.github.set_permission(INSTALLATION_ID, "administration", Some("write"));
    world.advance_here(Duration::from_mins(1))?;
    assert_eq!(world.provision("alice", json!({"runner_name": "c"})).await?.status, 201);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_that_only_looks_busy_is_drained_when_that_is_over(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    world.github.inject(Endpoint::DeleteRunner, Fault::PhantomBusy(Duration::from_mins(2)), 1);
    let busy = world.call("alice", Method::DELETE, "/api/v1/runners/a").await?;
    assert_eq!((busy.status, busy.problem()), (409, "runner-busy"));
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a?drain=true").await?.status, 202);
    world.advance(Duration::from_mins(2))?;
    world.drain_round().await?;
    assert_eq!(world.state("a").await?.0, "deleted");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_jit_runner_that_vanishes_early_ends_as_gone(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::JitConfig, Fault::VanishesEarly(Duration::from_mins(10)), 1);
    let made = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!(made.status, 201);
    world.github.advance(Duration::from_mins(10));
    for _ in 0..2 {
        world.advance_here(Duration::from_mins(5))?;
        world.reconcile().await?;
    }
    assert_eq!(world.state("a").await?, ("deleted".to_owned(), Some("gone-from-github".to_owned())));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn ten_thousand_runners_are_compared_in_a_hundred_calls(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.timeout = Duration::from_mins(1)).await?;
    for number in 1..10_000 {
        world.github.add_runner(ORGANIZATION, &format!("other-{number:04}"), &[]);
    }
    world.running("alice", "zz-last").await?;
    assert_eq!(world.reconcile().await?.listed, 10_000);
    assert_eq!(world.github.count(Endpoint::ListRunners), 100);
    assert_eq!(world.state("zz-last").await?.0, "active");
    assert_eq!(world.reconcile().await?.listed, 10_000);
    let unchanged = world.github.calls().iter().filter(|call| call.status == Some(304)).count();
    assert_eq!(unchanged, 100, "and cost nothing the second time");
    Ok(())
}
