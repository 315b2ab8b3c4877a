//! Stories of whole requests through a configured gate.

mod memory;
mod paths;

use super::*;
use crate::algorithm::Algorithm;
use crate::signature::PureRust;
use crate::testing::{ISSUER, Issuer, NOW, claims};
use serde_json::{Value, json};

struct World {
    gate: Gate,
    worker: Worker,
    now: u64,
}

type Passed = Result<Option<Vec<(String, String)>>, Refusal>;

impl World {
    fn new(configuration: &Value) -> Result<Self, ConfigError> {
        let config = Config::parse(configuration.to_string().as_bytes())?;
        let key = identity::KeyPair::generate().unwrap().private_pem;
        let gate = Gate::new(config, |name| (name == "IDENTITY_SIGNING_KEY").then(|| key.clone()))?;
        let worker = gate.worker(Box::new(PureRust))?;
        Ok(Self { gate, worker, now: NOW * 1000 })
    }

    fn judge(&mut self, list: &[(&str, &str)]) -> Result<Verdict<'_>, Denied> {
        self.gate.judge(&headers(list), &mut self.worker, self.now)
    }

    /// What the upstream is told; nothing on a public path.
    fn pass(&mut self, list: &[(&str, &str)]) -> Passed {
        Ok(match self.judge(list).map_err(|denied| denied.refusal)? {
            Verdict::Public => None,
            Verdict::Verified(changes) => {
                let rest = changes.rest.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap()));
                let set = changes.set.into_iter().map(|(name, value)| (name, value.to_string()));
                Some(rest.chain(set).map(|(name, value)| (name.to_owned(), value)).collect())
            }
        })
    }

    fn get(&mut self, path: &str, token: &str) -> Passed {
        self.pass(&[(":path", path), ("authorization", &format!("Bearer {token}"))])
    }
}

fn headers<'h>(list: &[(&'h str, &'h str)]) -> Headers<'h> {
    list.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn value<'s>(set: &'s [(String, String)], name: &str) -> Option<&'s str> {
    set.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

fn provider(issuer: &Issuer) -> Value {
    json!({
        "issuer": ISSUER,
        "audiences": ["runners"],
        "local_jwks": {"inline_string": json!({"keys": [issuer.jwk]}).to_string()},
        "claim_to_headers": [{"header_name": "x-claim-team", "claim_name": "team"}],
    })
}

fn configuration(issuer: &Issuer) -> Value {
    json!({
        "providers": {"main": provider(issuer)},
        "rules": [
            {"match": {"path": "/health"}},
            {"match": {"prefix": "/api/"}, "requires": {"provider_name": "main"}},
            {"match": {"prefix": "/public/"}},
        ],
        "identity": {"assertion": {"claims": ["*"]}},
    })
}

fn with(name: &str, claim: Value) -> Value {
    let mut all = claims();
    all[name] = claim;
    all
}

#[test]
fn a_verified_request_is_told_apart_from_what_its_client_said() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let mut world = World::new(&configuration(&issuer)).unwrap();
    let token = issuer.sign(&with("team", json!("blue")));
    let bearer = format!("Bearer {token}");
    let Verdict::Verified(changes) =
        world.judge(&[(":path", "/api/v1/runners?x=1"), ("authorization", &bearer)]).unwrap()
    else {
        panic!("verified");
    };
    assert_eq!(changes.remove, ["authorization"]);
    let set = world.get("/api/v1/runners?x=1", &token).unwrap().unwrap();
    assert_eq!(value(&set, "x-auth-issuer"), Some(ISSUER));
    assert_eq!(value(&set, "x-auth-subject"), Some("machine-7"));
    assert_eq!(value(&set, "x-auth-identity"), Some("machine-7"));
    assert_eq!(value(&set, "x-claim-team"), Some("blue"));
    assert_eq!(value(&set, "x-identity-assertion").unwrap().split('.').count(), 3);
}

