//! What administrators are told of how the service does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use control_plane::config::JobsConfig;
use control_plane::jobs::{self, Job};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault, Limits, ORGANIZATION};
use tokio_util::sync::CancellationToken;

use crate::MIGRATIONS;
use crate::admins::{POLICY, admin, policy_file};
use crate::audit_sealing::seal;
use crate::world::{STUCK_AFTER, World};

const CONFIG: JobsConfig = JobsConfig { interval: Duration::from_mins(1), stale_after_hours: None };

async fn status(world: &World) -> anyhow::Result<Value> {
    let answer = admin(world, Method::GET, "status", None).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

/// The member of this name whose own member says so.
fn of<'a>(status: &'a Value, list: &str, member: &str, value: &str) -> &'a Value {
    let all = status[list].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|one| one[member] == value).unwrap_or(&Value::Null)
}

/// Level and text of the findings of a check.
fn findings<'a>(status: &'a Value, check: &str) -> Vec<(&'a str, &'a str)> {
    let found = status["findings"].as_array().into_iter().flatten().filter(|one| one["check"] == check);
    found.map(|one| (one["level"].as_str().unwrap_or_default(), one["what"].as_str().unwrap_or_default())).collect()
}

/// Lets the jobs run until upkeep has come to its end again.
async fn work(world: &World) -> anyhow::Result<Value> {
    let before = of(&status(world).await?, "jobs", "job", "upkeep")["last_run_at"].clone();
    let end = CancellationToken::new();
    let running = tokio::spawn(jobs::run(Arc::clone(&world.app), CONFIG, end.clone()));
    let started = Instant::now();
    let job = loop {
        let told = status(world).await?;
        let job = of(&told, "jobs", "job", "upkeep");
        if job["last_run_at"] != before && job["running"] == false {
            break job.clone();
        }
        ensure!(started.elapsed() < Duration::from_secs(15), "no round of upkeep: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    end.cancel();
    running.await?;
    Ok(job)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_job_is_told_with_what_came_of_it_and_when_it_comes_again(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    let fresh = status(&world).await?;
    let names = fresh["jobs"].as_array().into_iter().flatten().map(|job| job["job"].as_str().unwrap_or_default());
    assert_eq!(names.collect::<Vec<_>>(), Job::ALL.map(Job::name));
    assert_eq!(of(&fresh, "jobs", "job", "upkeep")["last_run_at"], Value::Null);
    assert_eq!(findings(&fresh, "jobs")[0], ("warning", "upkeep has not come to its end yet"));

    let now = world.clock.now();
    let well = work(&world).await?;
    let due = now + CONFIG.interval;
    assert_eq!(well["last_run_at"], json!(now));
    assert_eq!((&well["succeeded"], &well["problem"]), (&json!(true), &Value::Null));
    assert_eq!((&well["next_run_at"], &well["replica"]), (&json!(due), &json!(world.app.replica)));
    let told = status(&world).await?;
    assert_eq!(told["replica"], json!(world.app.replica));
    assert_eq!(findings(&told, "jobs")[0], ("ok", "upkeep is done on time"));
    let samples: i64 = sqlx::query_scalar("select count(*) from runner_samples").fetch_one(&world.pool).await?;
    assert_eq!(samples, 1, "runners are counted each time");

    world.advance(CONFIG.interval)?;
    drop(world.running("alice", "a").await?);
    world.github.inject(Endpoint::ListRunners, Fault::BeforeCommit(502), 10);
    let badly = work(&world).await?;
    assert_eq!((&badly["succeeded"], &badly["problem"]), (&json!(false), &json!("GitHub does not answer")));
    let told = status(&world).await?;
    let (level, what) = findings(&told, "jobs")[0];
    assert!(level == "warning" && what.ends_with("GitHub does not answer"), "{what}");

    // Nobody does it any more, then somebody is at it.
    world.github.clear_faults();
    world.advance(CONFIG.interval)?;
    work(&world).await?;
    world.advance(CONFIG.interval * 3)?;
    let late = status(&world).await?;
    assert_eq!(findings(&late, "jobs")[0].0, "warning");
    assert!(findings(&late, "jobs")[0].1.ends_with("and nobody does it"), "{late:#}");
    let turn = jobs::wait_for_turn(&world.app, Job::Upkeep).await?;
    let held = status(&world).await?;
    assert_eq!(of(&held, "jobs", "job", "upkeep")["running"], json!(true));
    assert_eq!(of(&held, "jobs", "job", "drains")["running"], json!(false));
    assert_eq!(findings(&held, "jobs")[0].0, "ok");
    turn.release_now().await?;
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_run_of_a_version_that_tells_less_is_not_judged_by_an_older_one(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    work(&world).await?;
    world.advance(CONFIG.interval)?;
    let now = world.clock.now();
    sqlx::query("update job_runs set done_at = $1 where job = 'upkeep'").bind(now).execute(&world.pool).await?;
    let job = of(&status(&world).await?, "jobs", "job", "upkeep").clone();
    assert_eq!(job["last_run_at"], json!(now));
    assert_eq!((&job["succeeded"], &job["replica"], &job["next_run_at"]), (&Value::Null, &Value::Null, &Value::Null));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_github_leaves_is_told_without_asking_it(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    world.github.set_limits(Limits { per_hour: 20, ..Limits::NONE });
    let untold = status(&world).await?;
    let budget = of(&untold, "github", "account", ORGANIZATION);
    assert_eq!((&budget["limit"], &budget["remaining"]), (&Value::Null, &Value::Null), "{untold:#}");
    world.provision("alice", json!({"runner_name": "a"})).await?;
    let calls = world.github.count(Endpoint::Any);
    let told = status(&world).await?;
    let budget = of(&told, "github", "account", ORGANIZATION);
    assert_eq!((&budget["limit"], &budget["remaining"]), (&json!(20), &json!(19)), "{told:#}");
    assert!(budget["resets_at"].is_string(), "{budget}");
    assert_eq!(findings(&told, "rate-budget")[0].0, "ok");
    assert_eq!(world.github.count(Endpoint::Any), calls);

    // An hour that is over says how many there are, and no more.
    world.advance_here(Duration::from_hours(2))?;
    let over = status(&world).await?;
    let budget = of(&over, "github", "account", ORGANIZATION);
    assert_eq!((&budget["limit"], &budget["remaining"]), (&json!(20), &Value::Null), "{over:#}");
    assert_eq!(findings(&over, "rate-budget"), []);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn runners_that_do_not_go_are_told_with_the_reason_and_found_in_the_list(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    let second = Duration::from_secs(1);
    let mut machines = Vec::new();
    for name in ["long", "short", "never"] {
        let mut machine = world.running("alice", name).await?;
        machine.take_job().await?;
        machines.push(machine);
        world.advance(second)?;
    }
    let drain =
        async |name: &str| world.call("alice", Method::DELETE, &format!("/api/v1/runners/{name}?drain=true")).await;
    assert_eq!(drain("long").await?.status, 202);
    world.advance_here(second)?;
    assert_eq!(drain("short").await?.status, 202);
    world.advance_here(STUCK_AFTER)?;
    let told = status(&world).await?;
    let drains = &told["drains"];
    assert_eq!((&drains["waiting"], &drains["oldest_seconds"]), (&json!(2), &json!(STUCK_AFTER.as_secs() + 1)));
    assert_eq!(drains["stuck_after_seconds"], json!(STUCK_AFTER.as_secs()));
    assert_eq!(drains["stuck"].as_array().map(Vec::len), Some(1), "{drains:#}");
    assert_eq!(drains["stuck"][0]["runner_name"], "long");
    assert_eq!(drains["stuck"][0]["drain"]["waits_because"], "the runner is running a job");
    assert_eq!(findings(&told, "drains")[0].0, "warning");

    let listed = async |query: &str| {
        let answer = admin(&world, Method::GET, &format!("runners?{query}"), None).await?;
        let runners = answer.body["runners"].as_array().cloned().unwrap_or_default();
        anyhow::Ok(runners.iter().filter_map(|one| one["runner_name"].as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    assert_eq!(listed("stuck=true").await?, ["long"]);
    assert_eq!(listed("stuck=false").await?, ["long", "short", "never"]);
    assert_eq!(listed("stuck=true&user=bob").await?, [""; 0]);
    world.advance_here(second * 2)?;
    assert_eq!(listed("stuck=true").await?, ["long", "short"]);

    for machine in &mut machines {
        machine.finish_job().await?;
    }
    world.advance_here(Duration::from_hours(1))?;
    assert_eq!(world.drain_round().await?, 2);
    assert_eq!(listed("stuck=true").await?, [""; 0]);
    assert_eq!(findings(&status(&world).await?, "drains"), [("ok", "no runner is stuck")]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_seal_of_the_audit_log_is_told_with_its_checkpoints(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    let unsealed = status(&world).await?;
    assert_eq!((&unsealed["audit"]["sealed_position"], &unsealed["audit"]["unsealed"]), (&Value::Null, &json!(1)));
    let mut positions = Vec::new();
    for _ in 0..6 {
        seal(&world).await?;
        let made = jobs::checkpoint(&world.app, None, Duration::ZERO).await?;
        positions.extend(made.map(|made| made.position));
        status(&world).await?;
    }
    positions.reverse();
    let told = status(&world).await?;
    let audit = &told["audit"];
    assert_eq!(audit["sealed_position"], json!(positions[0]));
    assert_eq!(audit["unsealed"], json!(2), "this look and the one before it");
    let checkpoints = audit["checkpoints"].as_array().cloned().unwrap_or_default();
    let shown: Vec<_> = checkpoints.iter().filter_map(|one| one["position"].as_i64()).collect();
    assert_eq!(shown, positions[..5], "the newest first");
    assert_eq!((&checkpoints[0]["key_id"], &checkpoints[0]["published"]), (&Value::Null, &json!(false)));
    let seal: Option<String> =
        sqlx::query_scalar("select encode(seal, 'hex') from audit_log_seals order by position desc limit 1")
            .fetch_optional(&world.pool)
            .await?;
    assert_eq!(checkpoints[0]["seal"], json!(seal));
    assert_eq!(findings(&told, "audit-seals")[0].0, "ok");
    Ok(())
}
