//! What the filter writes into Envoy's log, at its most talkative: why, and never of whom or with what.

use std::time::Duration;

use serde_json::json;
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig, KeyId, Mint, SignWith, When};
use testkit::system::edge::{Edge, Listener, Paths, ours, to_upstream};
use tokio::net::TcpListener;

use crate::echo;
use crate::wire::{Client, Request};

/// A claim and a subject that nobody would write by chance.
const SUBJECT: &str = "subject-4711-of-nobody-else";
const CLAIM: &str = "claim-4711-of-nobody-else";

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_holds_a_token_or_a_claim() -> anyhow::Result<()> {
    let issuer = DevIssuer::start(IssuerConfig { algorithms: vec![Algorithm::Es256], ..Default::default() }).await?;
    let uri = json!({"uri": issuer.jwks_uri(), "cluster": "idp"});
    let elsewhere = |cluster: &str| json!({"uri": "https://elsewhere.example/", "cluster": cluster, "timeout": "0.2s"});
    let configuration = json!({
        "providers": {
            "idp": {
                "issuer": issuer.issuer(), "audiences": ["runners"], "remote_jwks": {"http_uri": uri},
                "claim_to_headers": [{"header_name": "x-team", "claim_name": "team"}],
            },
            "placed": {
                "issuer": issuer.issuer(), "audiences": ["runners"], "remote_jwks": {"http_uri": uri},
                "from_headers": [{"name": "x-jwt"}], "from_params": ["jwt"], "from_cookies": ["session"],
            },
            "gone": {"issuer": "https://gone.example", "remote_jwks": {"http_uri": elsewhere("gone")}},
            "unknown": {"issuer": "https://unknown.example", "remote_jwks": {"http_uri": elsewhere("unknown")}},
            "silent": {"issuer": "https://silent.example", "remote_jwks": {"http_uri": elsewhere("silent")}},
        },
        "rules": [
            {"match": {"prefix": "/placed"}, "requires": {"provider_name": "placed"}},
            {"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}, "required_scopes": ["orders"]},
        ],
        "identity": {"assertion": {"claims": ["*"]}},
    });
    let listener = Listener {
        name: "logs".into(),
        paths: Paths::AsTheyCame,
        filters: vec![ours("logs", &configuration)],
        then: to_upstream(),
    };
    let silent = TcpListener::bind(("127.0.0.1", 0)).await?;
    let clusters = [("idp", issuer.address()), ("gone", "127.0.0.1:1".parse()?), ("silent", silent.local_addr()?)];
    let mut edge = Edge::start_with(&[listener], echo::start().await?, &clusters).await?;
    edge.log_modules().await?;
    let mut client = Client::new(edge.address("logs").await?);

    let good = Mint::new(SUBJECT, "runners").algorithm(Algorithm::Es256).claim("team", CLAIM).claim("scope", "orders");
    let mints = [
        good.clone(),
        good.clone().claim("scope", "none"),
        good.clone().claim("team", format!("{CLAIM}\n")),
        Mint { expires: When::Ago(Duration::from_hours(1)), ..good.clone() },
        Mint { sign_with: SignWith::Stranger, ..good.clone() },
        Mint { key_id: KeyId::Other(format!("{CLAIM}-key")), ..good.clone() },
        Mint { typ: Some(format!("{CLAIM}-type")), ..good.clone() },
        Mint { issuer: Some(format!("https://{CLAIM}")), ..good },
    ];
    let mut secrets = vec![SUBJECT.to_owned(), CLAIM.to_owned()];
    for mint in mints {
        let token = issuer.mint(&mint)?;
        secrets.extend(token.split('.').map(str::to_owned));
        let bearer = format!("Bearer {token}");
        for request in [
            Request::get("/x").header("authorization", bearer.clone()),
            Request::get("/x").header("authorization", bearer.clone()).header("authorization", bearer.clone()),
            Request::get(format!("/x?access_token={token}")),
            Request::get(format!("/placed?jwt={token}")),
            Request::get("/placed").header("x-jwt", token.clone()),
            Request::get("/placed").header("cookie", format!("session={token}")),
            Request::get("/placed").header("cookie", format!("session={token}.{token}")),
            Request::get(format!("/no%zz?jwt={token}")).header("x-auth-subject", SUBJECT),
        ] {
            client.send(&request).await?;
        }
    }

    // The slow issuer's time has to run out first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let log = edge.process().log();
    for line in [
        "refused: expired",
        "refused: signature",
        "refused: scope",
        "refused: claim_value",
        "refused: unknown_key",
        "refused: type",
        "refused: issuer",
        "refused: ambiguous",
        "refused: malformed",
        "refused: no_rule",
        "no keys for provider gone: status 503",
        "no keys for provider unknown: no answer",
        "no keys for provider silent: status 504",
    ] {
        assert!(log.contains(&format!("oidc filter: {line}")), "{line}: {log}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} stands in the log");
    }
    Ok(())
}