#[test]
fn every_header_that_the_gate_sets_is_first_taken_from_the_client() {
    let issuer = Issuer::new(Algorithm::ES256, "k");
    let mut configuration = configuration(&issuer);
    configuration["providers"]["main"]["forward_payload_header"] = json!("X-Payload");
    let mut world = World::new(&configuration).unwrap();
    let set = world.get("/api/x", &issuer.sign(&with("team", json!("blue")))).unwrap().unwrap();
    assert_eq!(set.len(), 6);
    for (name, _) in set {
        assert_eq!(world.gate.forged_headers(&headers(&[(&name, "forged")])).len(), 1, "{name}");
    }
}

#[test]
fn a_second_authorization_header_is_refused_whatever_it_says() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut world = World::new(&configuration(&issuer)).unwrap();
    let bearer = format!("Bearer {}", issuer.sign(&claims()));
    for other in [bearer.as_str(), "Basic QQ==", ""] {
        let request = [(":path", "/api/x"), ("authorization", &bearer), ("Authorization", other)];
        assert_eq!(world.pass(&request), Err(Refusal::Ambiguous));
    }
}

#[test]
fn a_claim_that_can_not_be_a_header_refuses_the_request() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut world = World::new(&configuration(&issuer)).unwrap();
    for (name, claim) in [
        ("team", json!("a\r\nx-auth-subject: admin")),
        ("team", json!({"a": "b"})),
        ("team", json!(null)),
        ("sub", json!("admin ")),
        ("sub", json!("a\nb")),
        ("email", json!("a@example.com\0")),
    ] {
        let token = issuer.sign(&with(name, claim));
        assert_eq!(world.get("/api/x", &token), Err(Refusal::ClaimValue), "{name}");
    }
}

#[test]
fn a_claim_that_can_not_be_a_header_may_be_left_out_instead() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    configuration["providers"]["main"]["claim_to_headers"][0]["omit_invalid"] = json!(true);
    let mut world = World::new(&configuration).unwrap();
    let set = world.get("/api/x", &issuer.sign(&with("team", json!({"a": "b"})))).unwrap().unwrap();
    assert_eq!(value(&set, "x-claim-team"), None);
    assert!(value(&set, "x-identity-assertion").is_some());
}

#[test]
fn without_keys_a_good_token_lacks_them_and_a_bad_one_is_refused() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut world = World::new(&configuration(&issuer)).unwrap();
    world.worker.sources = vec![KeySource::remote(crate::KeySettings::default())];
    let mut judge = |claims: &Value| {
        let bearer = format!("Bearer {}", issuer.sign(claims));
        world.judge(&[(":path", "/api/x"), ("authorization", &bearer)]).err().unwrap()
    };
    let lacking = vec![(0, Some("k".to_owned()))];
    assert_eq!(judge(&claims()), Denied { refusal: Refusal::NoKeys, lacking });
    assert_eq!(judge(&with("exp", json!(1))), Refusal::Expired.into());
    assert_eq!(judge(&with("aud", json!("x"))), Refusal::Audience.into());
}

#[test]
fn forwarded_claims_are_those_configured() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let pair = identity::KeyPair::generate().unwrap();
    let mut configuration = configuration(&issuer);
    configuration["identity"]["assertion"]["claims"] = json!(["team"]);
    let mut world = World::new(&configuration).unwrap();
    let config = Config::parse(configuration.to_string().as_bytes()).unwrap();
    world.gate = Gate::new(config, |_| Some(pair.private_pem.clone())).unwrap();
    let set = world.get("/api/x", &issuer.sign(&with("team", json!("blue")))).unwrap().unwrap();
    let assertion = value(&set, "x-identity-assertion").unwrap();
    let caller = identity::Verifier::new(&pair.public_pem, "runner-tokens").unwrap().verify(assertion, NOW).unwrap();
    assert_eq!(Value::Object(caller.claims), json!({"team": "blue"}));
    assert_eq!(caller.principal.issuer, ISSUER);
}

