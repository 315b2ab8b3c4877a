//! `filter-alone.yaml` in real Envoy, with the dev issuer for its issuer and an echo for its upstream.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use testkit::issuer::{DevIssuer, IssuerConfig, Mint};
use testkit::system::{Envoy, EnvoyOptions, Issuer, Scope, Tools};

use crate::echo;
use crate::example::{document, each_object, with_plugin};

pub(crate) const AUDIENCE: &str = "my-service";

/// The example, running.
pub(crate) struct Alone {
    envoy: Envoy,
    pub(crate) issuer: DevIssuer,
    _scope: Arc<Scope>,
}

impl Alone {
    /// Starts it with this `identity` block; the shipped one is `{}`.
    pub(crate) async fn start(identity: &Value, signing_key: &str) -> anyhow::Result<Self> {
        let (tools, scope) = (Tools::from_env()?, Arc::new(Scope::new()?));
        let issuer = DevIssuer::start(IssuerConfig::default()).await?;
        let upstream = echo::start().await?;
        let options = EnvoyOptions {
            binary: tools.envoy,
            filter: tools.filter,
            template: here(document("filter-alone.yaml")?, issuer.issuer(), upstream, identity)?.to_string(),
            // The example has no place for these.
            issuer: Issuer { issuer: String::new(), audience: String::new(), jwks_url: "http://127.0.0.1/".into() },
            control_plane: (upstream.ip().to_string(), upstream.port()),
            signing_key: signing_key.to_owned(),
            concurrency: 1,
        };
        Ok(Self { envoy: Envoy::start(&options, &scope).await?, issuer, _scope: scope })
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        reqwest::Client::new().get(format!("{}{path}", self.envoy.edge_url()))
    }

    pub(crate) fn token(&self) -> anyhow::Result<String> {
        self.issuer.mint(&Mint::new("machine-7", AUDIENCE))
    }

    /// What the upstream got for a request that must reach it: header names and values.
    pub(crate) async fn arrived(request: RequestBuilder) -> anyhow::Result<BTreeMap<String, String>> {
        let mut body: Value = request.send().await?.error_for_status()?.json().await?;
        let arrived = body.get_mut("arrived").context("not the echo's answer")?.take();
        Ok(serde_json::from_value::<Vec<(String, String)>>(arrived)?.into_iter().collect())
    }
}

/// The example with the places of this machine in it: what a reader edits, free ports, and no TLS to the issuer.
fn here(mut example: Value, issuer: &str, upstream: SocketAddr, identity: &Value) -> anyhow::Result<Value> {
    let issuer_address: SocketAddr = issuer.strip_prefix("http://").context("the dev issuer speaks HTTP")?.parse()?;
    let ports = BTreeMap::from([(8080, 0), (9901, 0), (3000, upstream.port()), (443, issuer_address.port())]);
    let mut changed = 0;
    each_object(&mut example, &mut |object| {
        if object.contains_key("vm_id") {
            // As an example with an assertion has it.
            object.insert("environment_variables".into(), json!({"host_env_keys": ["IDENTITY_SIGNING_KEY"]}));
        }
        object.remove("transport_socket").into_iter().for_each(|_| changed += 1);
        if let Some(Value::String(file)) = object.get_mut("filename") {
            "${FILTER_PATH}".clone_into(file);
            changed += 1;
        }
        let port = object.get("port_value").and_then(Value::as_u64).and_then(|port| ports.get(&port));
        if let Some(port) = port {
            object.insert("port_value".into(), json!(port));
            object.insert("address".into(), json!("127.0.0.1"));
            changed += 1;
        }
    });
    anyhow::ensure!(changed == 6, "the example was changed in {changed} places");
    with_plugin(&mut example, &mut |text| {
        let identity = format!("\"identity\": {identity}");
        text.replace("https://idp.example.com", issuer).replace("\"identity\": {}", &identity)
    });
    Ok(example)
}

#[tokio::test]
async fn it_lets_good_tokens_through_and_says_who_called() -> anyhow::Result<()> {
    let alone = Alone::start(&json!({}), "").await?;

    let answer = alone.get("/orders").send().await?;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="edge""#);

    let forged = alone.get("/orders").bearer_auth(alone.token()?).header("X-Auth-Subject", "admin");
    let arrived = Alone::arrived(forged).await?;
    assert_eq!(arrived["x-auth-subject"], "machine-7");
    assert_eq!(arrived["x-auth-issuer"], alone.issuer.issuer());
    assert_eq!(arrived["x-auth-identity"], "machine-7");
    assert!(!arrived.contains_key("authorization"));

    let elsewhere = alone.issuer.mint(&Mint::new("machine-7", "another-service"))?;
    let answer = alone.get("/orders").bearer_auth(elsewhere).send().await?;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);

    let public = Alone::arrived(alone.get("/healthz").header("x-auth-subject", "admin")).await?;
    assert!(!public.contains_key("x-auth-subject"));
    Ok(())
}
