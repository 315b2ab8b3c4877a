//! Runners of enterprises and repositories, and GitHub Enterprise Server.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Consumer, Endpoint, Fault, INSTALLATION_ID, ORGANIZATION};

use crate::MIGRATIONS;
use crate::world::{ENTERPRISE, ENTERPRISE_TOKEN, World};

/// A service whose runners go to a place.
async fn at(pool: PgPool, target: &str) -> anyhow::Result<World> {
    let target = target.parse()?;
    World::with(pool, |config| {
        config.default_target = target;
        config.enterprise_token = Some(ENTERPRISE_TOKEN.to_owned().into());
    })
    .await
}

/// The life of two runners, one of each mode, where organisations have theirs.
async fn a_whole_life(world: &World, target: &str, page: &str) -> anyhow::Result<()> {
    let url = world.github.html_url(page);
    let token = world.provision("alice", json!({"runner_name": "a", "labels": ["gpu"], "ephemeral": false})).await?;
    assert_eq!((token.status, token.text("github_url")?), (201, url.as_str()), "{token:?}");
    let mut machine = world.github.machine().run_command(token.text("configuration_command")?).await?;
    let jit = world.provision("alice", json!({"runner_name": "b", "mode": "jit", "target": target})).await?;
    assert_eq!(jit.status, 201, "{jit:?}");
    let mut other = world.github.machine().run_command(jit.text("configuration_command")?).await?;
    machine.go_online().await?;
    let summary = world.reconcile().await?;
    assert_eq!((summary.listed, summary.active), (2, 2));

    let listed = world.get("alice", "/api/v1/runners").await?;
    assert_eq!(listed.body.pointer("/runners/0/target"), Some(&json!(target)));
    other.take_job().await?;
    let refreshed = world.call("alice", Method::POST, "/api/v1/runners/b/refresh").await?;
    assert_eq!(refreshed.body.get("busy"), Some(&json!(true)));
    let busy = world.call("alice", Method::DELETE, "/api/v1/runners/b").await?;
    assert_eq!((busy.status, busy.problem()), (409, "runner-busy"));
    other.finish_job().await?;
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/a").await?.status, 200);
    assert!(world.github.runners().is_empty());
    for _ in 0..2 {
        world.advance_here(Duration::from_mins(5))?;
        world.reconcile().await?;
    }
    assert_eq!(world.state("b").await?.1.as_deref(), Some("gone-from-github"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_enterprise_has_runners_like_an_organisation(pool: PgPool) -> anyhow::Result<()> {
    let world = at(pool, &format!("enterprise:{ENTERPRISE}")).await?;
    a_whole_life(&world, &format!("enterprise:{ENTERPRISE}"), &format!("enterprises/{ENTERPRISE}")).await?;
    assert_eq!(world.github.count(Endpoint::AccessToken), 0, "the App has no part in it");
    assert_eq!(world.github.count_of(Consumer::Nobody, Endpoint::Any), 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_repository_has_runners_like_an_organisation(pool: PgPool) -> anyhow::Result<()> {
    let target = format!("repo:{ORGANIZATION}/app");
    let world = at(pool, &target).await?;
    a_whole_life(&world, &target, &format!("{ORGANIZATION}/app")).await?;
    let grouped = world.provision("alice", json!({"runner_name": "c", "runner_group_id": 3})).await?;
    assert_eq!((grouped.status, grouped.problem()), (400, "invalid-request"));
    assert!(grouped.text("detail")?.contains("no runner groups"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_enterprise_without_a_token_is_refused_with_the_remedy(pool: PgPool) -> anyhow::Result<()> {
    let target = format!("enterprise:{ENTERPRISE}").parse()?;
    let world = World::with(pool, |config| config.default_target = target).await?;
    let refused = world.provision("alice", json!({"runner_name": "a"})).await?;
    assert_eq!((refused.status, refused.problem()), (502, "github-target"));
    assert!(refused.text("detail")?.contains("GITHUB_ENTERPRISE_TOKEN"), "{refused:?}");
    assert_eq!(world.github.count(Endpoint::Any), 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_enterprise_token_that_does_not_hold_is_told_as_such(pool: PgPool) -> anyhow::Result<()> {
    let target = format!("enterprise:{ENTERPRISE}").parse()?;
    let world = World::with(pool, |config| {
        config.default_target = target;
        config.enterprise_token = Some("ghp_another".to_owned().into());
    })
    .await?;
    let refused = world.provision("alice", json!({"runner_name": "a"})).await?;
    assert_eq!((refused.status, refused.problem()), (502, "github-credentials"));
    let detail = refused.text("detail")?;
    assert!(detail.contains("GITHUB_ENTERPRISE_TOKEN") && !detail.contains("ghp_"), "{detail}");
    world.github.inject(Endpoint::RegistrationToken, Fault::MissingPermission, 1);
    let scope = world.provision("alice", json!({"runner_name": "a"})).await?;
    assert!(scope.text("detail")?.contains("manage_runners:enterprise"), "{scope:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn github_enterprise_server_is_paged_with_credentials(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.api_url.push_str("/api/v3")).await?;
    for number in 0..250 {
        world.github.add_runner(ORGANIZATION, &format!("other-{number:03}"), &[]);
    }
    world.running("alice", "zz-last").await?;
    for round in 1..=2 {
        assert_eq!(world.reconcile().await?.listed, 251);
        assert_eq!(world.github.count_of(Consumer::Installation(INSTALLATION_ID), Endpoint::ListRunners), 3 * round);
    }
    assert_eq!(world.state("zz-last").await?.0, "active");
    let calls = world.github.calls();
    let rest: Vec<_> = calls.iter().filter(|call| call.caller.is_some()).collect();
    assert!(rest.iter().all(|call| call.path.starts_with("/api/v3/")), "{rest:?}");
    assert!(rest.iter().all(|call| matches!(call.status, Some(200 | 201 | 304))), "{rest:?}");
    let first = rest.first().map(|call| call.caller);
    assert_eq!(first, Some(Some(Consumer::App)), "a token first, from under the same prefix");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_group_that_was_renamed_or_deleted_is_noticed(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.default_group_id = 3).await?;
    let token = async |name: &str| world.provision("alice", json!({"runner_name": name})).await;
    assert!(token("a").await?.text("configuration_command")?.contains("--runnergroup 'GPU pool'"));
    assert!(token("b").await?.text("configuration_command")?.contains("--runnergroup 'GPU pool'"));
    assert_eq!(world.github.count(Endpoint::GetRunnerGroup), 1, "a name is believed for a while");

    world.github.set_group(ORGANIZATION, 3, Some("it's \"new\""));
    world.advance_here(Duration::from_mins(1))?;
    let renamed = token("c").await?;
    let machine = world.github.machine().run_command(renamed.text("configuration_command")?).await?;
    let group = world.github.runners().iter().find(|one| one.id == machine.id()).map(|one| one.runner_group_id);
    assert_eq!(group, Some(3), "the command has the new name, quoted");

    world.github.set_group(ORGANIZATION, 3, None);
    world.advance_here(Duration::from_mins(1))?;
    let issued = world.github.count(Endpoint::RegistrationToken);
    let gone = token("d").await?;
    assert_eq!((gone.status, gone.problem()), (422, "runner-group-unknown"));
    assert_eq!(world.github.count(Endpoint::RegistrationToken), issued, "no token for a command that can't work");
    assert_eq!(world.state("d").await?, ("deleted".to_owned(), Some("provision-refused".to_owned())));
    let jit = world.provision("alice", json!({"runner_name": "e", "mode": "jit"})).await?;
    assert_eq!((jit.status, jit.problem()), (422, "runner-group-unknown"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_group_that_takes_no_runners_is_told_from_a_missing_permission(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.default_group_id = 2).await?;
    let hosted = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!((hosted.status, hosted.problem()), (422, "runner-group-unknown"));
    world.github.set_permission(INSTALLATION_ID, "organization_self_hosted_runners", None);
    let refused = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!((refused.status, refused.problem()), (502, "github-permission"));
    Ok(())
}
