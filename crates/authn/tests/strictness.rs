//! Every rule on the page's list of strictness has a test that is about it, and that says where the rule is written.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../../docs/filter.md");

/// Rules in the order of the page, each with the tests that fail without it, as file and name.
const TESTS: [(&str, &[(&str, &str)]); 25] = [
    ("exactly three parts", &[("token", "exactly_three_parts")]),
    (
        "base64url",
        &[
            ("strictness", "a_part_has_one_spelling"),
            ("base64url", "only_the_canonical_spelling_decodes"),
            ("token", "padding_and_white_space_are_refused"),
        ],
    ),
    (
        "JSON objects with unique",
        &[
            ("json", "duplicates_trailing_bytes_other_values_and_deep_nesting_are_refused"),
            ("token", "duplicate_members_are_refused"),
        ],
    ),
    ("`crit`, `b64`, `zip`, `enc`", &[("token", "extensions_that_change_the_meaning_are_refused")]),
    ("`jwk`, `jku`, `x5u`, `x5c`", &[("strictness", "a_token_does_not_choose_its_key")]),
    (
        "`alg` from an allow-list",
        &[
            ("token", "none_and_symmetric_algorithms_do_not_exist"),
            ("gate/tests", "each_provider_takes_the_algorithms_on_its_list_alone"),
        ],
    ),
    (
        "`alg` fits the key's",
        &[
            ("strictness", "a_key_serves_the_algorithms_of_its_kind_alone"),
            ("strictness", "a_key_for_another_purpose_is_passed_over"),
        ],
    ),
    ("RSA keys of 2048 to 4096 bits", &[("strictness", "rsa_keys_are_neither_short_nor_long_nor_odd")]),
    ("the salt of PSS", &[("signature/wycheproof", "rsa_pss_signatures_with_another_salt_length_do_not_hold")]),
    (
        "an ECDSA signature has exactly",
        &[
            ("token", "signatures_of_another_length_are_refused"),
            ("strictness", "points_lie_on_their_curve_and_are_written_in_full"),
        ],
    ),
    (
        "Ed25519 without small-order",
        &[
            ("strictness", "ed25519_keys_of_small_order_or_in_another_encoding_are_passed_over"),
            ("strictness", "an_ed25519_signature_has_one_form"),
        ],
    ),
    ("`typ` from a list", &[("verify", "types_are_explicit")]),
    ("`iss` equals", &[("verify", "issuer_is_compared_exactly")]),
    ("`aud` is a string or", &[("verify", "audience_must_name_one_of_ours")]),
    (
        "`exp` required",
        &[
            ("verify", "expiry_is_required_and_holds_with_the_leeway"),
            ("verify", "not_before_holds_with_the_leeway"),
            ("verify", "a_fraction_of_a_second_is_understood"),
        ],
    ),
    ("`sub` required", &[("verify", "subject_is_required")]),
    ("`aud` and `jti`", &[("verify", "claims_that_nobody_asks_for_have_the_right_type_too")]),
    ("a token bound to a key", &[("verify", "a_bound_token_is_refused")]),
    ("one token, sent in one way", &[("places", "two_tokens_are_refused_wherever_they_stand")]),
    ("a refusal names an error code", &[("answer", "a_request_without_a_token_is_only_challenged")]),
    (
        "the metadata's `issuer`",
        &[
            ("remote", "the_metadata_of_another_issuer_leads_nowhere"),
            ("remote", "discovered_keys_are_fetched_through_their_own_cluster_and_never_in_the_clear"),
        ],
    ),
    (
        "paths are decoded once",
        &[
            ("path", "paths_with_two_readings_are_doubtful"),
            ("gate/tests/paths", "no_spelling_of_a_protected_path_reaches_a_public_rule"),
        ],
    ),
    ("header values", &[("hygiene", "values_that_would_be_read_as_others_are_refused")]),
    ("`Connection`", &[("hygiene", "every_spelling_of_an_owned_header_is_found")]),
    (
        "sizes are bounded",
        &[
            ("token", "sizes_are_capped"),
            ("jwk", "sets_are_bounded_and_need_one_usable_key"),
            ("json", "duplicates_trailing_bytes_other_values_and_deep_nesting_are_refused"),
        ],
    ),
];

/// The rules on the page and where they are written.
fn rules() -> Vec<(&'static str, &'static str)> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with("Strictness\n")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    rows.skip(1).map(|row| row.trim_matches(['|', ' ']).split_once(" | ").unwrap()).collect()
}

/// What stands before a test.
fn docstring(file: &str, test: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file).with_extension("rs");
    let code = fs::read_to_string(&path).unwrap();
    let (before, _) = code.split_once(&format!("fn {test}()")).expect(test);
    let lines = before
        .trim_end()
        .lines()
        .rev()
        .map(str::trim)
        .take_while(|line| line.starts_with("///") || line.starts_with('#'));
    let lines: Vec<_> = lines.collect();
    assert!(lines.contains(&"#[test]"), "{test} is no test");
    lines.into_iter().rev().collect()
}

/// The documents that a text names.
fn documents(text: &str) -> Vec<String> {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    let rfcs = text.split("RFC ").skip(1).map(|rest| format!("RFC {}", digits(rest)));
    rfcs.chain(text.contains("OpenID Connect Discovery").then(|| "OpenID Connect Discovery".to_owned())).collect()
}

#[test]
fn every_rule_has_its_test_and_every_test_says_where_the_rule_is_written() {
    let rules = rules();
    assert_eq!(rules.len(), TESTS.len());
    for ((rule, source), (start, tests)) in rules.into_iter().zip(TESTS) {
        assert!(rule.starts_with(start), "{rule:?} is not {start:?}");
        let said: String = tests.iter().map(|(file, test)| docstring(file, test)).collect();
        let named = documents(&said);
        for document in documents(source) {
            assert!(named.contains(&document), "no test of {rule:?} names {document}; they say: {said}");
        }
    }
}
