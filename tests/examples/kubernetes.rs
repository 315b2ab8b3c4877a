//! The examples for Istio and for Envoy Gateway.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::example::{accepted, accepted_plugin, check_clusters, check_plugin, clusters_named, documents};

/// The one document of this kind.
fn of_kind<'d>(documents: &'d [Value], version: &str, kind: &str) -> anyhow::Result<&'d Value> {
    let mut found = documents.iter().filter(|one| one.get("kind") == Some(&json!(kind)));
    let one = found.next().with_context(|| format!("no {kind}"))?;
    anyhow::ensure!(found.next().is_none(), "two of {kind}");
    anyhow::ensure!(one.get("apiVersion") == Some(&json!(version)), "{kind} of another version");
    anyhow::ensure!(one.pointer("/metadata/name").is_some() && one.pointer("/metadata/namespace").is_some(), "{kind}");
    one.get("spec").with_context(|| format!("{kind} without spec"))
}

#[test]
fn istio_runs_the_filter_first_and_knows_the_way_to_the_issuer() -> anyhow::Result<()> {
    let documents = documents("istio-wasmplugin.yaml")?;
    assert_eq!(documents.len(), 3);
    let plugin = of_kind(&documents, "extensions.istio.io/v1alpha1", "WasmPlugin")?;
    check_plugin(&plugin["pluginConfig"])?;
    accepted_plugin(&plugin["pluginConfig"])?;
    assert_eq!((&plugin["phase"], &plugin["failStrategy"]), (&json!("AUTHN"), &json!("FAIL_RELOAD")));
    assert_eq!(plugin["vmConfig"]["env"], json!([{"name": "IDENTITY_SIGNING_KEY", "valueFrom": "HOST"}]));

    let entry = of_kind(&documents, "networking.istio.io/v1", "ServiceEntry")?;
    let rule = of_kind(&documents, "networking.istio.io/v1", "DestinationRule")?;
    let host = entry["hosts"][0].as_str().context("no host")?;
    let cluster = format!("outbound|{}||{host}", entry["ports"][0]["number"]);
    assert_eq!(clusters_named(&plugin["pluginConfig"]), [cluster].into());
    assert_eq!(rule["host"], json!(host));
    let tls = &rule["trafficPolicy"]["tls"];
    assert_eq!((&tls["mode"], &tls["sni"]), (&json!("SIMPLE"), &json!(host)));
    assert_eq!((&tls["caCertificates"], &tls["subjectAltNames"]), (&json!("system"), &json!([host])));
    Ok(())
}

#[test]
fn envoy_gateway_gives_the_filter_its_key_and_its_cluster() -> anyhow::Result<()> {
    let documents = documents("envoy-gateway.yaml")?;
    assert_eq!(documents.len(), 3);
    let policy = of_kind(&documents, "gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy")?;
    let wasm = &policy["wasm"][0];
    check_plugin(&wasm["config"])?;
    accepted_plugin(&wasm["config"])?;
    assert_eq!((&wasm["failOpen"], &wasm["env"]["hostKeys"]), (&json!(false), &json!(["IDENTITY_SIGNING_KEY"])));

    let proxy = of_kind(&documents, "gateway.envoyproxy.io/v1alpha1", "EnvoyProxy")?;
    let variable = &proxy["provider"]["kubernetes"]["envoyDeployment"]["container"]["env"][0];
    assert_eq!(variable["name"], json!("IDENTITY_SIGNING_KEY"));
    assert!(variable.pointer("/valueFrom/secretKeyRef/name").is_some());
    let bootstrap: Value = serde_saphyr::from_str(proxy["bootstrap"]["value"].as_str().context("no bootstrap")?)?;
    check_clusters(&wasm["config"], &bootstrap["static_resources"]["clusters"])?;
    accepted(bootstrap)?;

    let gateway = of_kind(&documents, "gateway.networking.k8s.io/v1", "Gateway")?;
    assert_eq!(gateway["infrastructure"]["parametersRef"]["name"], json!("oidc"));
    assert_eq!(
        policy["targetRefs"],
        json!([
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "eg"},
        ])
    );
    Ok(())
}
