//! Killed at any moment, with several provisions under way.

use std::time::Duration;

use chrono::TimeDelta;
use control_plane::jobs::{self, Job};
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::choices::Random;
use testkit::ledger::Ledger;
use tokio::task::JoinSet;

use crate::MIGRATIONS;
use crate::program::Surroundings;

const SEED: u64 = 0x5eed;
/// `KILLS` asks for another number.
const KILLS: u64 = 100;
/// Asked for at the same time before each kill.
const AT_ONCE: u64 = 6;

/// Several provisions under way, and the program dies.
async fn one_kill(surroundings: &Surroundings, ledger: &mut Ledger, kill: u64) -> anyhow::Result<()> {
    let mut program = surroundings.start(&[]).await?;
    let mut asked = JoinSet::new();
    for each in 0..AT_ONCE {
        let mode = if each % 2 == 0 { "jit" } else { "registration-token" };
        let request = surroundings.request(&program, Method::POST, "/api/v1/runners/provision")?;
        let request = request.json(&json!({"runner_name": format!("r-{kill}-{each}"), "mode": mode}));
        asked.spawn(async move { request.send().await?.json().await });
    }
    tokio::time::sleep(Duration::from_millis(Random::new(SEED.wrapping_add(kill)).number() % 400)).await;
    program.kill()?;
    ledger.kills += 1;
    while let Some(answer) = asked.join_next().await {
        // Most are cut off in the middle.
        if let Ok(body) = answer? {
            ledger.note(&body);
        }
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn kills_leave_no_orphans_no_stuck_rows_and_nothing_unrecorded(pool: PgPool) -> anyhow::Result<()> {
    let surroundings = Surroundings::new(&pool).await?;
    let mut ledger = Ledger::default();
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    for kill in 0..kills {
        one_kill(&surroundings, &mut ledger, kill).await?;
    }
    let query = "select count(*) from runners where issuance <> 'issued'";
    let interrupted: i64 = sqlx::query_scalar(query).fetch_one(&pool).await?;
    let app = surroundings.later(&pool, TimeDelta::minutes(10))?;
    let turn = jobs::wait_for_turn(&app, Job::Upkeep).await?;
    for _ in 0..2 {
        jobs::reconcile(&app, &app.system("reconcile"), &turn).await?;
    }
    turn.release_now().await?;

    let counts = ledger.balance(&pool, &surroundings.github).await?;
    println!("{interrupted} provisions were interrupted");
    counts.print("any moment");
    assert!(counts.answered > 0 && interrupted > 0, "the kills came too early or too late to prove anything");
    Ok(())
}
