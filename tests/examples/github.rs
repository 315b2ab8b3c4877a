//! What `several-issuers.yaml` says of GitHub Actions, with tokens as GitHub makes them.

use authn::config::Config;
use authn::{Gate, PureRust};
use serde_json::{Value, json};
use testkit::issuer::{DevIssuer, IssuerConfig, Mint};

use crate::example::{document, plugin};

/// The example's gate with this issuer's keys in the place of GitHub's.
fn gate(issuer: &DevIssuer) -> anyhow::Result<Gate> {
    let mut plugin = plugin(&document("several-issuers.yaml")?)?;
    if let Some(github) = plugin.pointer_mut("/providers/github").and_then(Value::as_object_mut) {
        github.remove("remote_jwks");
        github.insert("local_jwks".into(), json!({"inline_string": issuer.jwks().to_string()}));
    }
    let key = identity::KeyPair::generate()?.private_pem;
    Ok(Gate::new(Config::parse(plugin.to_string().as_bytes())?, move |_| Some(key.clone()))?)
}

/// GitHub puts ids into the subjects of newer repositories.
#[tokio::test]
async fn jobs_of_the_owner_pass_with_either_form_of_subject_and_those_of_others_do_not() -> anyhow::Result<()> {
    let public_url = Some("https://token.actions.githubusercontent.com".to_owned());
    let issuer = DevIssuer::start(IssuerConfig { public_url, ..IssuerConfig::default() }).await?;
    let gate = gate(&issuer)?;
    let mut worker = gate.worker(Box::new(PureRust))?;
    let now = u64::try_from(testkit::clock::now().timestamp_millis())?;
    for (subject, owner, passes) in [
        ("repo:acme/app:ref:refs/heads/main", "1234567", true),
        ("repo:acme/app:environment:prod", "1234567", true),
        ("repo:acme@1234567/app@456789:ref:refs/heads/main", "1234567", true),
        ("repo:acme/app:ref:refs/heads/main", "7654321", false),
        ("repo:acme@7654321/app@456789:ref:refs/heads/main", "1234567", false),
        ("repo:acme-evil/app:ref:refs/heads/main", "1234567", false),
        ("repo:evil/acme/app:ref:refs/heads/main", "1234567", false),
    ] {
        let token = issuer.mint(&Mint::new(subject, "my-service").claim("repository_owner_id", owner))?;
        let bearer = format!("Bearer {token}");
        let headers = [(&b":path"[..], &b"/ci/build"[..]), (b"authorization", bearer.as_bytes())];
        let judged = gate.judge(&headers.into_iter().collect(), &mut worker, now);
        assert_eq!(judged.is_ok(), passes, "{subject} of {owner}: {judged:?}");
    }
    Ok(())
}
