//! What rules make of the subjects that GitHub writes: by names, with ids, and as an organisation likes.
//! <https://docs.github.com/en/actions/reference/security/oidc>

use serde_json::{Value, json};

use super::mistakes_tests::broken;
use super::schema_tests::example;
use super::tests::{decide, policy};
use super::{Decision, Policy};

const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// Subjects of jobs of the repository `acme/app`, which has the id 77 and whose owner has the id 1234.
const FORMS: [&str; 10] = [
    "repo:acme/app:ref:refs/heads/main",
    "repo:acme/app:environment:prod",
    "repo:acme/app:pull_request",
    "repo:acme@1234/app@77:ref:refs/heads/main",
    "repo:acme@1234/app@77:environment:prod%3Aeu",
    "repo:acme@1234/app@77",
    "repository_id:77",
    "repository_owner_id:1234:repository_visibility:private",
    "environment:prod",
    "job_workflow_ref:acme/app/.github/workflows/deploy.yml@refs/heads/main",
];

/// Texts that look like 1234 or 77 to a person or to a careless program.
fn look_alikes(id: &str) -> Vec<Value> {
    let wide: String = id.chars().filter_map(|digit| char::from_u32(u32::from(digit) + 0xfee0)).collect();
    vec![
        json!(format!("{id}5")),
        json!(format!("0{id}")),
        json!(format!("+{id}")),
        json!(format!("{id}.0")),
        json!(format!("{id} ")),
        json!(format!("{id}\n")),
        json!(format!("{id}\u{200b}")),
        json!(format!("{id}@9")),
        json!(format!("*{id}")),
        json!(wide),
        json!(id.strip_suffix(|_| true)),
        json!(id.parse::<f64>().unwrap()),
        json!({ "id": id }),
        json!(""),
        Value::Null,
    ]
}

/// What the page's rule by ids says to a job with this subject and these ids.
fn by_ids(subject: &str, owner_id: &Value, repository_id: &Value) -> Decision {
    let claims = json!({
        "iss": GITHUB, "sub": subject, "repository_owner_id": owner_id, "repository_id": repository_id,
        "repository_owner": "acme", "repository": "acme/app",
        "job_workflow_ref": "acme/app/.github/workflows/deploy.yml@refs/heads/main",
    });
    let body = json!({"runner_name": "d-1", "target": "repo:acme/app", "mode": "jit", "labels": ["deploy"]});
    decide(&policy(&example("name: app-deployments")), claims, body)
}

#[test]
fn ids_hold_whatever_the_form_of_the_subject() {
    let mut owners = Vec::new();
    for subject in FORMS {
        let decision = by_ids(subject, &json!("1234"), &json!("77"));
        assert!(decision.allowed(), "{subject}: {:?}", decision.denials());
        owners.push(decision.grants[0].owner.clone());
    }
    owners.dedup();
    assert_eq!(owners.len(), 1, "one repository is one owner: {owners:?}");
}

#[test]
fn names_and_subjects_of_the_right_form_do_not_help_with_other_ids() {
    for subject in FORMS {
        for look_alike in look_alikes("1234") {
            let decision = by_ids(subject, &look_alike, &json!("77"));
            assert!(!decision.allowed(), "{subject} of owner {look_alike}");
        }
        for look_alike in look_alikes("77") {
            let decision = by_ids(subject, &json!("1234"), &look_alike);
            assert!(!decision.allowed(), "{subject} of repository {look_alike}");
        }
    }
}

/// Whether a rule that asks this of `sub` is about a job with this subject.
fn by_subject(condition: &str, subject: &str) -> bool {
    let text = broken(&format!("claims {{sub: {condition}}}")).replace("https://idp.example.com", GITHUB);
    let claims = json!({"iss": GITHUB, "sub": subject});
    decide(&policy(&text), claims, json!({"runner_name": "a", "mode": "registration-token"})).allowed()
}

