//! Who is let in: App JWTs, installation tokens, permissions, and the headers that GitHub insists on.

use chrono::TimeDelta;
use http::Method;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use testkit::github::{FakeGithub, GithubConfig, INSTALLATION_ID, Organization, Repository};

use super::support::{RUNNERS, Rest, answer};

const REGISTRATION: &str = "/orgs/acme-partners/actions/runners/registration-token";

#[tokio::test]
async fn jwts_that_github_refuses_are_refused_with_its_words() {
    let rest = Rest::start().await.unwrap();
    let now = testkit::clock::now().timestamp();
    let iss = rest.github.app_id();
    for (claims, status, message) in [
        (json!({"iss": iss, "iat": now - 60, "exp": now + 590}), 200, ""),
        (json!({"iss": iss.to_string(), "iat": now, "exp": now + 60}), 200, ""),
        (
            json!({"iss": iss, "iat": now, "exp": now + 660}),
            401,
            "'Expiration time' claim ('exp') is too far in the future",
        ),
        (json!({"iss": iss, "iat": now - 600, "exp": now - 1}), 401, "'Expiration time' claim ('exp') must be"),
        (json!({"iss": iss, "iat": now - 60}), 401, "'Expiration time' claim ('exp') must be"),
        (json!({"iss": iss, "iat": now + 30, "exp": now + 300}), 401, "'Issued at' claim ('iat') must be"),
        (json!({"iss": iss, "exp": now + 300}), 401, "'Issued at' claim ('iat') must be"),
        (json!({"iat": now, "exp": now + 300}), 401, "'Issuer' claim ('iss') must be"),
        (json!({"iss": 1, "iat": now, "exp": now + 300}), 404, "Integration not found"),
    ] {
        let answer = rest.call_as(&rest.jwt(&claims).unwrap(), Method::GET, "/app", None).await.unwrap();
        assert_eq!(answer.status, status, "{claims}");
        assert!(answer.message().starts_with(message), "{claims}: {}", answer.message());
    }
}

#[tokio::test]
async fn another_key_another_algorithm_and_no_jwt_at_all_are_refused() {
    let rest = Rest::start().await.unwrap();
    let other = Rest::start().await.unwrap();
    let now = testkit::clock::now().timestamp();
    let claims = json!({"iss": rest.github.app_id(), "iat": now, "exp": now + 60});
    let hs256 = jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"x")).unwrap();
    for jwt in [other.app_jwt().unwrap(), hs256, rest.token.clone(), "a.b.c".to_owned()] {
        let answer = rest.call_as(&jwt, Method::GET, "/app", None).await.unwrap();
        assert_eq!((answer.status, answer.message()), (401, "A JSON web token could not be decoded"));
    }
    let answer = rest.call_as(&rest.app_jwt().unwrap(), Method::GET, RUNNERS, None).await.unwrap();
    assert_eq!((answer.status, answer.message()), (401, "Bad credentials"), "an App is not an installation");
}

#[tokio::test]
async fn a_wrong_clock_on_either_side_shows() {
    let rest = Rest::start().await.unwrap();
    rest.github.set_clock_skew(TimeDelta::minutes(-5));
    let answer = rest.access_token().await.unwrap();
    assert_eq!(answer.status, 401);
    assert!(answer.message().starts_with("'Expiration time' claim ('exp') is too far"));
    let date = chrono::DateTime::parse_from_rfc2822(answer.header("date")).unwrap();
    assert!(testkit::clock::now().signed_duration_since(date) > TimeDelta::minutes(4));
}

#[tokio::test]
async fn an_installation_token_lives_an_hour_and_may_be_narrowed() {
    let rest = Rest::start().await.unwrap();
    let path = format!("/app/installations/{INSTALLATION_ID}/access_tokens");
    let jwt = rest.app_jwt().unwrap();
    let mint = async |body: Value| rest.call_as(&jwt, Method::POST, &path, Some(body)).await.unwrap();
    let narrow = mint(json!({"permissions": {"organization_self_hosted_runners": "read"}})).await;
    assert_eq!(narrow.status, 201);
    let token = narrow.body["token"].as_str().unwrap();
    assert!(token.starts_with("ghs_"));
    assert_eq!(rest.call_as(token, Method::GET, RUNNERS, None).await.unwrap().status, 200);
    let refused = rest.call_as(token, Method::POST, REGISTRATION, None).await.unwrap();
    assert_eq!((refused.status, refused.message()), (403, "Resource not accessible by integration"));
    assert_eq!(mint(json!({"permissions": {"members": "read"}})).await.status, 422);

    assert_eq!(rest.get(RUNNERS).await.unwrap().status, 200);
    rest.github.advance(std::time::Duration::from_hours(1));
    let expired = rest.get(RUNNERS).await.unwrap();
    assert_eq!(expired.status, 401);
    assert_eq!(expired.body["message"], "Bad credentials");
    assert_eq!(expired.body["status"], "401");
    assert!(expired.body["documentation_url"].is_string());
    assert_eq!(rest.access_token().await.unwrap().status, 201, "the App itself is judged by the real clock");
}

