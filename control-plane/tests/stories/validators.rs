//! Answers that a client has still are not sent again.

use identity::headers::ASSERTION;
use reqwest::Method;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::MIGRATIONS;
use crate::world::{Answer, World};

const LIST: &str = "/api/v1/runners";

async fn look(world: &World, subject: &str, known: &str) -> anyhow::Result<Answer> {
    world.send(world.request(subject, Method::GET, LIST)?.header(IF_NONE_MATCH, known)).await
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").to_owned()
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_as_it_was_is_not_sent_again(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "a"})).await?;
    let first = world.call("alice", Method::GET, LIST).await?;
    let known = tag(&first);
    assert_eq!(known.len(), 66, "a SHA-256 in quotes");
    for forms in [known.clone(), format!("W/{known}"), format!("\"other\", {known}"), "*".to_owned()] {
        let again = look(&world, "alice", &forms).await?;
        assert_eq!((again.status, tag(&again), &again.body), (304, known.clone(), &Value::Null), "{forms}");
        assert_eq!(again.header("cache-control"), "no-store", "no cache on the way may keep it");
    }
    for others in ["\"other\"", "no tag", &known.replace('"', "")] {
        let whole = look(&world, "alice", others).await?;
        assert_eq!((whole.status, &whole.body), (200, &first.body), "{others}");
    }

    world.provision("alice", json!({"runner_name": "b"})).await?;
    let changed = look(&world, "alice", &known).await?;
    assert_eq!((changed.status, &changed.body["total"]), (200, &json!(2)));
    assert_ne!(tag(&changed), known);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_tag_opens_nothing(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.provision("alice", json!({"runner_name": "a"})).await?;
    let known = tag(&world.call("alice", Method::GET, LIST).await?);
    // Somebody else's list is another one, and nobody's is none.
    assert_eq!(look(&world, "bob", &known).await?.status, 200);
    let anonymous = world.send(world.anonymous(Method::GET, LIST).header(IF_NONE_MATCH, "*")).await?;
    assert_eq!((anonymous.status, anonymous.headers.contains_key(ETAG)), (401, false));
    let missing = world.request("alice", Method::GET, "/api/v1/runners/nothing")?.header(IF_NONE_MATCH, "*");
    assert_eq!(world.send(missing).await?.status, 404);
    // What changes something is done, whatever the client has.
    let removed = world.anonymous(Method::DELETE, "/api/v1/runners/a").header(IF_NONE_MATCH, "*");
    let removed = world.send(removed.header(ASSERTION, world.assertion("alice")?)).await?;
    assert!(removed.status < 300 && !removed.headers.contains_key(ETAG), "{removed:?}");
    Ok(())
}
