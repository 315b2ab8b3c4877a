//! The ready examples of docs/policy.md decide as their texts say.

use serde_json::{Value, json};

use super::schema_tests::example;
use super::tests::{decide, policy, with};
use super::{Policy, identity_of};

/// What the rules make of a token and a request, each with changes.
struct Scene {
    policy: Policy,
    claims: Value,
    body: Value,
}

impl Scene {
    fn decides(&self, claims: Value, body: Value, expected: bool) {
        let decision = decide(&self.policy, with(self.claims.clone(), claims.clone()), with(self.body.clone(), body));
        assert_eq!(decision.allowed(), expected, "{claims}: {:?}", decision.denials());
    }
}

#[test]
fn a_partners_workflows_on_main_for_two_environments() {
    let scene = Scene {
        policy: policy(&example("name: partner\n").replace("[partners]", "[1]")),
        claims: json!({
            "iss": "https://token.actions.githubusercontent.com", "sub": "repo:acme/app:environment:prod",
            "repository_owner_id": "1234", "repository_id": "77", "ref": "refs/heads/main", "environment": "prod",
        }),
        body: json!({
            "runner_name": "acme-1", "target": "org:acme-partners", "mode": "jit", "labels": ["self-hosted", "acme-gpu"],
        }),
    };
    scene.decides(json!({}), json!({}), true);
    scene.decides(json!({"environment": "staging"}), json!({}), true);
    for miss in [
        json!({"environment": "dev"}),
        json!({"environment": null}),
        json!({"ref": "refs/heads/dev"}),
        json!({"repository_owner_id": "1235"}),
        json!({"repository_id": null}),
    ] {
        scene.decides(miss, json!({}), false);
    }
    for miss in [json!({"labels": ["gpu"]}), json!({"mode": "registration-token"}), json!({"runner_name": "a-1"})] {
        scene.decides(json!({}), miss, false);
    }
    let grants = decide(&scene.policy, scene.claims, scene.body).grants;
    assert_eq!(grants[0].limits.active, Some(10), "for each of its repositories");
    assert!(grants[0].owner.subject.contains("\"77\""), "{:?}", grants[0].owner);
}

#[test]
fn service_accounts_of_a_cluster() {
    let scene = Scene {
        policy: policy(&example("name: autoscaler")),
        claims: json!({
            "iss": "https://oidc.cluster-7.example.com", "sub": "system:serviceaccount:ci:runner-autoscaler",
            "kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "runner-autoscaler"}},
        }),
        body: json!({"runner_name": "p-1", "target": "org:acme", "labels": ["linux", "pool-large"]}),
    };
    scene.decides(json!({}), json!({}), true);
    scene.decides(json!({}), json!({"ephemeral": false}), false);
    scene.decides(json!({"sub": "system:serviceaccount:dev:runner-autoscaler"}), json!({}), false);
    scene.decides(json!({"iss": "https://oidc.cluster-8.example.com"}), json!({}), false);
    let builder = json!({"sub": "system:serviceaccount:builds:any", "kubernetes.io": {"namespace": "builds"}});
    let build = json!({"mode": "jit", "labels": ["builds"]});
    scene.decides(builder.clone(), build.clone(), true);
    scene.decides(builder, json!({}), false);
    scene.decides(json!({"kubernetes.io": {"namespace": "builds-2"}}), build, false);
}

#[test]
fn administrators_by_group() {
    let policy = policy(&example("name: operators"));
    let is_admin = |groups: Value, iss: &str| {
        let claims = json!({"iss": iss, "sub": "root", "groups": groups});
        policy.is_admin(&identity_of(claims.as_object().unwrap().clone()).unwrap())
    };
    let issuer = "https://idp.example.com";
    assert!(is_admin(json!(["staff", "runner-admins"]), issuer));
    assert!(is_admin(json!("runner-admins"), issuer));
    assert!(!is_admin(json!(["staff"]), issuer));
    assert!(!is_admin(json!("runner-admins-of-nothing"), issuer));
    assert!(!is_admin(json!(["runner-admins"]), "https://other.example.com"));
}
