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

/// How to call the service may be read by anybody; what it holds may not.
#[test]
fn the_description_of_the_api_is_public() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        let description = answer(request(Method::GET, system.edge_url(), "/api/v1/openapi.json")).await?;
        assert_eq!(description.status, StatusCode::OK);
        assert!(description.text("openapi")?.starts_with("3."), "{}", description.body);
        let page = request(Method::GET, system.edge_url(), "/docs").send().await?;
        assert_eq!(page.status(), StatusCode::OK);
        for around in ["/api/v1/openapi.json/", "/api/v1/openapi.json/../runners", "/docs/../api/v1/runners"] {
            let status = answer(request(Method::GET, system.edge_url(), around)).await?.status;
            assert!(status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN, "{around}: {status}");
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
