//! What Envoy and the filter pass on besides the identity.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::support::{answer, in_shared_system, list_with, request, runner, token_of, until};

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

/// Whoever looks for a trace finds it at the edge, in the control plane and at GitHub.
#[test]
fn a_trace_goes_through_the_edge_to_github() -> anyhow::Result<()> {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
    in_shared_system(async |system| {
        let provision = request(Method::POST, system.edge_url(), "/api/v1/runners/provision");
        let provision = provision.bearer_auth(token_of(system, "traced")?).header("traceparent", TRACE);
        let issued = answer(provision.json(&runner("traced"))).await?;
        assert_eq!(issued.status, StatusCode::CREATED, "{}", issued.body);
        let calls = system.github().calls();
        let headers: Vec<_> = calls.iter().filter_map(|call| call.traceparent.as_deref()).collect();
        assert!(headers.iter().any(|header| header.contains(TRACE_ID) && *header != TRACE), "{headers:?}");

        let long = request(Method::GET, system.edge_url(), &format!("/{}", "p".repeat(9000)));
        let refused = answer(long.header("traceparent", "t".repeat(9000)).header("x-request-id", "i".repeat(9000)));
        assert_eq!(refused.await?.status, StatusCode::FORBIDDEN);
        let logged = |process: &str, what: &str| {
            Ok(system.logs()?.iter().any(|(name, log)| name.contains(process) && log.contains(what)))
        };
        let soon = Duration::from_secs(20);
        until("the edge's log", soon, async || logged("envoy", &format!(r#""traceparent":"{TRACE}""#))).await?;
        until("its line about what is long", soon, async || logged("envoy", &"p".repeat(500))).await?;
        until("the control plane's log", soon, async || logged("control-plane", TRACE_ID)).await?;
        for long in ["p".repeat(513), "t".repeat(56), "i".repeat(129)] {
            assert!(!logged("envoy", &long)?, "{long}");
        }
        Ok(())
    })
}
