//! Limits on how much is asked at a time, how long it may take, and how large it may be.

use std::time::Duration;

use control_plane::http::Bounds;
use identity::headers;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::MIGRATIONS;
use crate::world::{RATE_LIMIT, World};

async fn world(pool: PgPool, change: impl FnOnce(&mut Bounds)) -> anyhow::Result<World> {
    let mut bounds = Bounds::new(std::num::NonZeroU32::new(RATE_LIMIT));
    change(&mut bounds);
    World::with_bounds(pool, bounds).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_too_much_at_a_time_is_refused_at_once(pool: PgPool) -> anyhow::Result<()> {
    let world = world(pool, |bounds| bounds.at_a_time = 3).await?;
    world.github.inject(Endpoint::RegistrationToken, Fault::HangBeforeCommit(Duration::from_secs(1)), 3);
    let under_way = ["a", "b", "c"].map(|name| world.provision("alice", json!({"runner_name": name})));
    let meanwhile = async {
        while world.github.count(Endpoint::RegistrationToken) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refused = world.get("bob", "/api/v1/runners").await?;
        assert_eq!((refused.status, refused.problem(), refused.header("retry-after")), (503, "overloaded", "1"));
        for open in ["/health", "/health/live", "/health/ready", "/api/v1/openapi.json"] {
            assert_eq!(world.send(world.anonymous(Method::GET, open)).await?.status, 200, "{open}");
        }
        anyhow::Ok(())
    };
    let (answers, seen) = tokio::join!(futures_util::future::try_join_all(under_way), meanwhile);
    seen?;
    assert!(answers?.iter().all(|answer| answer.status == 201));
    assert_eq!(world.get("bob", "/api/v1/runners").await?.status, 200);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_takes_too_long_is_answered_and_goes_on(pool: PgPool) -> anyhow::Result<()> {
    let world = world(pool, |bounds| bounds.timeout = Duration::from_millis(300)).await?;
    world.github.inject(Endpoint::RegistrationToken, Fault::HangBeforeCommit(Duration::from_secs(1)), 1);
    let late = world.provision("alice", json!({"runner_name": "a"})).await?;
    assert_eq!((late.status, late.problem()), (503, "timeout"));
    assert!(late.text("detail")?.contains("may still complete") && !late.header("retry-after").is_empty());
    world.quiet().await;
    assert_eq!(world.events().await?, ["provision.requested success", "provision.issued success"]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_body_that_does_not_come_is_not_waited_for(pool: PgPool) -> anyhow::Result<()> {
    let world = world(pool, |bounds| bounds.timeout = Duration::from_millis(300)).await?;
    let mut connection = TcpStream::connect(world.base.trim_start_matches("http://")).await?;
    let head = format!(
        "POST /api/v1/runners/provision HTTP/1.1\r\nhost: x\r\n{}: {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{",
        headers::ASSERTION,
        world.assertion("alice")?
    );
    connection.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), connection.read(&mut answer)).await??;
    let answer = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("/problems/timeout"), "{answer}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_too_large_is_not_read(pool: PgPool) -> anyhow::Result<()> {
    let world = world(pool, |_| ()).await?;
    for (path, size) in [("/api/v1/runners/provision", 32 * 1024), ("/webhooks/github", 1024 * 1024)] {
        let post = world.request("alice", Method::POST, path)?.header("content-type", "application/json");
        let answer = world.send(post.body(" ".repeat(size + 1))).await?;
        assert_eq!((answer.status, answer.problem()), (413, "body-too-large"), "{path}");
    }
    Ok(())
}
