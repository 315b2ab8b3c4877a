//! What policies say, as tables.

use identity::Identity;
use serde_json::{Value, json};

use super::{Decision, Defaults, Policy, ProvisionRequest, identity_of};

const GITHUB: &str = "https://token.actions.githubusercontent.com";

pub(super) const ACME: &str = r#"
version: 1
rules:
  - name: acme
    match:
      iss: https://token.actions.githubusercontent.com
      claims:
        repository_owner_id: "1234"
        sub: {glob: "repo:acme/*"}
        environment: {in: [prod, staging]}
    owner: {claim: repository_id}
    grant:
      targets: [org:acme-partners, "repo:acme/*"]
      runner_groups: [1, gpu-pool]
      labels: [gpu, "linux-*", self-hosted, "self-hosted*"]
      modes: [jit]
      ephemeral_only: true
      name_prefix: acme-
      limits: {active: 20, pending: 5, per_hour: 100}
  - name: machines
    match: {iss: https://idp.example.com, claims: {groups: machines}}
    owner: platform
    grant: {targets: [org:acme], labels: ["lin*", "x*", "ubuntu*"], disable_update: false}
  - name: operators
    match: {iss: https://idp.example.com, claims: {groups: runner-admins}}
    grant: {admin: true}
"#;

pub(super) fn policy(text: &str) -> Policy {
    Policy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn caller(claims: Value) -> Identity {
    identity_of(claims.as_object().unwrap().clone()).unwrap()
}

fn workflow() -> Value {
    json!({
        "iss": GITHUB, "sub": "repo:acme/app:ref:refs/heads/main", "repository_owner_id": "1234",
        "repository_id": "77", "environment": "prod",
    })
}

fn machine() -> Value {
    json!({"iss": "https://idp.example.com", "sub": "m7", "groups": ["staff", "machines"]})
}

/// The JSON with members replaced; null takes one away.
pub(super) fn with(mut base: Value, changes: Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap().clone() {
        if value.is_null() {
            members.remove(&name)
        } else {
            members.insert(name, value)
        };
    }
    base
}

pub(super) fn decide(policy: &Policy, claims: Value, body: Value) -> Decision {
    let defaults = Defaults { target: "org:acme".parse().unwrap(), runner_group_id: 1 };
    let request: ProvisionRequest = serde_json::from_value(body).unwrap();
    let mut wish = request.complete(&defaults).unwrap();
    if wish.runner_group_id == 5 {
        wish.group_name = Some("gpu-pool".to_owned());
    }
    policy.decide(&caller(claims), &wish, &defaults)
}

#[test]
fn each_part_of_a_grant_is_needed() {
    let policy = policy(ACME);
    let good = json!({"runner_name": "acme-1", "target": "org:acme-partners", "mode": "jit", "labels": ["gpu"]});
    for (changes, expected) in [
        (json!({}), None),
        (json!({"target": "org:Acme-Partners"}), None),
        (json!({"target": "repo:acme/app"}), None),
        (json!({"target": "repo:acme-evil/app"}), Some("target repo:acme-evil/app is not granted")),
        (json!({"target": null}), Some("target org:acme is not granted")),
        (json!({"target": "enterprise:acme-partners"}), Some("target enterprise:acme-partners is not granted")),
        (json!({"runner_group_id": 5}), None),
        (json!({"runner_group_id": 6}), Some("runner group 6 is not granted")),
        (json!({"labels": ["GPU"]}), None),
        (json!({"labels": ["linux-big", "gpu"]}), None),
        (json!({"labels": ["gpu", "gpux"]}), Some("label gpux is not granted")),
        (json!({"labels": ["self-hosted"]}), None),
        (json!({"labels": ["self-hosted-x"]}), None),
        (json!({"labels": []}), None),
        (json!({"mode": null, "ephemeral": true}), Some("mode registration-token is not granted")),
        (json!({"runner_name": "evil-1"}), Some("the name must begin with \"acme-\"")),
        (json!({"runner_name": "acme"}), Some("the name must begin with \"acme-\"")),
        (json!({"runner_name": "ACME-1"}), None),
        (json!({"runner_name": null, "runner_name_prefix": "acme"}), None),
        (json!({"runner_name": null, "runner_name_prefix": "acm"}), Some("the name must begin with \"acme-\"")),
    ] {
        let decision = decide(&policy, workflow(), with(good.clone(), changes.clone()));
        assert_eq!(decision.allowed(), expected.is_none(), "{changes}: {:?}", decision.denials());
        if let Some(expected) = expected {
            assert!(decision.denials_for_caller().join("\n").contains(expected), "{changes}: {decision:?}");
        }
    }
}

#[test]
fn each_condition_is_needed() {
    let policy = policy(ACME);
    let body = json!({"runner_name": "acme-1", "target": "org:acme-partners", "mode": "jit", "labels": ["gpu"]});
    for (changes, expected) in [
        (json!({"repository_owner_id": 1234}), true),
        (json!({"repository_owner_id": "12345"}), false),
        (json!({"repository_owner_id": null}), false),
        (json!({"repository_owner_id": ["1234"]}), true),
        (json!({"sub": "repo:acme-evil/app:ref:refs/heads/main"}), false),
        (json!({"sub": "xrepo:acme/app"}), false),
        (json!({"environment": "dev"}), false),
        (json!({"iss": "https://token.actions.githubusercontent.com/"}), false),
        (json!({"iss": "https://idp.example.com"}), false),
        (json!({"repository_id": null}), false),
        (json!({"repository_id": ["77", "78"]}), false),
        (json!({"repository_id": ""}), false),
    ] {
        let decision = decide(&policy, with(workflow(), changes.clone()), body.clone());
        assert_eq!(decision.allowed(), expected, "{changes}: {:?}", decision.denials());
    }
}

#[test]
fn reserved_labels_are_granted_by_name_alone_and_hosted_ones_never() {
    let policy = policy(ACME);
    for (label, expected) in [
        ("linux-gpu", true),
        ("linus", true),
        ("linux", false),
        ("Linux", false),
        ("x64", false),
        ("x65", true),
        ("ubuntu-latest", false),
        ("ubuntu-24.04", false),
        ("ubuntu", true),
        ("self-hosted", false),
    ] {
        let decision = decide(&policy, machine(), json!({"runner_name": "a", "labels": [label]}));
        assert_eq!(decision.allowed(), expected, "{label}: {:?}", decision.denials());
    }
    for look_alike in ["lin\u{443}x", " linux", "linux ", "self\u{2010}hosted", "\u{ff4c}inux", "linux\u{200b}"] {
        let request = serde_json::from_value::<ProvisionRequest>(json!({"runner_name": "a", "labels": [look_alike]}));
        assert!(request.is_err(), "{look_alike:?}");
    }
}

#[test]
fn a_label_that_begins_like_a_granted_one_is_another() {
    let text = r"
version: 1
rules:
  - {name: a, match: {iss: https://a.example, claims: {aud: x}}, grant: {targets: [org:acme], labels: [self-hosted, gpu]}}
";
    let policy = policy(text);
    for (label, expected) in [
        ("self-hosted", true),
        ("gpu", true),
        ("self-hosted-x", false),
        ("self-hosted.linux", false),
        ("xself-hosted", false),
        ("gpu-large", false),
        ("gp", false),
    ] {
        let claims = json!({"iss": "https://a.example", "sub": "m", "aud": "x"});
        let decision = decide(&policy, claims, json!({"runner_name": "a", "labels": [label]}));
        assert_eq!(decision.allowed(), expected, "{label}: {:?}", decision.denials());
    }
}

#[test]
fn a_setting_of_updates_is_held_to_where_there_is_one() {
    let policy = policy(ACME);
    let allowed = |body| decide(&policy, machine(), body).allowed();
    assert!(allowed(json!({"runner_name": "a"})));
    assert!(!allowed(json!({"runner_name": "a", "disable_update": true})));
    assert!(!allowed(json!({"runner_name": "a", "mode": "jit"})), "jit asks for self-hosted, which is not granted");
}

#[test]
fn settings_of_a_registration_token_are_held_to_the_grant() {
    let text = r"
version: 1
rules:
  - name: a
    match: {iss: https://a.example, claims: {aud: x}}
    grant: {targets: [org:acme], labels: [self-hosted], ephemeral_only: true, disable_update: true}
";
    let policy = policy(text);
    for (body, refusals) in [
        (json!({"disable_update": true}), &[][..]),
        (json!({"disable_update": true, "ephemeral": true}), &[]),
        (json!({"disable_update": true, "ephemeral": false}), &["only ephemeral runners are granted"]),
        (json!({"disable_update": false}), &["disable_update must be true"]),
        (json!({}), &["disable_update must be true"]),
        (json!({"ephemeral": false}), &["only ephemeral runners are granted", "disable_update must be true"]),
        (json!({"mode": "jit"}), &[]),
    ] {
        let claims = json!({"iss": "https://a.example", "sub": "m", "aud": "x"});
        let decision = decide(&policy, claims, with(json!({"runner_name": "a"}), body.clone()));
        assert_eq!(decision.allowed(), refusals.is_empty(), "{body}: {:?}", decision.denials());
        let said = decision.denials_for_caller().join("\n");
        assert!(refusals.iter().all(|refusal| said.contains(refusal)), "{body}: {said}");
    }
}

#[test]
fn owners_are_kept_apart_whatever_claims_say() {
    let text = r"
version: 1
rules:
  - {name: a, match: {iss: https://a.example, claims: {aud: x}}, owner: platform, grant: {targets: [org:acme]}}
  - {name: b, match: {iss: https://b.example, claims: {aud: x}}, owner: {claim: team}, grant: {targets: [org:acme]}}
  - {name: c, match: {iss: https://c.example, claims: {aud: x}}, owner: {claim: team}, grant: {targets: [org:acme]}}
  - {name: d, match: {iss: https://c.example, claims: {aud: y}}, grant: {targets: [org:acme]}}
";
    let policy = policy(text);
    let owner = |iss: &str, aud: &str, team: &str| {
        let claims = json!({"iss": iss, "sub": "platform", "aud": aud, "team": team});
        decide(&policy, claims, json!({"runner_name": "a"})).grants[0].owner.clone()
    };
    let owners = [
        owner("https://a.example", "x", "-"),
        owner("https://b.example", "x", "platform"),
        owner("https://c.example", "x", "platform"),
        owner("https://c.example", "y", "platform"),
        owner("https://b.example", "x", r#"platform"]"#),
    ];
    let distinct: std::collections::BTreeSet<_> = owners.iter().collect();
    assert_eq!(distinct.len(), owners.len(), "{owners:?}");
    assert_eq!(owners.iter().filter(|owner| owner.issuer.is_empty()).count(), 4);
    assert_eq!(owner("https://a.example", "x", "1"), owner("https://a.example", "x", "2"));
}

#[test]
fn the_narrowest_owner_wins_and_a_rule_on_trial_comes_last() {
    let rule = |name: &str, rest: &str| {
        format!("  - {{name: {name}, match: {{iss: https://a.example, claims: {{aud: x}}}}, {rest}}}\n")
    };
    let rules = [
        rule("b", "owner: team, grant: {targets: [org:acme]}"),
        rule("c", "owner: {claim: aud}, grant: {targets: [org:acme]}"),
        rule("z", "grant: {targets: [org:acme]}"),
        rule("a", "grant: {targets: [org:other]}, enforce: false"),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let text = order.iter().fold("version: 1\nrules:\n".to_owned(), |text, &at: &usize| text + &rules[at]);
        let claims = json!({"iss": "https://a.example", "sub": "s", "aud": "x"});
        let decision = decide(&policy(&text), claims, json!({"runner_name": "a"}));
        let reasons: Vec<_> = decision.grants.iter().map(|granted| granted.reasons[0].clone()).collect();
        assert_eq!(reasons[..3], ["rule \"z\" grants it", "rule \"c\" grants it", "rule \"b\" grants it"]);
        assert!(reasons[3].contains("is not enforced and would have refused it: target org:acme"), "{reasons:?}");
    }
}

#[test]
fn a_rule_on_trial_lets_through_what_would_be_open_without_a_policy_and_no_more() {
    let policy = policy(&ACME.replace("    owner: platform\n", "    enforce: false\n    owner: platform\n"));
    let allowed = |body| decide(&policy, machine(), body).allowed();
    assert!(allowed(json!({"runner_name": "a", "labels": ["not-granted"]})));
    assert!(!allowed(json!({"runner_name": "a", "labels": ["ubuntu-latest"]})));
    assert!(!allowed(json!({"runner_name": "a", "target": "org:elsewhere"})));
    assert!(!allowed(json!({"runner_name": "a", "runner_group_id": 2})));
    let stranger = with(machine(), json!({"groups": []}));
    assert!(!decide(&policy, stranger, json!({"runner_name": "a"})).allowed());
}

#[test]
fn the_nearest_miss_comes_first_and_callers_hear_of_their_own_rules_alone() {
    let policy = policy(ACME);
    let claims = with(workflow(), json!({"environment": "dev"}));
    let decision = decide(&policy, claims, json!({"runner_name": "a"}));
    let rules: Vec<_> = decision.verdicts.iter().map(|verdict| verdict.rule.as_str()).collect();
    assert_eq!(rules, ["acme", "machines", "operators"]);
    assert_eq!(decision.denials_for_caller(), ["no rule of the policy is about you"]);
    assert!(decision.denials()[0].contains("claim environment is \"dev\"; it must be one of [\"prod\", \"staging\"]"));
}

#[test]
fn admin_rights_come_from_a_rule_alone() {
    let admin = with(machine(), json!({"groups": ["runner-admins"]}));
    assert!(policy(ACME).is_admin(&caller(admin.clone())));
    assert!(!policy(ACME).is_admin(&caller(machine())));
    assert!(!policy(ACME).is_admin(&caller(with(admin.clone(), json!({"iss": "https://evil.example"})))));
    assert!(!policy(ACME).is_admin(&caller(with(admin.clone(), json!({"groups": "runner-admins-x"})))));
    assert!(!Policy::none().is_admin(&caller(admin.clone())));
    assert!(!decide(&policy(ACME), admin, json!({"runner_name": "a"})).allowed(), "admin rights are no grant");
}

#[test]
fn a_rule_with_names_of_groups_asks_for_the_name_only_where_it_matters() {
    let (policy, defaults) = (policy(ACME), Defaults { target: "org:acme".parse().unwrap(), runner_group_id: 1 });
    for (claims, target, group, expected) in [
        (workflow(), "org:acme-partners", 5, true),
        (workflow(), "org:acme-partners", 1, false),
        (machine(), "org:acme", 5, false),
    ] {
        let body = json!({"runner_name": "a", "target": target, "runner_group_id": group});
        let wish = serde_json::from_value::<ProvisionRequest>(body).unwrap().complete(&defaults).unwrap();
        assert_eq!(policy.needs_group_name(&caller(claims), &wish), expected, "{target} {group}");
    }
}

#[test]
fn without_a_file_only_the_default_place_is_open() {
    let allowed = |body| decide(&Policy::none(), machine(), body);
    assert!(allowed(json!({"runner_name": "a", "labels": ["gpu"], "target": "org:ACME"})).allowed());
    let denied =
        allowed(json!({"runner_name": "a", "target": "org:other", "runner_group_id": 2, "labels": ["ubuntu-latest"]}));
    assert_eq!((denied.allowed(), denied.denials_for_caller().len()), (false, 3));
}

#[test]
fn a_policy_without_rules_denies_everybody() {
    let decision = decide(&policy("version: 1\nrules: []\n"), machine(), json!({"runner_name": "a"}));
    assert!(!decision.allowed());
}