#[test]
fn a_token_is_taken_out_of_the_query_unless_it_is_forwarded() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    configuration["providers"]["main"]["from_params"] = json!(["jwt"]);
    let path = format!("/api/x?a=b&jwt={}", issuer.sign(&claims()));
    for (forward, expected) in [(false, Some("/api/x?a=b")), (true, None)] {
        configuration["providers"]["main"]["forward"] = json!(forward);
        let set = World::new(&configuration).unwrap().pass(&[(":path", &path)]).unwrap().unwrap();
        assert_eq!(value(&set, ":path"), expected);
    }
}

#[test]
fn claims_and_scopes_of_a_rule_are_asked_for() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    configuration["rules"][1]["required_claims"] = json!({"team": "blue"});
    configuration["rules"][1]["required_scopes"] = json!(["runners:write"]);
    let mut world = World::new(&configuration).unwrap();
    let mut all = with("team", json!(["red", "blue"]));
    assert_eq!(world.get("/api/x", &issuer.sign(&all)), Err(Refusal::Scope));
    all["scope"] = json!("runners:read runners:write");
    assert!(world.get("/api/x", &issuer.sign(&all)).is_ok());
    all["team"] = json!("red");
    assert_eq!(world.get("/api/x", &issuer.sign(&all)), Err(Refusal::Claim));
}

#[test]
fn a_named_requirement_and_subjects_are_resolved() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    configuration["requirement_map"] = json!({"mine": {"provider_name": "main"}});
    configuration["rules"][1] = json!({"match": {"prefix": "/api/"}, "requirement_name": "mine"});
    configuration["providers"]["main"]["subjects"] = json!({"prefix": "machine-"});
    let mut world = World::new(&configuration).unwrap();
    assert!(world.get("/api/x", &issuer.sign(&claims())).is_ok());
    assert_eq!(world.get("/api/x", &issuer.sign(&with("sub", json!("person-1")))), Err(Refusal::Subject));
}

#[test]
fn a_configuration_that_can_not_hold_is_refused_with_its_path() {
    type Change<'c> = &'c dyn Fn(&mut Value);
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let path = |change: Change<'_>| {
        let mut configuration = configuration(&issuer);
        change(&mut configuration);
        World::new(&configuration).err().map(|error| error.path)
    };
    let cases: [(&str, Change<'_>); 23] = [
        ("providers.main.issuer", &|all| all["providers"]["main"]["issuer"] = json!("")),
        ("providers.main", &|all| all["providers"]["main"]["local_jwks"] = json!(null)),
        ("providers.main.local_jwks", &|all| all["providers"]["main"]["local_jwks"]["inline_string"] = json!("{}")),
        ("providers.main.local_jwks", &|all| all["providers"]["main"]["local_jwks"] = json!({})),
        ("providers.main.claim_to_headers[0].header_name", &|all| {
            all["providers"]["main"]["claim_to_headers"][0]["header_name"] = json!(":path");
        }),
        ("providers.main.claim_to_headers", &|all| {
            all["providers"]["main"]["claim_to_headers"][0]["header_name"] = json!("X-Auth-Subject");
        }),
        ("providers.main.allowed_algorithms", &|all| all["providers"]["main"]["allowed_algorithms"] = json!([])),
        ("providers.main.from_headers[0].name", &|all| {
            all["providers"]["main"]["from_headers"] = json!([{"name": "a b"}]);
        }),
        ("rules[0].match", &|all| all["rules"][0]["match"]["prefix"] = json!("/")),
        ("rules[1].requires.provider_name", &|all| all["rules"][1]["requires"]["provider_name"] = json!("nobody")),
        ("rules[1].requirement_name", &|all| {
            all["rules"][1] = json!({"match": {"path": "/"}, "requirement_name": "x"});
        }),
        ("rules[0].requires", &|all| all["rules"][0]["required_scopes"] = json!(["a"])),
        ("identity.headers.subject", &|all| all["identity"]["headers"] = json!({"subject": "Host"})),
        ("identity.assertion.lifetime", &|all| all["identity"]["assertion"]["lifetime"] = json!("61s")),
        ("identity.assertion.signing_key_env", &|all| {
            all["identity"]["assertion"]["signing_key_env"] = json!("OTHER");
        }),
        ("allowed_algorithms", &|all| all["allowed_algorithms"] = json!([])),
        ("providers.main.clock_skew_seconds", &|all| all["providers"]["main"]["clock_skew_seconds"] = json!(3601)),
        ("providers.main.claim_to_headers[1].header_name", &|all| {
            let again = json!({"header_name": "X_Claim-Team", "claim_name": "other"});
            all["providers"]["main"]["claim_to_headers"].as_array_mut().unwrap().push(again);
        }),
        ("providers.main.claim_to_headers[0].header_name", &|all| {
            all["providers"]["main"]["forward_payload_header"] = json!("x-claim-team");
        }),
        ("stat_prefix", &|all| all["stat_prefix"] = json!("a b")),
        ("providers.main.claim_to_headers[0]", &|all| {
            all["providers"]["main"]["claim_to_headers"][0]["claim_path"] = json!([{"key": "team"}]);
        }),
        ("providers.main.claim_to_headers[0]", &|all| {
            all["providers"]["main"]["claim_to_headers"] = json!([{"header_name": "x-team"}]);
        }),
        ("providers.main.claim_to_headers[0].claim_path[1].key", &|all| {
            let path = json!([{"key": "a"}, {"key": ""}]);
            all["providers"]["main"]["claim_to_headers"] = json!([{"header_name": "x-team", "claim_path": path}]);
        }),
    ];
    for (expected, change) in cases {
        assert_eq!(path(change).as_deref(), Some(expected));
    }
}

