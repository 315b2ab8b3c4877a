//! The shipped JSON Schema is the one that the configuration's types give, and judges as they do. `UPDATE=1` writes it
//! anew.
#![cfg(feature = "schema")]

#[path = "support/schema.rs"]
mod support;

use std::fs;
use std::path::Path;

use authn::config::Config;
use serde_json::{Value, json};

use self::support::{camel_case, check, generated};

#[test]
fn the_shipped_schema_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/filter.schema.json");
    let generated = generated();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{generated:#}\n")).unwrap();
    }
    let shipped: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(shipped == generated, "docs/filter.schema.json is old; run: UPDATE=1 cargo test -p authn --test schema");
}

/// Every object says what it may hold, so that an editor finds a mistyped name as the filter does.
#[test]
fn every_object_is_closed() {
    let schema = generated();
    let types: Vec<_> = schema["$defs"].as_object().unwrap().values().chain([&schema]).collect();
    let objects: Vec<_> = types.into_iter().filter(|schema| schema["type"] == "object").collect();
    assert!(objects.len() > 20);
    for object in objects {
        assert_eq!(object["additionalProperties"], json!(false), "{object}");
    }
}

/// A configuration of jwt_authn as programs print it that turn protobuf into JSON: camel case, defaults left out.
const PRINTED: &str = r#"{
  "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
  "providers": {
    "my_idp": {
      "issuer": "https://idp.example.com",
      "audiences": ["my-service"],
      "subjects": {"safeRegex": {"googleRe2": {}, "regex": "team-.*"}},
      "requireExpiration": true,
      "maxLifetime": "3600s",
      "remoteJwks": {
        "httpUri": {"uri": "https://idp.example.com/jwks", "cluster": "idp", "timeout": "5s"},
        "cacheDuration": "0.500s",
        "asyncFetch": {"fastListener": true, "failedRefetchDuration": "2s"},
        "retryPolicy": {"retryBackOff": {"baseInterval": "0.010s", "maxInterval": "1s"}, "numRetries": 3}
      },
      "fromHeaders": [{"name": "x-jwt", "valuePrefix": "jwt="}],
      "fromParams": ["jwt"],
      "fromCookies": ["session"],
      "forwardPayloadHeader": "x-payload",
      "padForwardPayloadHeader": true,
      "clockSkewSeconds": 30,
      "jwtCacheConfig": {"jwtCacheSize": 500, "jwtMaxTokenSize": 8192},
      "claimToHeaders": [
        {"headerName": "x-team", "claimName": "team"},
        {"headerName": "x-pod", "claimPath": [{"key": "kubernetes.io"}, {"key": "pod"}]}
      ],
      "clearRouteCache": true
    }
  },
  "rules": [
    {"match": {"path": "/healthz"}},
    {"match": {"pathSeparatedPrefix": "/named"}, "requirementName": "some_rule"},
    {"match": {"safeRegex": {"regex": "/v[0-9]+/.*"}}, "requires": {"providerName": "my_idp"}},
    {"match": {"prefix": "/admin", "caseSensitive": false},
     "requires": {"providerAndAudiences": {"providerName": "my_idp", "audiences": ["admin"]}}},
    {"match": {"prefix": "/"},
     "requires": {"requiresAny": {"requirements": [{"providerName": "my_idp"}, {"allowMissing": {}}]}}}
  ],
  "requirementMap": {"some_rule": {"allowMissingOrFailed": {}}},
  "bypassCorsPreflight": true,
  "stripFailureResponse": true,
  "statPrefix": "api"
}"#;

/// The same with every name of a field as the proto files have it.
fn snake_case(text: &str) -> String {
    let mut snake = String::new();
    for part in text.split_inclusive('"') {
        // What stands before `": ` is a name; values with capitals are not here.
        let is_url = part.contains("://") || part.contains("googleapis");
        let letter = |letter: char| match letter {
            'A'..='Z' if !is_url => format!("_{}", letter.to_ascii_lowercase()),
            other => other.to_string(),
        };
        snake.extend(part.chars().map(letter));
    }
    snake
}

#[test]
fn a_configuration_in_either_spelling_is_valid_and_loads() {
    let schema = generated();
    let snake = snake_case(PRINTED);
    assert!(snake.contains("\"jwt_max_token_size\"") && !snake.contains("valuePrefix"), "{snake}");
    for text in [PRINTED, &snake] {
        let value: Value = serde_json::from_str(text).unwrap();
        check(&schema, &schema, &value).unwrap();
        authn::Gate::new(Config::parse(text.as_bytes()).unwrap(), |_| None).unwrap();
    }
}

#[test]
fn what_the_filter_refuses_to_read_is_not_valid_either() {
    let schema = generated();
    let uri = json!({"uri": "https://h/j", "cluster": "c"});
    for (bad, why) in [
        (json!({"provider": {}}), "an unknown field"),
        (json!({"providers": {"p": {}}}), "no issuer"),
        (json!({"providers": {"p": {"issuer": 7}}}), "not a text"),
        (json!({"providers": {"p": {"issuer": "i", "claimToHeaders": [{"claimName": "a"}]}}}), "no header"),
        (json!({"providers": {"p": {"issuer": "i", "remoteJwks": {"discovery": {}}}}}), "no URL"),
        (json!({"providers": {"p": {"issuer": "i", "remoteJwks": {"httpUri": uri, "maxSize": -1}}}}), "negative"),
        (json!({"providers": {"p": {"issuer": "i", "allowedAlgorithms": ["HS256"]}}}), "no such algorithm"),
        (json!({"rules": [{"match": {"prefix": "/"}, "requires": {"provider": "p"}}]}), "an unknown field within"),
        (json!({"rules": {}}), "not a list"),
        (json!([]), "not an object"),
    ] {
        assert!(check(&schema, &schema, &bad).is_err(), "{why}: {bad}");
        assert!(Config::parse(bad.to_string().as_bytes()).is_err(), "{why}: {bad}");
    }
    assert_eq!(camel_case("pad_forward_payload_header"), "padForwardPayloadHeader");
}
