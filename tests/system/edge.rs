//! What Envoy and the filter pass on besides the identity.

use reqwest::{Method, StatusCode};

use crate::support::{answer, in_shared_system, list_with, request, token_of};

#[test]
fn health_is_public() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let answer = answer(request(Method::GET, system.edge_url(), "/health")).await?;
        assert_eq!(answer.status, StatusCode::OK);
        for member in ["status", "version", "timestamp"] {
            assert!(!answer.text(member)?.is_empty());
        }
        Ok(())
    })
}

#[test]
fn a_good_token_is_enough() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let answer = list_with(system, &token_of(system, "anybody")?).await?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        Ok(())
    })
}
