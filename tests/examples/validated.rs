//! The examples for plain Envoy.

use serde_json::json;

use crate::example::{accepted, check_clusters, check_plugin, document, plugin, validate, with_plugin};

const EXAMPLES: [&str; 2] = ["filter-alone.yaml", "several-issuers.yaml"];

#[test]
fn envoy_accepts_every_example() -> anyhow::Result<()> {
    for name in EXAMPLES {
        accepted(document(name)?)?;
    }
    Ok(())
}

#[test]
fn the_way_to_every_issuer_is_safe() -> anyhow::Result<()> {
    for name in EXAMPLES {
        let example = document(name)?;
        let plugin = plugin(&example)?;
        check_plugin(&plugin)?;
        check_clusters(&plugin, &example["static_resources"]["clusters"])?;
    }
    Ok(())
}

/// Or else the tests above would show nothing: validation loads the module and has it read its configuration.
#[test]
fn validation_finds_a_broken_plugin_configuration() -> anyhow::Result<()> {
    let mut example = document("filter-alone.yaml")?;
    with_plugin(&mut example, &mut |text| text.replace("\"audiences\"", "\"audience\""));
    let output = validate(example, None)?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(!output.status.success());
    assert!(errors.contains("configuration refused: providers.idp.audience: unknown field"), "{errors}");
    Ok(())
}

#[test]
fn validation_finds_a_missing_signing_key() -> anyhow::Result<()> {
    let output = validate(document("several-issuers.yaml")?, None)?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(!output.status.success());
    assert!(errors.contains("the VM has no variable IDENTITY_SIGNING_KEY"), "{errors}");
    Ok(())
}

/// What the troubleshooting table says of a configuration in YAML.
#[test]
fn a_struct_is_not_read() -> anyhow::Result<()> {
    let mut example = document("filter-alone.yaml")?;
    let configuration = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": plugin(&example)?});
    crate::example::each_object(&mut example, &mut |object| {
        if let Some(place) = object.get_mut("configuration") {
            *place = configuration.clone();
        }
    });
    let errors = String::from_utf8(validate(example, None)?.stderr)?;
    assert!(errors.contains("configuration refused: .: expected value at line 2 column 1"), "{errors}");
    Ok(())
}

/// Each issuer is written as it writes itself, and its keys come from its own host.
#[test]
fn the_issuers_are_those_of_the_products() -> anyhow::Result<()> {
    let plugin = plugin(&document("several-issuers.yaml")?)?;
    let tenant = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000";
    for (name, issuer, keys) in [
        ("github", "https://token.actions.githubusercontent.com".to_owned(), "/.well-known/jwks"),
        ("google", "https://accounts.google.com".to_owned(), "/.well-known/openid-configuration"),
        ("entra", format!("{tenant}/v2.0"), "/discovery/v2.0/keys"),
        ("okta", "https://acme.okta.com/oauth2/default".to_owned(), "/v1/keys"),
        ("auth0", "https://acme.eu.auth0.com/".to_owned(), "/.well-known/jwks.json"),
        ("keycloak", "https://keycloak.example.com/realms/acme".to_owned(), "/protocol/openid-connect/certs"),
        ("kubernetes", "https://kubernetes.default.svc.cluster.local".to_owned(), "/openid/v1/jwks"),
    ] {
        let provider = &plugin["providers"][name];
        assert_eq!(provider["issuer"], json!(issuer), "{name}");
        assert!(provider["audiences"].as_array().is_some_and(|audiences| audiences.len() == 1), "{name}");
        let remote = &provider["remote_jwks"];
        let uri = remote.pointer("/http_uri/uri").or(remote.pointer("/discovery/http_uri/uri"));
        let uri = uri.and_then(serde_json::Value::as_str).unwrap_or_default();
        assert!(uri.starts_with("https://") && uri.ends_with(keys), "{name}: {uri}");
        if name != "kubernetes" && name != "entra" {
            let issuer = issuer.trim_end_matches('/');
            assert_eq!(uri, format!("{issuer}{keys}"), "{name}");
        }
    }
    Ok(())
}