#[tokio::test]
async fn suspension_permissions_and_foreign_targets_are_told_apart() {
    let mut elsewhere = Organization::new("elsewhere", 5);
    elsewhere.installation_id = None;
    let mut own = Organization::new("Acme-Partners", INSTALLATION_ID);
    own.repositories.push(Repository { name: "locked".into(), runners_disabled: true });
    let config = GithubConfig { organizations: vec![own, elsewhere], ..GithubConfig::default() };
    let rest = Rest::of(FakeGithub::start(config).await.unwrap()).await.unwrap();
    let post = async |path: &str| {
        let answer =
            rest.call(Method::POST, &format!("{path}/actions/runners/registration-token"), None).await.unwrap();
        (answer.status, answer.message().to_owned())
    };
    let forbidden = (403, "Resource not accessible by integration".to_owned());
    assert_eq!(post("/orgs/acme-partners").await.0, 201);
    assert_eq!(post("/repos/acme-partners/app").await.0, 201);
    assert_eq!(post("/orgs/elsewhere").await, forbidden);
    assert_eq!(post("/orgs/nowhere").await, (404, "Not Found".to_owned()));
    assert_eq!(post("/repos/acme-partners/locked").await.0, 403);

    rest.github.set_permission(INSTALLATION_ID, "organization_self_hosted_runners", None);
    assert_eq!(post("/orgs/acme-partners").await, forbidden);
    assert_eq!(post("/repos/acme-partners/app").await.0, 201, "repositories need another permission");

    rest.github.set_suspended(INSTALLATION_ID, true);
    let suspended = (403, "This installation has been suspended".to_owned());
    assert_eq!(post("/repos/acme-partners/app").await, suspended);
    let refused = rest.access_token().await.unwrap();
    assert_eq!((refused.status, refused.message().to_owned()), suspended);
    rest.github.set_suspended(INSTALLATION_ID, false);
    assert_eq!(rest.access_token().await.unwrap().status, 201);
}

#[tokio::test]
async fn the_app_sees_itself_and_its_installations() {
    let rest = Rest::start().await.unwrap();
    let jwt = rest.app_jwt().unwrap();
    let get = async |path: &str| rest.call_as(&jwt, Method::GET, path, None).await.unwrap();
    assert_eq!(get("/app").await.body["id"], rest.github.app_id());
    for path in [format!("/app/installations/{INSTALLATION_ID}"), "/orgs/acme-partners/installation".into()] {
        let installation = get(&path).await.body;
        assert_eq!(installation["id"], INSTALLATION_ID);
        assert_eq!(installation["account"]["login"], "acme-partners");
        assert_eq!(installation["permissions"]["organization_self_hosted_runners"], "write");
        assert_eq!(installation["suspended_at"], Value::Null);
    }
    assert_eq!(get("/app/installations").await.body.as_array().unwrap().len(), 1);
    assert_eq!(get("/app/installations/1").await.status, 404);
    let organization = rest.get("/orgs/acme-partners").await.unwrap().body;
    assert_eq!(organization["html_url"], rest.github.html_url("acme-partners"));
}

#[tokio::test]
async fn requests_without_the_headers_that_github_wants_are_refused() {
    let rest = Rest::start().await.unwrap();
    let url = format!("{}{RUNNERS}", rest.github.base_url());
    let client = reqwest::Client::new();
    let bare = answer(client.get(&url).bearer_auth(&rest.token)).await.unwrap();
    assert_eq!(bare.status, 403);
    assert!(bare.message().contains("User-Agent"));
    let polite = || client.get(&url).header("user-agent", "x").bearer_auth(&rest.token);
    assert_eq!(answer(polite().header("accept", "text/plain")).await.unwrap().status, 415);
    assert_eq!(answer(polite().header("accept", "application/vnd.github+json")).await.unwrap().status, 200);
    assert_eq!(answer(polite().header("x-github-api-version", "1999-01-01")).await.unwrap().status, 400);
    assert_eq!(answer(polite().header("x-github-api-version", "2022-11-28")).await.unwrap().status, 200);
    let nobody = answer(client.get(&url).header("user-agent", "x")).await.unwrap();
    assert_eq!((nobody.status, nobody.message()), (401, "Requires authentication"));
    assert_eq!(nobody.header("x-ratelimit-limit"), "60");
}