/// A rule for any of many issuers judges a token, new or remembered, as a rule for its own issuer would.
#[test]
fn among_many_issuers_a_token_is_judged_by_those_that_it_names() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    let named = |number: usize| json!({"provider_name": format!("p{number:03}")});
    for number in 0..200 {
        let mut one = provider(&issuer);
        one["issuer"] = json!(format!("https://issuer-{number}.example.com"));
        configuration["providers"][format!("p{number:03}")] = one;
    }
    // Two share the issuer and differ in their audience.
    for (number, audience) in [(20, "others"), (150, "runners")] {
        configuration["providers"][format!("p{number:03}")]["issuer"] = json!(ISSUER);
        configuration["providers"][format!("p{number:03}")]["audiences"] = json!([audience]);
    }
    let members: Vec<Value> = (0..200).map(named).collect();
    let any = json!({"requires_any": {"requirements": members}});
    configuration["rules"][1] = json!({"match": {"prefix": "/api/"}, "requires": any});
    let mut world = World::new(&configuration).unwrap();
    for token in [issuer.sign(&claims()), issuer.sign(&with("aud", json!("others")))] {
        let first = world.get("/api/x", &token).unwrap();
        assert_eq!(world.get("/api/x", &token).unwrap(), first);
    }
    assert_eq!(world.worker.memory.take_counts().0, 2);
    for (claims, refusal) in [
        (with("iss", json!("https://nobody.example.com")), Refusal::Issuer),
        (with("iss", json!(null)), Refusal::Issuer),
        (with("aud", json!("nobody")), Refusal::Audience),
        (with("exp", json!(1)), Refusal::Expired),
    ] {
        assert_eq!(world.get("/api/x", &issuer.sign(&claims)), Err(refusal), "{claims}");
    }
    assert_eq!(world.get("/api/x", "a.b.c"), Err(Refusal::Malformed));
    assert_eq!(world.pass(&[(":path", "/api/x")]), Err(Refusal::Missing));
}

#[test]
fn the_payload_is_passed_on_as_it_came() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    configuration["providers"]["main"]["forward_payload_header"] = json!("x-payload");
    let token = issuer.sign(&with("team", json!("a")));
    let payload = token.split('.').nth(1).unwrap();
    for (padded, expected) in
        [(false, payload.to_owned()), (true, format!("{payload:=<0$}", payload.len().div_ceil(4) * 4))]
    {
        configuration["providers"]["main"]["pad_forward_payload_header"] = json!(padded);
        let set = World::new(&configuration).unwrap().get("/api/x", &token).unwrap().unwrap();
        assert_eq!(value(&set, "x-payload"), Some(expected.as_str()));
    }
}

