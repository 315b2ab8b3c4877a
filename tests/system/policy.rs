//! A policy file in the whole system: three control planes behind Envoy, callers with signed tokens.

use anyhow::Context as _;
use futures_util::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::github::ORGANIZATION;
use testkit::system::AUDIENCE;

use crate::governed::{Governed, PATIENCE};
use crate::support::{answer, provision, request, until};

/// More than the limit, and more than the connections of all replicas.
const CROWD: usize = 40;
const LIMIT: usize = 5;

/// A system with a team that has a limit.
async fn with_a_team() -> anyhow::Result<Governed> {
    let mut governed = Governed::start("team").await?;
    let issuer = governed.issuer();
    let text = format!(
        "version: 1\nrules:\n  - name: team\n    match: {{iss: {issuer:?}, claims: {{project: 7, \
         aud: {AUDIENCE}}}}}\n    owner: team\n    grant: {{targets: [org:{ORGANIZATION}], \
         labels: [self-hosted, gpu], limits: {{active: {LIMIT}}}}}\n{}",
        governed.operators()
    );
    governed.put_in_force(&text).await?;
    Ok(governed)
}

fn jit(name: &str) -> Value {
    json!({"runner_name": name, "mode": "jit", "labels": ["self-hosted", "gpu"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_holds_in_the_whole_system() -> anyhow::Result<()> {
    let mut governed = with_a_team().await?;
    let stranger = governed.token("stranger", "project", 8)?;
    let denied = provision(&governed.system, &stranger, &jit("s-1")).await?;
    assert_eq!((denied.status, denied.problem()), (StatusCode::FORBIDDEN, "denied-by-policy"));
    let denied =
        answer(request(Method::GET, governed.system.edge_url(), "/api/v1/admin/runners").bearer_auth(&stranger));
    assert_eq!(denied.await?.problem(), "denied-by-policy");

    exactly_as_many_as_the_limit_says(&governed).await?;
    revoked_at_once(&mut governed).await?;
    // A policy without rules is one, too.
    governed.put_in_force("version: 1\nrules: [] # nobody\n").await?;
    let token = governed.token("member-2", "project", 7)?;
    assert_eq!(provision(&governed.system, &token, &jit("late")).await?.problem(), "denied-by-policy");
    Ok(())
}

/// Each member of the team asks with a token of its own; the edge spreads them over three replicas.
async fn exactly_as_many_as_the_limit_says(governed: &Governed) -> anyhow::Result<()> {
    let asked = (0..CROWD).map(|number| async move {
        let token = governed.token(&format!("member-{}", number % 2), "project", 7)?;
        provision(&governed.system, &token, &jit(&format!("t-{number}"))).await
    });
    let answers = try_join_all(asked).await?;
    let granted = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(granted, LIMIT, "{answers:?}");
    let refused = answers.iter().filter(|answer| answer.problem() == "limit-reached").count();
    assert_eq!(refused, CROWD - LIMIT, "{answers:?}");
    assert_eq!(governed.system.github().runners().len(), LIMIT);
    for (name, log) in governed.system.logs()?.iter().filter(|(name, _)| name.starts_with("control-plane-")) {
        assert!(log.contains("\"status\":201") || log.contains("\"status\":429"), "{name} had nothing to do");
    }
    Ok(())
}

/// One of the team is revoked through the edge: refused at once, and its runners go; the other's stay.
async fn revoked_at_once(governed: &mut Governed) -> anyhow::Result<()> {
    let issuer = governed.issuer();
    let whom = json!({"issuer": issuer, "subject": "member-1", "reason": "left the team"});
    let revoked = governed.admin("principals/revoke", whom).await?;
    assert_eq!(revoked.status, StatusCode::ACCEPTED, "{revoked:?}");
    let theirs = usize::try_from(revoked.body.get("runners").and_then(Value::as_u64).context("no number")?)?;
    let token = governed.token("member-1", "project", 7)?;
    for _ in 0..6 {
        let answer = provision(&governed.system, &token, &jit("again")).await?;
        assert_eq!((answer.status, answer.problem()), (StatusCode::FORBIDDEN, "principal-revoked"));
    }
    let left = || governed.system.github().runners().len();
    until("their runners are gone", PATIENCE, async || Ok(left() == LIMIT - theirs)).await?;
    let other = governed.token("member-0", "project", 7)?;
    let listed = answer(request(Method::GET, governed.system.edge_url(), "/api/v1/runners").bearer_auth(other)).await?;
    assert_eq!(listed.body.get("total"), Some(&json!(LIMIT - theirs)), "{listed:?}");
    Ok(())
}
