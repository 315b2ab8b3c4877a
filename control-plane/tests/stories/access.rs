//! Who is believed, and what everybody gets.

use identity::headers;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use sqlx::PgPool;

use crate::MIGRATIONS;
use crate::world::World;

const CALLS: [(Method, &str); 5] = [
    (Method::GET, "/api/v1/runners"),
    (Method::GET, "/api/v1/runners/a"),
    (Method::DELETE, "/api/v1/runners/a"),
    (Method::POST, "/api/v1/runners/a/refresh"),
    (Method::POST, "/api/v1/runners/provision"),
];

#[sqlx::test(migrator = "MIGRATIONS")]
async fn nothing_but_an_assertion_makes_a_caller(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    for (method, path) in CALLS {
        let plain = world
            .anonymous(method.clone(), path)
            .header(headers::ISSUER, "https://idp.example.com")
            .header(headers::SUBJECT, "alice")
            .header(headers::NAME, "alice@example.com")
            .header("authorization", "Bearer x")
            .json(&json!({"runner_name": "a"}));
        let answer = world.send(plain).await?;
        assert_eq!((answer.status, answer.problem()), (401, "unauthenticated"), "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_eq!(world.events().await?, ["access.denied denied"; 5]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn assertions_that_do_not_hold_are_refused(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let stranger = World::new(pool).await?;
    let good = world.assertion("alice")?;
    let forged = stranger.assertion("alice")?;
    let altered = format!("{good}A");
    for assertion in [forged.as_bytes(), altered.as_bytes(), b"", b"a.b.c", b"\xff\xfe"] {
        let request = world.anonymous(Method::GET, "/api/v1/runners");
        let answer = world.send(request.header(headers::ASSERTION, HeaderValue::from_bytes(assertion)?)).await?;
        assert_eq!(answer.status, 401, "{assertion:?}");
    }
    let twice = world.request("alice", Method::GET, "/api/v1/runners")?.header(headers::ASSERTION, &good);
    assert_eq!(world.send(twice).await?.status, 401, "two assertions");

    let old = world.request("alice", Method::GET, "/api/v1/runners")?;
    world.advance_here(std::time::Duration::from_mins(2))?;
    assert_eq!(world.send(old).await?.status, 401, "expired");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_flood_of_bad_assertions_does_not_fill_the_log(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for _ in 0..80 {
        assert_eq!(world.send(world.anonymous(Method::GET, "/api/v1/runners")).await?.status, 401);
    }
    assert_eq!(world.events().await?.len(), 60);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_answer_has_an_id_and_errors_are_problems(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mine = world.anonymous(Method::GET, "/nowhere").header("x-request-id", "mine-1");
    let answer = world.send(mine).await?;
    assert_eq!((answer.status, answer.problem()), (404, "not-found"));
    assert_eq!((answer.header("x-request-id"), answer.text("request_id")?), ("mine-1", "mine-1"));
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");

    let hostile = world.anonymous(Method::PUT, "/health").header("x-request-id", "a b");
    let answer = world.send(hostile).await?;
    assert_eq!((answer.status, answer.problem()), (405, "method-not-allowed"));
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_eq!(answer.header("allow"), "GET,HEAD");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn health_tells_life_from_readiness(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let health = world.send(world.anonymous(Method::GET, "/health")).await?;
    assert_eq!((health.status, health.text("status")?), (200, "ok"));
    assert!(!health.text("version")?.is_empty() && !health.text("timestamp")?.is_empty());
    let ready = world.send(world.anonymous(Method::GET, "/health/ready")).await?;
    assert_eq!((ready.status, ready.text("status")?), (200, "ready"));

    pool.close().await;
    assert_eq!(world.send(world.anonymous(Method::GET, "/health/live")).await?.status, 200);
    let ready = world.send(world.anonymous(Method::GET, "/health/ready")).await?;
    assert_eq!((ready.status, ready.problem()), (503, "not-ready"));
    assert_eq!(ready.text("detail")?, "The database: failed. Keys to verify callers with: 1.");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn one_principal_can_not_crowd_out_the_others(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for _ in 0..crate::world::RATE_LIMIT {
        assert_eq!(world.get("alice", "/api/v1/runners?limit=0").await?.status, 400);
    }
    let answer = world.get("alice", "/api/v1/runners").await?;
    assert_eq!((answer.status, answer.problem(), answer.header("retry-after")), (429, "rate-limited", "1"));
    assert_eq!(world.get("bob", "/api/v1/runners").await?.status, 200);
    world.advance_here(std::time::Duration::from_secs(1))?;
    assert_eq!(world.get("alice", "/api/v1/runners").await?.status, 200);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_answer_carries_the_headers_that_browsers_obey(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for path in ["/health/live", "/api/v1/runners", "/nothing"] {
        let answer = world.get("alice", path).await?;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_description_and_its_page_are_open_to_everybody(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let described = world.send(world.anonymous(Method::GET, "/api/v1/openapi.json")).await?;
    assert_eq!((described.status, &described.body), (200, &control_plane::http::description()));
    let page = world.anonymous(Method::GET, "/docs").send().await?;
    assert_eq!(page.status().as_u16(), 200);
    assert!(page.text().await?.starts_with("<!doctype html>"));
    Ok(())
}
