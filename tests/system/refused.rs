//! What must not pass the edge. Each of these fails when the check that it is about is taken out.

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::issuer::{Algorithm, KeyId, Mint, SignWith, When, hs256_token, raw_token};
use testkit::system::{AUDIENCE, System};

use crate::support::{answer, in_shared_system, list_with, request, token_of};

fn good() -> Mint {
    Mint::new("team-blue", AUDIENCE)
}

/// The token that this mint gives is refused as invalid, while a good one passes.
fn invalid(mint: Mint) -> anyhow::Result<()> {
    in_shared_system(async |system| refused(system, &system.issuer().mint(&mint)?).await)
}

async fn refused(system: &System, token: &str) -> anyhow::Result<()> {
    assert_eq!(list_with(system, &token_of(system, "team-blue")?).await?.status, StatusCode::OK);
    let answer = list_with(system, token).await?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
    let challenge = answer.challenge.as_deref().context("no challenge")?;
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert_eq!(answer.text("type")?, "/problems/invalid-token");
    assert!(!answer.text("request_id")?.is_empty());
    Ok(())
}

/// A good token's header and claims, to be forged.
fn parts(token: &str) -> anyhow::Result<(Value, Value)> {
    let part = |index: usize| -> anyhow::Result<Value> {
        let part = token.split('.').nth(index).context("not a token")?;
        Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part)?)?)
    };
    Ok((part(0)?, part(1)?))
}

#[test]
fn no_token() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let answer = answer(request(Method::GET, system.edge_url(), "/api/v1/runners")).await?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.challenge.as_deref(), Some("Bearer realm=\"edge\""));
        assert_eq!(answer.text("type")?, "/problems/token-missing");
        Ok(())
    })
}

#[test]
fn an_expired_token() -> anyhow::Result<()> {
    // Beyond the leeway of a minute.
    invalid(Mint { expires: When::Ago(Duration::from_secs(90)), ..good() })
}

#[test]
fn a_token_that_never_expires() -> anyhow::Result<()> {
    invalid(Mint { expires: When::Absent, ..good() })
}

#[test]
fn a_token_from_the_future() -> anyhow::Result<()> {
    invalid(Mint { not_before: When::In(Duration::from_secs(90)), ..good() })
}

#[test]
fn a_token_for_another_audience() -> anyhow::Result<()> {
    invalid(Mint { audiences: vec!["another-service".into()], ..good() })?;
    invalid(Mint { audiences: vec![], ..good() })
}

#[test]
fn a_token_of_another_issuer() -> anyhow::Result<()> {
    invalid(Mint { issuer: Some("https://other.example".into()), ..good() })
}

#[test]
fn a_token_of_nobody() -> anyhow::Result<()> {
    invalid(Mint { subject: None, ..good() })?;
    invalid(Mint { subject: Some(String::new()), ..good() })
}

#[test]
fn a_token_of_another_type() -> anyhow::Result<()> {
    invalid(Mint { typ: Some("identity-assertion+jwt".into()), ..good() })
}

#[test]
fn a_forged_signature_under_a_known_key() -> anyhow::Result<()> {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        invalid(Mint { algorithm, sign_with: SignWith::Stranger, ..good() })?;
    }
    Ok(())
}

#[test]
fn an_unknown_key() -> anyhow::Result<()> {
    invalid(Mint { key_id: KeyId::Other("nobody's".into()), ..good() })
}

#[test]
fn alg_none_in_every_spelling() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let (mut header, claims) = parts(&system.issuer().mint(&good())?)?;
        for spelling in ["none", "None", "NONE", "nOnE", ""] {
            header["alg"] = json!(spelling);
            for signature in [&b""[..], b"x"] {
                refused(system, &raw_token(&header, &claims, signature)).await?;
            }
        }
        Ok(())
    })
}

/// Algorithm confusion: the public key, which everybody knows, as the secret of an HMAC.
#[test]
fn hs256_with_the_public_key_as_the_secret() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let pem = system.issuer().public_pem(Algorithm::Rs256)?;
        let (mut header, claims) = parts(&system.issuer().mint(&good())?)?;
        header["alg"] = json!("HS256");
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), system.issuer().jwks().to_string().as_bytes()] {
            refused(system, &hs256_token(&header, &claims, secret)?).await?;
        }
        Ok(())
    })
}

#[test]
fn altered_claims_under_a_good_signature() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let token = system.issuer().mint(&good())?;
        let (_, mut claims) = parts(&token)?;
        claims["sub"] = json!("team-red");
        let mut all: Vec<String> = token.split('.').map(str::to_owned).collect();
        *all.get_mut(1).context("not a token")? = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        refused(system, &all.join(".")).await
    })
}

#[test]
fn two_tokens() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let (blue, red) = (token_of(system, "team-blue")?, token_of(system, "team-red")?);
        let twice = request(Method::GET, system.edge_url(), "/api/v1/runners").bearer_auth(blue).bearer_auth(red);
        let status = answer(twice).await?.status;
        assert!(status == StatusCode::BAD_REQUEST || status == StatusCode::UNAUTHORIZED, "{status}");
        Ok(())
    })
}

#[test]
fn a_path_without_a_rule() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let token = token_of(system, "team-blue")?;
        for path in ["/", "/metrics", "/API/v1/runners", "/health/secret"] {
            let answer = answer(request(Method::GET, system.edge_url(), path).bearer_auth(&token)).await?;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        }
        Ok(())
    })
}
