//! Whatever is lost between here and GitHub, nothing is left over and nothing goes unrecorded.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::world::{Answer, World};

/// After this long an attempt counts as interrupted.
const SETTLED: Duration = Duration::from_mins(2);

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_github_made_without_an_answer_is_found_and_deleted(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let faults = [
        Fault::AfterCommit(500),
        Fault::AfterCommit(502),
        Fault::HangAfterCommit(Duration::from_secs(4)),
        Fault::CutOff,
        Fault::Body("<html>".to_owned()),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let name = format!("jit-{number}");
        world.github.inject(Endpoint::JitConfig, fault.clone(), 1);
        let answer = world.provision("alice", json!({"runner_name": name, "mode": "jit"})).await?;
        assert_eq!((answer.status, answer.problem()), (504, "provision-outcome-unknown"), "{fault:?}");
        assert_eq!(world.state(&name).await?.0, "pending");
        assert!(world.github.runner(&name).is_some(), "GitHub did it");
    }
    world.reconcile().await?;
    assert_eq!(world.github.runners().len(), 5, "too early: an attempt could still be under way");
    world.advance_here(SETTLED)?;
    assert_eq!(world.reconcile().await?.resolved, 5);
    assert!(world.github.runners().is_empty());
    for number in 0..5 {
        let interrupted = ("deleted".to_owned(), Some("provision-interrupted".to_owned()));
        assert_eq!(world.state(&format!("jit-{number}")).await?, interrupted);
    }
    let unknown = world.events().await?.iter().filter(|event| *event == "provision.unknown unknown").count();
    assert_eq!(unknown, 5);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn nothing_is_asked_twice_by_itself(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for endpoint in [Endpoint::JitConfig, Endpoint::RegistrationToken] {
        let mode = if endpoint == Endpoint::JitConfig { "jit" } else { "registration-token" };
        world.github.inject(endpoint, Fault::BeforeCommit(503), 1);
        let answer = world.provision("alice", json!({"runner_name": mode, "mode": mode})).await?;
        assert_eq!(answer.status, 504);
        assert_eq!(world.github.count(endpoint), 1);
    }
    world.advance_here(SETTLED)?;
    assert_eq!(world.reconcile().await?.resolved, 2);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_lost_answer_can_be_asked_for_again_with_the_same_key(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::JitConfig, Fault::AfterCommit(500), 1);
    let body = json!({"runner_name": "a", "mode": "jit"});
    assert_eq!(world.provision_with_key("alice", "k", body.clone()).await?.status, 504);
    let orphan = world.github.runner("a").map(|runner| runner.id);
    let again = world.provision_with_key("alice", "k", body).await?;
    assert_eq!(again.status, 201, "{again:?}");
    assert_ne!(world.github.runner("a").map(|runner| runner.id), orphan);
    assert_eq!(world.github.runners().len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn somebody_elses_runner_is_not_taken_for_the_lost_one(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let theirs = world.github.add_runner("acme-partners", "a", &["self-hosted"]);
    world.github.inject(Endpoint::JitConfig, Fault::BeforeCommit(500), 1);
    let answer = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!(answer.status, 504);
    world.advance_here(SETTLED)?;
    world.reconcile().await?;
    assert_eq!(world.github.runner("a").map(|runner| runner.id), Some(theirs));
    assert_eq!(world.state("a").await?.0, "deleted");
    Ok(())
}

/// A listing that takes its time shows runners that were asked for after it had begun.
#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_asked_for_during_a_listing_was_not_there_before(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::ListRunners, Fault::HangBeforeCommit(Duration::from_secs(1)), 1);
    let meanwhile = async {
        while world.github.count(Endpoint::ListRunners) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.advance_here(Duration::from_secs(1))?;
        world.github.inject(Endpoint::JitConfig, Fault::AfterCommit(502), 1);
        assert_eq!(world.provision("alice", json!({"runner_name": "lost", "mode": "jit"})).await?.status, 504);
        world.running("alice", "found").await
    };
    let (compared, machine) = tokio::join!(world.reconcile(), meanwhile);
    assert_eq!(compared?.listed, 2, "the listing shows both");
    world.reconcile().await?;
    assert_eq!(world.state("found").await?.0, "active");
    world.advance_here(SETTLED)?;
    world.reconcile().await?;
    assert_eq!(world.state("lost").await?.1.as_deref(), Some("provision-interrupted"));
    let left: Vec<u64> = world.github.runners().iter().map(|runner| runner.id).collect();
    assert_eq!(left, [machine?.id()]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn without_records_github_is_not_asked(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    pool.close().await;
    let answer = world.provision("alice", json!({"runner_name": "a"})).await?;
    assert_eq!((answer.status, answer.problem()), (503, "database-unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(world.github.count(Endpoint::Any), 0);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_secret_that_can_not_be_recorded_is_not_given_out(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    // From now on the log refuses exactly the entry that must precede the answer.
    sqlx::query("alter table audit_log add constraint broken check (event <> 'provision.issued') not valid")
        .execute(&pool)
        .await?;
    let answer = world.provision("alice", json!({"runner_name": "a", "mode": "jit"})).await?;
    assert_eq!((answer.status, answer.problem()), (500, "internal"));
    assert!(answer.body.get("encoded_jit_config").is_none());
    assert_eq!(world.github.runners().len(), 1, "GitHub had issued it");

    world.advance_here(SETTLED)?;
    world.reconcile().await?;
    assert!(world.github.runners().is_empty());
    assert_eq!(world.state("a").await?.1.as_deref(), Some("provision-interrupted"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_client_that_hangs_up_leaves_no_half_done_provision(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::RegistrationToken, Fault::HangAfterCommit(Duration::from_millis(800)), 1);
    let request = world.request("alice", reqwest::Method::POST, "/api/v1/runners/provision")?;
    let request = request.json(&json!({"runner_name": "a"})).timeout(Duration::from_millis(300));
    assert!(world.send(request).await.is_err());
    world.app.tasks.close();
    world.app.tasks.wait().await;
    assert!(world.events().await?.contains(&"provision.issued success".to_owned()));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_repeat_that_is_lost_leaves_the_first_token_in_force(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"runner_name": "a"});
    let first = world.provision_with_key("alice", "k", body.clone()).await?;
    world.github.inject(Endpoint::RegistrationToken, Fault::AfterCommit(500), 1);
    assert_eq!(world.provision_with_key("alice", "k", body).await?.status, 504);
    world.advance_here(SETTLED)?;
    world.reconcile().await?;
    let mut machine = world.github.machine().run_command(first.text("configuration_command")?).await?;
    machine.go_online().await?;
    world.reconcile().await?;
    assert_eq!(world.state("a").await?.0, "active");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_repeat_that_is_lost_leaves_no_second_runner(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"runner_name": "a", "mode": "jit"});
    assert_eq!(world.provision_with_key("alice", "k", body.clone()).await?.status, 201);
    world.github.inject(Endpoint::JitConfig, Fault::AfterCommit(500), 1);
    assert_eq!(world.provision_with_key("alice", "k", body).await?.status, 504);
    assert_eq!(world.github.runners().len(), 1, "the first was replaced by one that nobody can start");
    world.advance_here(SETTLED)?;
    world.reconcile().await?;
    assert!(world.github.runners().is_empty());
    assert_eq!(world.state("a").await?.1.as_deref(), Some("provision-interrupted"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_runner_is_not_deleted_while_its_secret_is_being_asked_for(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::RegistrationToken, Fault::HangBeforeCommit(Duration::from_millis(800)), 1);
    let provision = world.provision("alice", json!({"runner_name": "a"}));
    let delete = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.call("alice", reqwest::Method::DELETE, "/api/v1/runners/a").await
    };
    let (provisioned, deleted) = tokio::try_join!(provision, delete)?;
    assert_eq!((deleted.status, deleted.problem()), (409, "provision-in-progress"));
    assert_eq!(provisioned.status, 201);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_shows_up_after_its_row_was_closed_is_deleted_too(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for (name, owner_deletes) in [("lost", false), ("given-up", true)] {
        world.github.inject(Endpoint::JitConfig, Fault::AfterCommit(502), 1);
        let lost = world.provision("alice", json!({"runner_name": name, "mode": "jit"})).await?;
        assert_eq!(lost.status, 504);
        let id = world.github.runner(name).map(|runner| runner.id).unwrap_or_default();
        world.github.hide_runner(id, Duration::from_hours(1));
        if owner_deletes {
            let path = format!("/api/v1/runners/{name}");
            assert_eq!(world.call("alice", reqwest::Method::DELETE, &path).await?.status, 200);
        }
    }
    // Somebody else's, of the same name but of another kind, that came meanwhile.
    world.github.add_runner("acme-labs", "lost", &[]);
    world.advance_here(SETTLED)?;
    world.reconcile().await?;
    assert_eq!(world.state("lost").await?.1.as_deref(), Some("provision-interrupted"));
    assert_eq!(world.github.runners().len(), 3, "nobody has seen them yet");

    world.github.advance(Duration::from_hours(1));
    world.advance_here(Duration::from_hours(1))?;
    assert_eq!(world.reconcile().await?.resolved, 2);
    let left: Vec<String> = world.github.runners().into_iter().map(|runner| runner.target).collect();
    assert_eq!(left, ["acme-labs"]);
    let events = world.events().await?;
    assert_eq!(events.iter().filter(|event| *event == "runner.orphaned success").count(), 2);
    let unmanaged = control_plane::store::cache::unmanaged(&mut *world.pool.acquire().await?).await?;
    assert!(unmanaged.is_empty(), "{unmanaged:?}");
    assert_eq!(world.reconcile().await?.resolved, 0);
    assert_eq!(world.provision("alice", json!({"runner_name": "lost", "mode": "jit"})).await?.status, 201);
    world.reconcile().await?;
    assert_eq!(world.github.runners().len(), 2, "a new one of the name is let be");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn nobody_elses_runner_is_taken_for_one_that_shows_up_late(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.inject(Endpoint::JitConfig, Fault::BeforeCommit(502), 1);
    world.provision("alice", json!({"runner_name": "a", "mode": "jit", "labels": ["gpu"]})).await?;
    world.advance_here(SETTLED)?;
    world.reconcile().await?;
    assert_eq!(world.state("a").await?.1.as_deref(), Some("provision-interrupted"));
    // Registered by other means: it stays whatever its labels, for it is not ephemeral.
    let theirs = world.github.add_runner("acme-partners", "a", &["gpu"]);
    for _ in 0..2 {
        world.reconcile().await?;
    }
    assert_eq!(world.github.runner("a").map(|runner| runner.id), Some(theirs));
    assert_eq!(world.github.count(Endpoint::DeleteRunner), 0);
    Ok(())
}

/// Has a runner provisioned with its name for a key, and does something else when the attempt counts as interrupted and
/// GitHub's answer is still on its way. Both answers.
async fn provision_late(
    world: &World,
    name: &str,
    mode: &str,
    meanwhile: impl Future<Output = anyhow::Result<Answer>>,
) -> anyhow::Result<(Answer, Answer)> {
    let endpoint = if mode == "jit" { Endpoint::JitConfig } else { Endpoint::RegistrationToken };
    let asked = world.github.count(endpoint);
    world.github.inject(endpoint, Fault::HangAfterCommit(Duration::from_secs(1)), 1);
    let provision = world.provision_with_key("alice", name, json!({"runner_name": name, "mode": mode}));
    let other = async {
        while world.github.count(endpoint) == asked {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.advance_here(SETTLED)?;
        meanwhile.await
    };
    tokio::try_join!(provision, other)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_secret_that_comes_too_late_goes_to_nobody(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    for mode in ["jit", "registration-token"] {
        let (name, path) = (format!("deleted-{mode}"), format!("/api/v1/runners/deleted-{mode}"));
        let delete = world.call("alice", Method::DELETE, &path);
        let (answer, deleted) = provision_late(&world, &name, mode, delete).await?;
        assert_eq!(deleted.status, 200, "{deleted:?}");
        assert_eq!((answer.status, answer.problem()), (409, "runner-deleted"), "{answer:?}");

        let name = format!("overtaken-{mode}");
        let repeat = world.provision_with_key("alice", &name, json!({"runner_name": name, "mode": mode}));
        let (answer, repeated) = provision_late(&world, &name, mode, repeat).await?;
        assert_eq!(repeated.status, 201, "{repeated:?}");
        assert_eq!((answer.status, answer.problem()), (409, "runner-deleted"), "{answer:?}");
        let issued = "select count(*) from audit_log where event = 'provision.issued' and runner_name = $1";
        let issued: i64 = sqlx::query_scalar(issued).bind(&name).fetch_one(&pool).await?;
        assert_eq!(issued, 1, "the secret of the repeat alone");
    }
    let discarded = world.events().await?.into_iter().filter(|event| event == "provision.discarded failure").count();
    assert_eq!(discarded, 4);
    Ok(())
}
