//! The page: its files for everybody, and what it must know of the caller.

use identity::headers;
use reqwest::Method;
use reqwest::header::{ETAG, HeaderMap, IF_NONE_MATCH};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::MIGRATIONS;
use crate::admins::policy_file;
use crate::world::{ISSUER, World};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_page_and_all_it_needs_are_open_and_may_run_nothing_else(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let page = world.anonymous(Method::GET, "/ui").send().await?;
    assert_eq!(page.status().as_u16(), 200);
    let policy = text(page.headers(), "content-security-policy").to_owned();
    for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(policy.contains(&format!("connect-src 'self' {ISSUER};")), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(text(page.headers(), "x-content-type-options"), "nosniff");

    let html = page.text().await?;
    let quoted = |attribute: &str| {
        let start = format!("{attribute}=\"");
        let values = html.split(&start).skip(1).filter_map(|rest| rest.split('"').next());
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    let needed: Vec<_> =
        [quoted("src"), quoted("href")].concat().into_iter().filter(|path| path.starts_with('/')).collect();
    assert!(needed.len() >= 3, "{needed:?}");
    for path in needed {
        let file = world.anonymous(Method::GET, &path).send().await?;
        let expected = match path.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!((file.status().as_u16(), text(file.headers(), "content-type")), (200, expected), "{path}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_file_that_the_browser_has_is_not_sent_again(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let first = world.anonymous(Method::GET, "/ui/app.js").send().await?;
    assert_eq!(text(first.headers(), "cache-control"), "no-cache");
    let tag = first.headers()[ETAG].clone();
    let again = world.anonymous(Method::GET, "/ui/app.js").header(IF_NONE_MATCH, &tag).send().await?;
    assert_eq!((again.status().as_u16(), again.headers().get(ETAG)), (304, Some(&tag)));
    assert!(again.bytes().await?.is_empty());
    let other = world.anonymous(Method::GET, "/ui/api.js").header(IF_NONE_MATCH, &tag).send().await?;
    assert_eq!(other.status().as_u16(), 200);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_page_is_told_how_people_sign_in_and_no_other_file(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let config = world.send(world.anonymous(Method::GET, "/ui/config.json")).await?;
    assert_eq!(config.body, json!({"issuer": ISSUER, "client_id": "page", "scope": "openid", "resource": null}));
    assert_eq!(config.header("cache-control"), "no-store");
    for nowhere in ["/ui/nothing.js", "/ui/../Cargo.toml", "/ui/%2e%2e/Cargo.toml", "/ui/vendor", "/uix"] {
        let answer = world.send(world.anonymous(Method::GET, nowhere)).await?;
        assert_eq!((answer.status, answer.problem()), (404, "not-found"), "{nowhere}");
        assert_eq!(answer.header("cache-control"), "no-store", "{nowhere}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn without_an_issuer_there_is_no_page(pool: PgPool) -> anyhow::Result<()> {
    let base = World::new(pool).await?.bare().await?;
    for path in ["/ui", "/ui/app.js", "/ui/config.json"] {
        let answer = reqwest::get(format!("{base}{path}")).await?;
        assert_eq!(answer.status().as_u16(), 404, "{path}");
        assert_eq!(text(answer.headers(), "content-type"), "application/problem+json", "{path}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn callers_are_told_who_they_are(pool: PgPool) -> anyhow::Result<()> {
    let policy = policy_file(
        r#"
version: 1
rules:
  - {name: team, match: {iss: "https://idp.example.com", claims: {team: blue}}, owner: blue, grant: {targets: ["org:acme"]}}
  - {name: operators, match: {iss: "https://idp.example.com", claims: {groups: admins}}, grant: {admin: true}}
"#,
    )?;
    let world = World::with_policy(pool, &policy).await?;
    let me = async |claims: Value| {
        let request = world.anonymous(Method::GET, "/api/v1/me");
        world.send(request.header(headers::ASSERTION, world.assertion_of(ISSUER, "alice", &claims)?)).await
    };
    let own = json!({"issuer": ISSUER, "subject": "alice"});
    let plain = me(json!({})).await?;
    assert_eq!(plain.status, 200, "{plain:?}");
    assert_eq!((&plain.body["subject"], &plain.body["admin"]), (&json!("alice"), &json!(false)));
    assert_eq!((&plain.body["owners"], plain.text("name")?), (&json!([own]), "alice@example.com"));
    let member = me(json!({"team": "blue", "groups": ["admins"]})).await?;
    assert_eq!(member.body["admin"], json!(true));
    assert_eq!(member.body["owners"], json!([{"issuer": "", "subject": "blue"}, own]));

    let nobody = world.send(world.anonymous(Method::GET, "/api/v1/me")).await?;
    assert_eq!((nobody.status, nobody.problem()), (401, "unauthenticated"));
    assert_eq!(world.events().await?, ["access.denied denied"], "who asks about themselves leaves no entry");
    Ok(())
}
