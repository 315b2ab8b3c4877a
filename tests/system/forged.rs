//! Identities that nobody vouched for: through the edge, and at the port behind it.

use std::time::{SystemTime, UNIX_EPOCH};

use identity::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, KeyPair, Signer, Stated, headers};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use testkit::system::System;

use crate::support::{answer, in_shared_system, list_with, provision, request, runner, token_of};

/// An assertion about the victim, signed with this key for this audience.
fn assertion(key: &str, audience: &str) -> anyhow::Result<String> {
    let caller = Stated {
        issuer: "https://idp.example",
        subject: "victim",
        name: "victim",
        claims: "{}",
        token_sha256: &"0".repeat(64),
    };
    #[expect(clippy::disallowed_methods, reason = "the control plane judges by the real clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Signer::new(key, DEFAULT_GATEWAY, audience)?.sign(&caller, now, 60)?)
}

/// The names of the runners that a request with these headers sees at the control plane's own port.
async fn behind_the_edge(system: &System, forged: &[(&str, &str)]) -> anyhow::Result<StatusCode> {
    let mut request = request(Method::GET, &system.control_plane_url(), "/api/v1/runners");
    for (name, value) in forged {
        request = request.header(*name, *value);
    }
    Ok(answer(request).await?.status)
}

#[test]
fn identity_headers_of_a_client_do_not_pass_the_edge() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let stranger = assertion(&KeyPair::generate()?.private_pem, DEFAULT_AUDIENCE)?;
        let genuine = assertion(&system.identity().private_pem, DEFAULT_AUDIENCE)?;
        for header in [headers::ASSERTION, headers::ISSUER, headers::SUBJECT, headers::NAME] {
            for value in [stranger.as_str(), genuine.as_str(), "victim"] {
                let request = request(Method::GET, system.edge_url(), "/api/v1/runners").header(header, value);
                assert_eq!(answer(request).await?.status, StatusCode::UNAUTHORIZED, "{header}");
            }
        }
        Ok(())
    })
}

/// With a good token of one's own, a forged identity beside it changes nothing: one stays who one is.
#[test]
fn a_caller_stays_who_the_token_says_whatever_else_is_sent() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let (mallory, victim) = (token_of(system, "mallory")?, token_of(system, "victim")?);
        assert_eq!(provision(system, &victim, &runner("victims-own")).await?.status, StatusCode::CREATED);
        let genuine = assertion(&system.identity().private_pem, DEFAULT_AUDIENCE)?;
        let forgeries = [
            (headers::ASSERTION, genuine.as_str()),
            ("X-Identity-Assertion", genuine.as_str()),
            (headers::SUBJECT, "victim"),
            (headers::NAME, "victim"),
            ("connection", "close, x-identity-assertion"),
        ];
        for (name, value) in forgeries {
            let request = request(Method::GET, system.edge_url(), "/api/v1/runners").bearer_auth(&mallory);
            let answer = answer(request.header(name, value)).await?;
            assert_eq!(answer.status, StatusCode::OK, "{name}");
            assert_eq!(answer.body.get("total").and_then(Value::as_u64), Some(0), "{name}: {}", answer.body);
        }
        assert_eq!(list_with(system, &victim).await?.body.get("total").and_then(Value::as_u64), Some(1));
        Ok(())
    })
}

#[test]
fn the_port_behind_the_edge_believes_nothing_but_a_genuine_assertion() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let (mine, edge) = (KeyPair::generate()?.private_pem, system.identity().private_pem.as_str());
        let token = token_of(system, "team-blue")?;
        let (stranger, elsewhere) = (assertion(&mine, DEFAULT_AUDIENCE)?, assertion(edge, "another-service")?);
        let (genuine, bearer) = (assertion(edge, DEFAULT_AUDIENCE)?, format!("Bearer {token}"));
        let unsigned = genuine.rsplit_once('.').map(|(head, _)| format!("{head}.")).unwrap_or_default();
        let cases: [&[(&str, &str)]; 9] = [
            &[],
            &[(headers::ISSUER, "https://idp.example"), (headers::SUBJECT, "victim"), (headers::NAME, "victim")],
            &[("authorization", &bearer)],
            &[(headers::ASSERTION, &token)],
            &[(headers::ASSERTION, &stranger)],
            &[(headers::ASSERTION, &elsewhere)],
            &[(headers::ASSERTION, &unsigned)],
            &[(headers::ASSERTION, "")],
            &[(headers::ASSERTION, &genuine), (headers::ASSERTION, &genuine)],
        ];
        for forged in cases {
            assert_eq!(behind_the_edge(system, forged).await?, StatusCode::UNAUTHORIZED, "{forged:?}");
        }
        assert_eq!(behind_the_edge(system, &[(headers::ASSERTION, &genuine)]).await?, StatusCode::OK);
        Ok(())
    })
}
