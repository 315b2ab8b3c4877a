//! What is wrong with a file is told with its place.

use super::Policy;
use super::tests::ACME;

/// A policy whose one rule has this in place of something good.
pub(super) fn broken(what: &str) -> String {
    let rule = |parts: [&str; 4]| {
        let [name, iss, claims, grant] = parts;
        format!(
            "version: 1\nrules:\n  - name: {name}\n    match:\n      iss: {iss}\n      claims: {claims}\n    grant: {grant}\n"
        )
    };
    let good = ["a", "https://idp.example.com", "{groups: x}", "{targets: [org:acme]}"];
    assert!(Policy::parse(rule(good).as_bytes()).is_ok());
    let (part, text) = what.split_once(' ').unwrap();
    let mut parts = good;
    match part {
        "name" => parts[0] = text,
        "iss" => parts[1] = text,
        "claims" => parts[2] = text,
        _ => parts[3] = text,
    }
    rule(parts)
}

#[test]
fn mistakes_are_found_with_their_place() {
    for (what, line, column, expected) in [
        ("name ''", 3, 11, "a rule's name must be"),
        ("iss '*'", 5, 12, "it can't be a pattern"),
        ("iss https://*.example.com", 5, 12, "it can't be a pattern"),
        ("iss ''", 5, 12, "it can't be a pattern"),
        ("claims {}", 6, 15, "whom of the issuer's callers"),
        ("claims {groups: ''}", 6, 24, "an empty value"),
        ("claims {groups: 'x*'}", 6, 24, "is taken to the letter"),
        ("claims {groups: {glob: '*'}}", 6, 24, "is too broad"),
        ("claims {groups: {glob: '*-x'}}", 6, 24, "is too broad"),
        ("claims {groups: {in: []}}", 6, 24, "an empty value"),
        ("claims {groups: {like: x}}", 6, 24, "must be a text"),
        ("claims {groups: 1.5}", 6, 24, "must be a text"),
        ("claims {iss: x}", 6, 21, "stands beside"),
        ("claims {groups: x, groups: y}", 6, 27, "duplicate"),
        ("grant {}", 7, 12, "grants no runners without `targets`"),
        ("grant {labels: [gpu], admin: true}", 7, 12, "grants no runners without `targets`"),
        ("grant {target: [org:acme]}", 7, 13, "unknown field `target`"),
        ("grant {targets: [acme]}", 7, 23, "is not a target"),
        ("grant {targets: ['org:*']}", 7, 23, "is not a target"),
        ("grant {targets: [org:acme], labels: ['*']}", 7, 43, "is too broad"),
        ("grant {targets: [org:acme], labels: ['*-gpu']}", 7, 43, "is too broad"),
        ("grant {targets: [org:acme], labels: [ubuntu-latest]}", 7, 43, "machines of GitHub's own"),
        ("grant {targets: [org:acme], labels: ['a b']}", 7, 43, "contains ' '"),
        ("grant {targets: [org:acme], runner_groups: []}", 7, 49, "`runner_groups` is empty"),
        ("grant {targets: [org:acme], runner_groups: [0]}", 7, 49, "a runner group is an id"),
        ("grant {targets: [org:acme], modes: []}", 7, 41, "`modes` is empty"),
        ("grant {targets: [org:acme], modes: [token]}", 7, 42, "unknown variant"),
        ("grant {targets: [org:acme], name_prefix: ''}", 7, 47, "`name_prefix`"),
        ("grant {targets: [org:acme], limits: {active: 0}}", 7, 51, "a limit of 0"),
        ("grant {targets: [org:acme], limits: {active: -1}}", 7, 51, ""),
        ("grant {targets: [org:acme], limits: {hourly: 1}}", 7, 43, "unknown field `hourly`"),
        ("grant {admin: yes}", 7, 20, ""),
    ] {
        let error = Policy::parse(broken(what).as_bytes()).err().unwrap_or_else(|| panic!("{what} passes"));
        let found = &error.problems[0];
        assert_eq!((found.line, found.column), (line, column), "{what}: {error}");
        assert!(found.what.contains(expected) && !found.what.contains("at line"), "{what}: {error}");
    }
}

#[test]
fn a_rule_without_issuer_and_doubled_names_are_refused() {
    let missing = "version: 1\nrules:\n  - name: a\n    match: {claims: {a: b}}\n    grant: {targets: [org:a]}\n";
    let error = Policy::parse(missing.as_bytes()).unwrap_err();
    assert!(error.problems[0].line == 4 && error.to_string().contains("missing field `iss`"), "{error}");
    for (from, to, line, column) in [
        ("version: 1\n", "version: 1\nmode: x\n", 3, 1),
        ("    owner: platform", "    owners: platform", 22, 5),
        ("{groups: machines}}", "{groups: machines}, sub: x}", 21, 71),
    ] {
        let error = Policy::parse(ACME.replacen(from, to, 1).as_bytes()).unwrap_err();
        let found = &error.problems[0];
        assert_eq!((found.line, found.column), (line, column), "{error}");
        assert!(found.what.contains("unknown field"), "{error}");
    }
    let twice = ACME.replace("name: machines", "name: acme").replace("version: 1", "version: 2");
    let error = Policy::parse(twice.as_bytes()).unwrap_err();
    assert_eq!(error.problems.len(), 2, "all at once: {error}");
    let doubled = error.problems.iter().find(|problem| problem.what.contains("names are unique"));
    assert_eq!(doubled.map(|problem| (problem.line, problem.column)), Some((20, 11)), "{error}");
}

#[test]
fn what_is_no_text_or_too_long_is_refused() {
    assert!(Policy::parse(b"\xff\xfe").is_err());
    assert!(Policy::parse(&vec![b'#'; super::MAX_SIZE + 1]).is_err());
    assert!(Policy::parse(b"").is_err());
    let bomb = "version: 1\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nrules: [*b,*b,*b,*b,*b,*b]\n";
    assert!(Policy::parse(bomb.as_bytes()).is_err());
}