#[test]
fn a_subject_that_only_looks_like_the_granted_one_is_another() {
    let both = r#"{in: ["repo:acme/app:ref:refs/heads/main", "repo:acme@1234/app@77:ref:refs/heads/main"]}"#;
    assert!(example("name: app-main").contains(both), "the page shows another");
    let any_with_ids = "{glob: 'repo:acme@1234/*'}";
    let any_by_name = "{glob: 'repo:acme/*'}";
    let own_template = "{glob: 'repository_owner_id:1234:*'}";
    for (condition, subject, expected) in [
        (both, "repo:acme/app:ref:refs/heads/main", true),
        (both, "repo:acme@1234/app@77:ref:refs/heads/main", true),
        (both, "repo:acme@12345/app@77:ref:refs/heads/main", false),
        (both, "repo:acme@1234/app@778:ref:refs/heads/main", false),
        (both, "repo:acme@1234/app:ref:refs/heads/main", false),
        (both, "repo:acme/app@77:ref:refs/heads/main", false),
        (both, "repo:acme@77/app@1234:ref:refs/heads/main", false),
        (both, "repo:acme@1234/app@77:ref:refs/heads/main-2", false),
        (both, "repo:acme@1234/app@77:ref:refs/tags/main", false),
        (both, "repo:acme@1234/app@77:environment:ref%3Arefs/heads/main", false),
        (both, "repo:\u{430}cme@1234/app@77:ref:refs/heads/main", false),
        (both, "repo:acme\u{ff20}1234/app@77:ref:refs/heads/main", false),
        (any_with_ids, "repo:acme@1234/app@77:pull_request", true),
        (any_with_ids, "repo:acme@1234/other@78", true),
        (any_with_ids, "repo:acme/app:pull_request", false),
        (any_with_ids, "repo:acme@12345/app@77:pull_request", false),
        (any_with_ids, "repo:acme@123/app@77:pull_request", false),
        (any_with_ids, "repo:acme-evil@1234/app@77:pull_request", false),
        (any_with_ids, "repo:evil@9/acme@1234/app@77", false),
        (any_with_ids, "environment:repo%3Aacme@1234/app@77", false),
        (any_by_name, "repo:acme/app:pull_request", true),
        (any_by_name, "repo:acme@1234/app@77:pull_request", false),
        (any_by_name, "repo:acme-evil/app:pull_request", false),
        (any_by_name, "repo:evil/acme/app", false),
        (own_template, "repository_owner_id:1234:repository_id:77", true),
        (own_template, "repository_owner_id:12345:repository_id:77", false),
        (own_template, "repository_owner_id:1234", false),
        (own_template, "actor:repository_owner_id%3A1234:repository_id:77", false),
        (own_template, "repository_id:77:repository_owner_id:1234:", false),
    ] {
        assert_eq!(by_subject(condition, subject), expected, "{condition} {subject}");
    }
}

#[test]
fn rules_about_public_issuers_say_whose_tokens_they_mean() {
    for (claims, good) in [
        ("{repository_owner_id: 1}", true),
        ("{repository: acme/app}", true),
        ("{sub: {glob: 'repo:acme/*'}}", true),
        ("{repository: {glob: 'acme/*'}}", true),
        ("{aud: runner-tokens}", false),
        ("{sub: {glob: 'repo:*'}}", false),
        ("{sub: {glob: 'repo:acme*'}}", false),
        ("{repository_owner_id: {glob: '12*'}}", false),
        ("{sub: 'repo:acme@1234/app@77:ref:refs/heads/main'}", true),
        ("{sub: {glob: 'repo:acme@1234/*'}}", true),
        ("{sub: {glob: 'repo:acme@*'}}", false),
        ("{sub: {glob: 'repo:acme@12*'}}", false),
        ("{sub: 'repository_owner_id:1234'}", true),
        ("{sub: {glob: 'repository_owner_id:1234:*'}}", true),
        ("{sub: {glob: 'repository_owner_id:1234*'}}", false),
        // Everybody may have subjects like these.
        ("{sub: 'environment:prod'}", false),
        ("{sub: {glob: 'ref:refs/heads/main:*'}}", false),
        ("{sub: 'job_workflow_ref:acme/ci/.github/workflows/deploy.yml@refs/heads/main'}", false),
        ("{sub: {in: ['repo:acme/app:pull_request', 'actor:octocat']}}", false),
        ("{sub: repo}", false),
        ("{sub: 'environment:prod', repository_owner_id: 1234}", true),
        ("{environment: prod}", false),
        ("{ref: refs/heads/main}", false),
    ] {
        let text = broken(&format!("claims {claims}")).replace("https://idp.example.com", GITHUB);
        let parsed = Policy::parse(text.as_bytes());
        assert_eq!(parsed.is_ok(), good, "{claims}: {parsed:?}");
    }
    for (issuer, claims, good) in [
        ("https://gitlab.com", "{sub: {glob: 'project_path:acme/app:*'}}", true),
        ("https://gitlab.com", "{sub: {glob: 'ref_type:branch:ref:main'}}", false),
        ("https://accounts.google.com", "{sub: '1122334455'}", true),
    ] {
        let text = broken(&format!("claims {claims}")).replace("https://idp.example.com", issuer);
        assert_eq!(Policy::parse(text.as_bytes()).is_ok(), good, "{issuer} {claims}");
    }
}
