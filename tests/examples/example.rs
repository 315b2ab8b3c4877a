//! An example, taken apart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use authn::Gate;
use authn::config::Config;
use serde_json::{Map, Value, json};
use testkit::system::{Scope, Tools};

/// A certificate of nobody: Envoy reads the file of trusted ones when it starts, but here it connects to no one.
const CERTIFICATES: &str = include_str!("ca.pem");
const SIGNING_KEY: &str = "IDENTITY_SIGNING_KEY";

/// The documents of a file.
pub(crate) fn documents(name: &str) -> anyhow::Result<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/examples").join(name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_multiple(&text).with_context(|| name.to_owned())
}

/// The one document of a file.
pub(crate) fn document(name: &str) -> anyhow::Result<Value> {
    let documents = documents(name)?;
    let [document] = <[Value; 1]>::try_from(documents).ok().with_context(|| format!("{name}: not one document"))?;
    Ok(document)
}

/// Looks at every object in a value, the outer ones first.
pub(crate) fn each_object(value: &mut Value, look: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            look(members);
            members.values_mut().for_each(|member| each_object(member, look));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, look)),
        _ => {}
    }
}

/// Gives the text of the plugin's configuration to this function and puts what it makes of it in its place.
pub(crate) fn with_plugin(config: &mut Value, change: &mut dyn FnMut(&str) -> String) {
    each_object(config, &mut |object| {
        if let Some(Value::String(text)) = object.get_mut("configuration").and_then(|any| any.get_mut("value")) {
            *text = change(text);
        }
    });
}

/// The plugin's configuration.
pub(crate) fn plugin(config: &Value) -> anyhow::Result<Value> {
    let mut found = String::new();
    with_plugin(&mut config.clone(), &mut |text| {
        text.clone_into(&mut found);
        text.to_owned()
    });
    serde_json::from_str(&found).with_context(|| format!("the plugin's configuration: {found:?}"))
}

/// Checks a plugin's configuration as the filter does when it starts.
pub(crate) fn check_plugin(plugin: &Value) -> anyhow::Result<()> {
    let key = identity::KeyPair::generate()?.private_pem;
    let environment = |name: &str| (name == SIGNING_KEY).then(|| key.clone());
    Gate::new(Config::parse(plugin.to_string().as_bytes())?, environment)?;
    Ok(())
}

/// The clusters that a plugin's configuration names.
pub(crate) fn clusters_named(plugin: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    each_object(&mut plugin.clone(), &mut |object| {
        let found = ["cluster", "jwks_cluster"].into_iter().filter_map(|field| object.get(field)?.as_str());
        names.extend(found.map(str::to_owned));
    });
    names
}

/// Checks that the way to the keys is safe: each cluster that the plugin names is there, speaks TLS, and verifies that
/// the certificate is for the host that it connects to.
pub(crate) fn check_clusters(plugin: &Value, clusters: &Value) -> anyhow::Result<()> {
    let clusters = clusters.as_array().context("no clusters")?;
    for name in clusters_named(plugin) {
        let cluster = clusters.iter().find(|one| one.get("name") == Some(&json!(name)));
        let cluster = cluster.with_context(|| format!("no cluster {name}"))?;
        let address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address";
        let tls = cluster.pointer("/transport_socket/typed_config").with_context(|| format!("{name} without TLS"))?;
        let at = |path: &str| tls.pointer(path);
        ensure!(at("/sni").is_some() && at("/sni") == cluster.pointer(address), "{name}: sni is not its host");
        ensure!(at("/auto_sni_san_validation") == Some(&json!(true)), "{name}: any certificate would do");
        let trusted = at("/common_tls_context/validation_context/trusted_ca/filename");
        ensure!(trusted.is_some(), "{name}: anybody's certificate would do");
    }
    Ok(())
}

/// Runs `envoy --mode validate` with the module and certificates of this machine.
pub(crate) fn validate(mut config: Value, signing_key: Option<&str>) -> anyhow::Result<Output> {
    let (tools, scope) = (Tools::from_env()?, Scope::new()?);
    let certificates = scope.directory().join("certificates.pem");
    fs::write(&certificates, CERTIFICATES)?;
    each_object(&mut config, &mut |object| {
        if let Some(Value::String(file)) = object.get_mut("filename") {
            let is_module = Path::new(file).extension().is_some_and(|extension| extension == "wasm");
            let here = if is_module { &tools.filter } else { &certificates };
            *file = here.display().to_string();
        }
    });
    let file = scope.directory().join("envoy.json");
    fs::write(&file, config.to_string())?;
    let mut envoy = Command::new(&tools.envoy);
    envoy.args(["--mode", "validate", "--log-level", "warn", "--config-path"]).arg(&file).env_clear();
    envoy.envs(signing_key.map(|key| (SIGNING_KEY, key)));
    envoy.output().context("could not run Envoy")
}

/// Has Envoy read a plugin's configuration that stands in another kind of document.
pub(crate) fn accepted_plugin(plugin: &Value) -> anyhow::Result<()> {
    let mut example = document("filter-alone.yaml")?;
    with_plugin(&mut example, &mut |_| plugin.to_string());
    each_object(&mut example, &mut |object| {
        if object.contains_key("vm_id") {
            object.insert("environment_variables".into(), json!({"host_env_keys": [SIGNING_KEY]}));
        }
    });
    accepted(example)
}

/// Runs it, and it must succeed.
pub(crate) fn accepted(config: Value) -> anyhow::Result<()> {
    let output = validate(config, Some(&identity::KeyPair::generate()?.private_pem))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
