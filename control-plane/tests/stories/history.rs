//! What administrators are told of how it went.

use std::time::Duration;

use control_plane::store::history;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::MIGRATIONS;
use crate::admins::{POLICY, admin, policy_file};
use crate::world::World;

const KINDS: [&str; 6] = ["unauthenticated", "revoked", "rate_limited", "admin", "provision", "other"];

async fn told(world: &World, query: &str) -> anyhow::Result<Value> {
    let answer = admin(world, Method::GET, &format!("history{query}"), None).await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

/// The sum of a member over all stretches.
fn sum(told: &Value, pointer: &str) -> i64 {
    let buckets = told["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
    buckets.iter().filter_map(|bucket| bucket.pointer(pointer)?.as_i64()).sum()
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn registrations_and_denials_are_counted_each_by_why(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    for name in ["a", "b"] {
        assert_eq!(world.provision("alice", json!({"runner_name": name, "labels": ["gpu"]})).await?.status, 201);
    }
    assert_eq!(world.provision("alice", json!({"runner_name": "c", "labels": ["tpu"]})).await?.status, 403);
    assert_eq!(world.call("alice", Method::GET, "/api/v1/admin/runners").await?.status, 403);
    assert_eq!(world.send(world.anonymous(Method::GET, "/api/v1/runners")).await?.status, 401);
    assert_eq!(world.get("alice", "/api/v1/runners/nothing").await?.status, 404);
    let whom = json!({"issuer": crate::world::ISSUER, "subject": "bob"});
    assert_eq!(admin(&world, Method::POST, "principals/revoke", Some(whom)).await?.status, 202);
    for _ in 0..2 {
        assert_eq!(world.get("bob", "/api/v1/runners").await?.problem(), "principal-revoked");
    }
    // The database's clock went on meanwhile.
    world.advance_here(Duration::from_mins(30))?;
    let told = told(&world, "").await?;
    assert_eq!((&told["hours"], &told["bucket_seconds"]), (&json!(24), &json!(1800)));
    assert_eq!(told["buckets"].as_array().map(Vec::len), Some(48));
    assert_eq!(sum(&told, "/provisions"), 2);
    let denials = KINDS.map(|kind| sum(&told, &format!("/denials/{kind}")));
    assert_eq!(denials, [1, 2, 0, 1, 1, 1], "{KINDS:?}");
    let buckets = told["buckets"].as_array().cloned().unwrap_or_default();
    assert_eq!(buckets[..45].iter().filter_map(|bucket| bucket["provisions"].as_i64()).sum::<i64>(), 0);

    let reasons = told["reasons"].as_array().cloned().unwrap_or_default();
    assert_eq!(reasons[0]["count"], json!(2), "the most frequent first: {reasons:?}");
    let has = |event: &str, part: &str| {
        let is_it =
            |one: &&Value| one["event"] == event && one["reason"].as_str().is_some_and(|text| text.contains(part));
        reasons.iter().find(is_it).map(|one| one["count"].clone())
    };
    assert_eq!(has("access.denied", "revoked: "), Some(json!(2)), "{reasons:?}");
    assert_eq!(has("admin.denied", "admin rights"), Some(json!(1)), "{reasons:?}");
    assert_eq!(has("provision.denied", "label tpu is not granted"), Some(json!(1)), "{reasons:?}");
    assert!(reasons.iter().all(|one| one["event"] != "provision.issued"), "{reasons:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn runners_are_counted_by_state_and_samples_are_forgotten(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool.clone(), &policy_file(POLICY)?).await?;
    let newest = |told: &Value| told["buckets"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    assert_eq!(newest(&told(&world, "").await?)["runners"], Value::Null, "nobody has counted");
    let mut busy = world.running("alice", "busy").await?;
    busy.take_job().await?;
    let _active = world.running("alice", "active").await?;
    world.reconcile().await?;
    assert_eq!(world.provision("bob", json!({"runner_name": "pending", "labels": ["gpu"]})).await?.status, 201);
    let drained = world.call("alice", Method::DELETE, "/api/v1/runners/busy?drain=true").await?;
    assert_eq!(drained.status, 202);
    let sample = async || history::sample(&mut *pool.acquire().await?, world.clock.now()).await;
    sample().await?;
    let counted = json!({"pending": 1, "active": 1, "offline": 0, "draining": 1});
    assert_eq!(newest(&told(&world, "?hours=1").await?)["runners"], counted);

    // The newest of a stretch counts; one sample does not stand for another time.
    assert_eq!(world.call("bob", Method::DELETE, "/api/v1/runners/pending").await?.status, 200);
    world.advance_here(Duration::from_millis(1))?;
    sample().await?;
    let told_now = told(&world, "?hours=720").await?;
    assert_eq!(newest(&told_now)["runners"]["pending"], json!(0));
    assert_eq!(sum(&told_now, "/runners/active"), 1);
    world.advance_here(Duration::from_hours(24 * 32))?;
    sample().await?;
    let left: i64 = sqlx::query_scalar("select count(*) from runner_samples").fetch_one(&pool).await?;
    assert_eq!(left, 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_window_has_bounds(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool, &policy_file(POLICY)?).await?;
    for bad in ["hours=0", "hours=721", "hours=x", "hours=-1", "since=1"] {
        let answer = admin(&world, Method::GET, &format!("history?{bad}"), None).await?;
        assert_eq!((answer.status, answer.problem()), (400, "invalid-request"), "{bad}");
    }
    for (hours, stretch) in [(1, 300), (5, 300), (168, 14_400), (720, 43_200)] {
        assert_eq!(told(&world, &format!("?hours={hours}")).await?["bucket_seconds"], json!(stretch));
    }
    Ok(())
}
