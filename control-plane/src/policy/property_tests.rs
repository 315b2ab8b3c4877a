//! What holds for every policy and every wish. Cases are drawn from a seed, so that a failure can be repeated.

use identity::Identity;
use serde_json::json;

use super::{Decision, Defaults, Policy, ProvisionRequest, Wish, identity_of};
use crate::runner::is_reserved;

const CASES: u64 = 600;
const LABELS: [&str; 8] = ["gpu", "gpu-big", "cuda", "linux", "linux-x", "self-hosted", "ubuntu-latest", "x64"];
const PATTERNS: [&str; 6] = ["gpu*", "l*", "self*", "ubuntu*", "x*", "gpu-*"];

/// Numbers that look random (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn often(&mut self) -> bool {
        self.below(3) > 0
    }

    fn some<'a>(&mut self, from: &[&'a str]) -> Vec<&'a str> {
        from.iter().copied().filter(|_| self.below(2) == 0).collect()
    }

    fn one<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// A rule that is about most callers and grants much, so that grants and refusals are both frequent.
    fn rule(&mut self, name: usize) -> String {
        let labels: Vec<&str> = LABELS.iter().copied().filter(|label| *label != "ubuntu-latest").collect();
        let labels = [self.some(&labels), self.some(&PATTERNS)].concat();
        let owner = self.one(&["", "owner: team, ", "owner: other, ", "owner: {claim: id}, "]);
        let enforce = if self.below(6) == 0 { "enforce: false, " } else { "" };
        let ephemeral = self.below(4) == 0;
        let (claim, targets) = (
            self.one(&["id: 1", "id: 2", "id: {in: [1, 2]}", "sub: {glob: 'c*'}"]),
            self.one(&["org:acme", "org:acme, org:b", "org:b"]),
        );
        let groups = self.one(&["", ", runner_groups: [1, 2]", ", runner_groups: [2]"]);
        let prefix = self.one(&["", ", name_prefix: a"]);
        let modes = self.one(&["", ", modes: [jit]"]);
        format!(
            "  - {{name: r{name}, match: {{iss: https://a.example, claims: {{{claim}}}}}, {owner}{enforce}grant: \
             {{targets: [{targets}], labels: {labels:?}, ephemeral_only: {ephemeral}{groups}{prefix}{modes}}}}}\n"
        )
    }

    fn rules(&mut self) -> Vec<String> {
        (0..=self.below(4)).map(|name| self.rule(name)).collect()
    }

    fn caller(&mut self) -> Identity {
        let claims =
            json!({"iss": "https://a.example", "sub": self.one(&["c1", "d1"]), "id": self.one(&["1", "2", "3"])});
        identity_of(claims.as_object().unwrap().clone()).unwrap()
    }

    fn wish(&mut self) -> Wish {
        let few = self.below(LABELS.len() + 1) * self.below(2);
        let mut body = json!({
            "runner_name": self.one(&["a-1", "b-1"]), "labels": self.some(&LABELS[..few]),
            "target": self.one(&["org:acme", "org:acme", "org:b", "org:c"]),
            "runner_group_id": (self.below(4)).clamp(1, 3), "ephemeral": true,
        });
        if self.often() {
            body["mode"] = json!("jit");
        }
        serde_json::from_value::<ProvisionRequest>(body).unwrap().complete(&defaults()).unwrap()
    }
}

fn defaults() -> Defaults {
    Defaults { target: "org:acme".parse().unwrap(), runner_group_id: 1 }
}

fn policy<'a>(rules: impl IntoIterator<Item = &'a String>) -> Policy {
    let text = rules.into_iter().fold("version: 1\nrules:\n".to_owned(), |text, rule| text + rule);
    Policy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn decide<'a>(rules: impl IntoIterator<Item = &'a String>, caller: &Identity, wish: &Wish) -> Decision {
    policy(rules).decide(caller, wish, &defaults())
}

/// Both outcomes must be frequent, or the cases prove nothing.
fn in_every_case(mut holds: impl FnMut(&[String], &Identity, &Wish, &Decision)) {
    let mut allowed = 0_u64;
    for seed in 0..CASES {
        let mut draw = Draw(seed);
        let (rules, caller, wish) = (draw.rules(), draw.caller(), draw.wish());
        let decision = decide(&rules, &caller, &wish);
        allowed += u64::from(decision.allowed());
        holds(&rules, &caller, &wish, &decision);
    }
    assert!((CASES / 10..CASES * 9 / 10).contains(&allowed), "{allowed} of {CASES} allowed");
}

#[test]
fn a_further_rule_never_takes_a_grant_away() {
    let mut draw = Draw(7);
    in_every_case(|rules, caller, wish, before| {
        let more = draw.rule(99);
        let after = decide(rules.iter().chain([&more]), caller, wish);
        for granted in &before.grants {
            assert!(after.grants.contains(granted), "{rules:?} {more} {wish:?}");
        }
        let owners = |policy: Policy| policy.owners(caller);
        assert!(owners(policy(rules)).is_subset(&owners(policy(rules.iter().chain([&more])))));
    });
}

#[test]
fn the_order_of_rules_never_matters() {
    let mut draw = Draw(8);
    in_every_case(|rules, caller, wish, before| {
        let mut shuffled = rules.to_vec();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, draw.below(last + 1));
        }
        assert_eq!(&decide(&shuffled, caller, wish), before, "{rules:?} {wish:?}");
    });
}

#[test]
fn no_rules_together_grant_what_none_grants_by_itself() {
    in_every_case(|rules, caller, wish, decision| {
        let alone = rules.iter().any(|rule| decide([rule], caller, wish).allowed());
        assert_eq!(decision.allowed(), alone, "{rules:?} {wish:?}");
    });
}

/// Judged by the text of the rules, with none of the code that decides.
#[test]
fn a_label_outside_the_grant_is_never_issued() {
    in_every_case(|rules, _, wish, decision| {
        for granted in decision.grants.iter().filter(|granted| granted.reasons[0].ends_with("grants it")) {
            let name = granted.reasons[0].split('"').nth(1).unwrap();
            let rule = rules.iter().find(|rule| rule.contains(&format!("name: {name},"))).unwrap();
            for label in wish.labels.as_slice() {
                let by_name = rule.contains(&format!("{label:?}"));
                let pattern = |pattern: &&&str| {
                    label.starts_with(pattern.trim_end_matches('*')) && rule.contains(&format!("{pattern:?}"))
                };
                assert!(
                    by_name || (!is_reserved(label) && PATTERNS.iter().any(|each| pattern(&each))),
                    "{label} {rule}"
                );
            }
        }
        let hosted = wish.labels.as_slice().iter().any(|label| label == "ubuntu-latest");
        assert!(!hosted || !decision.allowed(), "{wish:?}");
    });
}

#[test]
fn whoever_is_granted_a_runner_sees_it() {
    in_every_case(|rules, caller, _, decision| {
        let owners = policy(rules).owners(caller);
        assert!(decision.grants.iter().all(|granted| owners.contains(&granted.owner)));
    });
}
