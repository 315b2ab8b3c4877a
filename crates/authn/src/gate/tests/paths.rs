//! Which paths need a token, however they are written.

use super::*;

#[test]
fn public_paths_need_no_token_and_unknown_ones_are_denied() {
    let mut world = World::new(&configuration(&Issuer::new(Algorithm::ES256, "k"))).unwrap();
    assert_eq!(world.pass(&[(":path", "/health")]), Ok(None));
    assert_eq!(world.pass(&[(":path", "/public/x")]), Ok(None));
    for path in ["/", "/healthz", "/health/", "/API/x", "/api", "", "*"] {
        assert_eq!(world.pass(&[(":path", path)]), Err(Refusal::NoRule), "{path}");
    }
    assert_eq!(world.pass(&[]), Err(Refusal::NoRule));
}

#[test]
fn no_spelling_of_a_protected_path_reaches_a_public_rule() {
    let mut world = World::new(&configuration(&Issuer::new(Algorithm::ES256, "k"))).unwrap();
    for path in
        ["/public/../api/x", "/public/%2e%2e/api/x", "/public/..%2fapi/x", "/public/..%5capi/x", "//api/x", "/%61pi/x"]
    {
        assert_eq!(world.pass(&[(":path", path)]), Err(Refusal::Missing), "{path}");
    }
    for path in ["/public/./x", "/public//x", "/public/%2fx", "/api/../health", "/public/%252e%252e/api/x"] {
        assert_eq!(world.pass(&[(":path", path)]), Err(Refusal::NoRule), "{path}");
    }
}

#[test]
fn a_preflight_passes_without_a_token_when_it_may_and_is_one() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    let preflight = [
        (":path", "/api/x"),
        (":method", "OPTIONS"),
        ("origin", "https://a"),
        ("access-control-request-method", "PUT"),
    ];
    assert_eq!(World::new(&configuration).unwrap().pass(&preflight), Err(Refusal::Missing));
    configuration["bypass_cors_preflight"] = json!(true);
    let mut world = World::new(&configuration).unwrap();
    assert_eq!(world.pass(&preflight), Ok(None));
    assert_eq!(world.pass(&preflight[..3]), Err(Refusal::Missing));
}

#[test]
fn a_path_with_two_readings_does_not_reach_a_rule_that_a_missing_token_passes() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    configuration["rules"][0] = json!({"match": {"prefix": "/"}, "requires": {"allow_missing": {}}});
    let mut world = World::new(&configuration).unwrap();
    assert_eq!(world.pass(&[(":path", "/x")]), Ok(Some(vec![])));
    assert_eq!(world.pass(&[(":path", "/x/../api/y")]), Err(Refusal::NoRule));
}

/// As it came, which is how jwt_authn takes it, the path is under the rule for all.
#[test]
fn a_path_that_another_protected_rule_names_is_refused() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    let all = json!({"match": {"prefix": "/"}, "requires": {"provider_name": "main"}});
    configuration["rules"].as_array_mut().unwrap().push(all);
    let mut world = World::new(&configuration).unwrap();
    for path in ["/%70ublic/x", "/he%61lth"] {
        assert_eq!(world.pass(&[(":path", path)]), Err(Refusal::NoRule), "{path}");
    }
    assert_eq!(world.pass(&[(":path", "/public/a%20b")]), Ok(None));
    assert!(world.get("/%61pi/x", &issuer.sign(&claims())).is_ok(), "both rules ask for the same");
}
