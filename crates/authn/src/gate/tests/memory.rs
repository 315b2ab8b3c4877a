//! What a remembered token, or a remembered assertion, is still asked for.

use super::*;

#[test]
fn a_remembered_token_still_expires_and_still_has_its_audience_checked() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    let other = json!({"provider_and_audiences": {"provider_name": "main", "audiences": ["others"]}});
    configuration["rules"][0] = json!({"match": {"prefix": "/api/others"}, "requires": other});
    let mut world = World::new(&configuration).unwrap();
    let token = issuer.sign(&claims());
    assert!(world.get("/api/x", &token).is_ok());
    assert_eq!(world.worker.memory.len(), 1);
    assert_eq!(world.get("/api/others", &token), Err(Refusal::Audience));
    world.now += 300_000 + 60_000;
    assert!(world.get("/api/x", &token).is_ok());
    world.now += 1000;
    assert_eq!(world.get("/api/x", &token), Err(Refusal::Expired));
    assert!(world.worker.memory.is_empty());
}

#[test]
fn a_removed_key_is_noticed_at_once_although_the_token_was_remembered() {
    let (issuer, other) = (Issuer::new(Algorithm::EdDSA, "k"), Issuer::new(Algorithm::EdDSA, "new"));
    let mut world = World::new(&configuration(&issuer)).unwrap();
    let document = |issuer: &Issuer| json!({"keys": [issuer.jwk]}).to_string().into_bytes();
    let mut source = KeySource::remote(crate::KeySettings::default());
    source.finished(Ok((&document(&issuer), None)), world.now, 0).unwrap();
    world.worker.sources = vec![source];
    let token = issuer.sign(&claims());
    assert!(world.get("/api/x", &token).is_ok());
    world.worker.sources[0].finished(Ok((&document(&other), None)), world.now, 0).unwrap();
    assert_eq!(world.get("/api/x", &token), Err(Refusal::UnknownKey));
}

#[test]
fn an_assertion_is_signed_once_and_anew_when_half_of_its_life_is_over() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut world = World::new(&configuration(&issuer)).unwrap();
    let token = issuer.sign(&claims());
    let mut assertion = |after: u64| {
        world.now = (NOW + after) * 1000;
        let set = world.get("/api/x", &token).unwrap().unwrap();
        value(&set, "x-identity-assertion").unwrap().to_owned()
    };
    let first = assertion(0);
    assert_eq!(assertion(29), first);
    assert_ne!(assertion(30), first);
}

#[test]
fn two_tokens_alike_but_for_their_end_are_not_confused() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut world = World::new(&configuration(&issuer)).unwrap();
    let token = issuer.sign(&claims());
    assert!(world.get("/api/x", &token).is_ok());
    let mut forged = token.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    assert_eq!(world.get("/api/x", &forged), Err(Refusal::Signature));
}

#[test]
fn a_remembered_token_still_has_its_claims_checked_by_each_rule() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    let strict = json!({
        "match": {"prefix": "/api/strict"}, "requires": {"provider_name": "main"}, "required_claims": {"team": "blue"},
    });
    configuration["rules"].as_array_mut().unwrap().insert(0, strict);
    let mut world = World::new(&configuration).unwrap();
    for (team, expected) in [("blue", true), ("red", false)] {
        let token = issuer.sign(&with("team", json!(team)));
        for _ in 0..2 {
            assert!(world.get("/api/x", &token).is_ok());
            assert_eq!(world.get("/api/strict", &token).is_ok(), expected, "{team}");
        }
    }
}

#[test]
fn a_token_that_is_longer_than_configured_is_not_remembered() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    let token = issuer.sign(&claims());
    for (longest, remembered) in [(token.len(), 1), (token.len() - 1, 0), (0, 1)] {
        configuration["providers"]["main"]["jwt_cache_config"] = json!({"jwt_max_token_size": longest});
        let mut world = World::new(&configuration).unwrap();
        assert!(world.get("/api/x", &token).is_ok());
        assert_eq!(world.worker.memory.len(), remembered, "{longest}");
    }
}