/// RFC 8725 section 3.1. Each provider has its own list; one that has none has the list of all.
#[test]
fn each_provider_takes_the_algorithms_on_its_list_alone() {
    let (elliptic, edwards) = (Issuer::new(Algorithm::ES256, "ec"), Issuer::new(Algorithm::EdDSA, "ed"));
    let keys = json!({"keys": [elliptic.jwk, edwards.jwk]}).to_string();
    let mut configuration = configuration(&elliptic);
    configuration["providers"]["main"]["local_jwks"]["inline_string"] = json!(keys);
    for (all, own, takes_elliptic, takes_edwards) in [
        (json!(["ES256", "EdDSA"]), json!(null), true, true),
        (json!(["ES256", "EdDSA"]), json!(["ES256"]), true, false),
        (json!(["ES256"]), json!(["EdDSA"]), false, true),
        (json!(["RS256"]), json!(null), false, false),
    ] {
        configuration["allowed_algorithms"] = all;
        configuration["providers"]["main"]["allowed_algorithms"] = own;
        let mut world = World::new(&configuration).unwrap();
        for (issuer, taken) in [(&elliptic, takes_elliptic), (&edwards, takes_edwards)] {
            let outcome = world.get("/api/x", &issuer.sign(&claims())).map(drop);
            assert_eq!(outcome, if taken { Ok(()) } else { Err(Refusal::Algorithm) }, "{configuration:#}");
        }
    }
}

#[test]
fn a_nested_claim_is_reached_by_dots_and_by_a_path() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k");
    let mut configuration = configuration(&issuer);
    configuration["providers"]["main"]["claim_to_headers"] = json!([
        {"header_name": "x-roles", "claim_name": "realm.roles"},
        {"header_name": "x-pod", "claim_path": [{"key": "kubernetes.io"}, {"key": "pod"}]},
    ]);
    let mut all = with("realm", json!({"roles": ["a", "b"]}));
    all["kubernetes.io"] = json!({"pod": 7});
    let set = World::new(&configuration).unwrap().get("/api/x", &issuer.sign(&all)).unwrap().unwrap();
    assert_eq!((value(&set, "x-roles"), value(&set, "x-pod")), (Some("a,b"), Some("7")));
}

/// Under a rule that may lack a token, one of nobody is refused wherever it stands, whatever good one stands elsewhere.
#[test]
fn a_good_token_does_not_make_up_for_a_foreign_one_in_another_place() {
    let (issuer, other) = (Issuer::new(Algorithm::EdDSA, "k"), Issuer::new(Algorithm::EdDSA, "k"));
    let mut configuration = configuration(&issuer);
    configuration["providers"]["other"] = provider(&other);
    configuration["providers"]["other"]["issuer"] = json!("https://other.example");
    configuration["providers"]["other"]["from_headers"] = json!([{"name": "x-jwt"}]);
    configuration["providers"]["shared"] = provider(&issuer);
    configuration["providers"]["shared"]["from_headers"] = json!([{"name": "x-jwt"}, {"name": "x-raw"}]);
    configuration["rules"][1] = json!({"match": {"prefix": "/api/"}, "requires": {"allow_missing": {}}});
    let mut world = World::new(&configuration).unwrap();
    let good = other.sign(&with("iss", json!("https://other.example")));
    let mine = issuer.sign(&claims());
    let foreign = issuer.sign(&with("iss", json!("https://nobody.example")));
    let mut outcome = |bearer: &str, header: &str| {
        let bearer = format!("Bearer {bearer}");
        world.pass(&[(":path", "/api/x"), ("authorization", &bearer), ("x-jwt", header)]).map(drop)
    };
    assert_eq!(outcome(&mine, &good), Ok(()));
    assert_eq!(outcome(&mine, &mine), Ok(()), "found by two providers, of which one knows its issuer");
    assert_eq!(outcome(&foreign, &good), Err(Refusal::Issuer));
    assert_eq!(outcome(&mine, &foreign), Err(Refusal::Issuer));
    assert_eq!(outcome(&good, &good), Err(Refusal::Issuer), "its provider does not look there");
}
