//! docs/filter.md says what the code does: each field of the configuration, each refusal, each default.
#![cfg(feature = "schema")]

#[path = "support/schema.rs"]
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use authn::config::{Config, UNSUPPORTED};
use authn::{Answer, ConfigError, FetchError, Gate, KeySetError, KeySettings, Refusal};
use base64::Engine as _;
use serde_json::{Value, json};

use self::schema::camel_case;

const PAGE: &str = include_str!("../../../docs/filter.md");
/// The key of RFC 8037 appendix A.2.
const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const NO_VALUE: &str = "–";

/// Every field that Envoy 1.40 has in `envoy.extensions.filters.http.jwt_authn.v3` and in what that refers to.
const JWT_AUTHN: [(&str, &str); 21] = [
    (
        "JwtAuthentication",
        "providers rules filter_state_rules bypass_cors_preflight requirement_map strip_failure_response stat_prefix",
    ),
    (
        "JwtProvider",
        "issuer audiences subjects require_expiration max_lifetime remote_jwks local_jwks forward from_headers \
         from_params from_cookies forward_payload_header pad_forward_payload_header payload_in_metadata \
         normalize_payload_in_metadata header_in_metadata failed_status_in_metadata clock_skew_seconds \
         jwt_cache_config claim_to_headers clear_route_cache",
    ),
    ("RemoteJwks", "http_uri cache_duration async_fetch retry_policy"),
    ("JwksAsyncFetch", "fast_listener failed_refetch_duration"),
    (
        "RetryPolicy",
        "retry_back_off num_retries retry_on retry_priority retry_host_predicate host_selection_retry_max_attempts",
    ),
    ("BackoffStrategy", "base_interval max_interval"),
    ("HttpUri", "uri cluster timeout"),
    ("DataSource", "filename inline_bytes inline_string environment_variable watched_directory"),
    ("JwtHeader", "name value_prefix"),
    ("JwtClaimToHeader", "header_name claim_name claim_path"),
    ("JwtClaimToHeader.PathSegment", "key"),
    ("JwtCacheConfig", "jwt_cache_size jwt_max_token_size"),
    ("RequirementRule", "match requires requirement_name"),
    (
        "RouteMatch",
        "prefix path safe_regex connect_matcher path_separated_prefix path_match_policy case_sensitive \
         runtime_fraction headers query_parameters cookies grpc tls_context dynamic_metadata filter_state",
    ),
    (
        "JwtRequirement",
        "provider_name provider_and_audiences requires_any requires_all allow_missing_or_failed allow_missing \
         extract_only_without_validation",
    ),
    ("JwtRequirementOrList", "requirements"),
    ("JwtRequirementAndList", "requirements"),
    ("ProviderWithAudiences", "provider_name audiences"),
    ("StringMatcher", "exact prefix suffix safe_regex contains custom ignore_case"),
    ("RegexMatcher", "google_re2 regex"),
    ("google.protobuf.Empty", ""),
];

/// The names that the schema has for messages which Envoy calls otherwise.
const RENAMED: [(&str, &[&str]); 11] = [
    ("Config", &["JwtAuthentication"]),
    ("Provider", &["JwtProvider"]),
    ("ClaimToHeader", &["JwtClaimToHeader"]),
    ("PathSegment", &["JwtClaimToHeader.PathSegment"]),
    ("Regex", &["RegexMatcher"]),
    ("AsyncFetch", &["JwksAsyncFetch"]),
    ("BackOff", &["BackoffStrategy"]),
    ("Rule", &["RequirementRule"]),
    ("Requirement", &["JwtRequirement"]),
    ("Requirements", &["JwtRequirementOrList", "JwtRequirementAndList"]),
    ("Empty", &["google.protobuf.Empty"]),
];

/// A row of a table of fields.
#[derive(Debug)]
struct Row {
    message: String,
    field: String,
    example: String,
    notes: String,
}

impl Row {
    /// The reason to the letter, when the field is refused.
    fn reason(&self) -> Option<&str> {
        self.notes.strip_prefix("refused: ")
    }

    fn name(&self) -> (String, String) {
        (self.message.clone(), self.field.clone())
    }

    /// The example as a value of the configuration.
    fn value(&self) -> anyhow::Result<Value> {
        let text = self.example.replace("{…}", &JWKS.replace('"', "\\\""));
        let value = serde_json::from_str(&text).with_context(|| format!("{self:?}"))?;
        Ok(match (self.field.as_str(), value) {
            ("inline_bytes", Value::String(text)) => base64::prelude::BASE64_STANDARD.encode(text).into(),
            (_, value) => value,
        })
    }
}

/// The rows of the tables between this heading and the next one of its level or above, without those of headings and
/// rules, each with this many cells.
fn tables<const CELLS: usize>(heading: &str) -> anyhow::Result<Vec<[String; CELLS]>> {
    let marks = |line: &str| line.bytes().take_while(|byte| *byte == b'#').count();
    let (_, rest) = PAGE.split_once(&format!("\n{heading}\n")).with_context(|| format!("no heading {heading:?}"))?;
    let section = rest.lines().take_while(|line| !(1..=marks(heading)).contains(&marks(line)));
    let mut rows = Vec::new();
    for row in section.filter(|line| line.starts_with("| `")) {
        let cells = row.trim_start_matches("| ").trim_end_matches(" |").split(" | ").map(str::to_owned);
        let cells: Vec<_> = cells.collect();
        rows.push(cells.try_into().ok().with_context(|| format!("{row:?} does not have {CELLS} cells"))?);
    }
    ensure!(!rows.is_empty(), "no table below {heading:?}");
    Ok(rows)
}

/// The text between ticks.
fn ticked(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or(cell)
}

/// Every row of the tables of fields of jwt_authn.
fn rows() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for heading in PAGE.lines().filter(|line| line.starts_with("### `")) {
        for message in heading.split('`').skip(1).step_by(2) {
            for [field, example, notes] in tables(heading)? {
                let (field, example) = (ticked(&field).to_owned(), ticked(&example).to_owned());
                let row = Row { message: message.to_owned(), field, example, notes };
                ensure!(row.notes.starts_with("done") || row.reason().is_some(), "{row:?}");
                ensure!(row.reason().is_some() == (row.example == NO_VALUE), "{row:?}");
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// Every row of the table of what jwt_authn does not have.
fn additions() -> anyhow::Result<Vec<Row>> {
    let rows = tables("### Beyond jwt_authn")?.into_iter().map(|[name, example, notes]| {
        let (message, field) = ticked(&name).split_once('.').with_context(|| format!("no message in {name}"))?;
        let example = ticked(&example).to_owned();
        Ok(Row { message: message.to_owned(), field: field.to_owned(), example, notes })
    });
    rows.collect()
}

/// The rows of fields that the filter does.
fn done() -> anyhow::Result<Vec<Row>> {
    Ok(rows()?.into_iter().filter(|row| row.reason().is_none()).chain(additions()?).collect())
}

type Names = BTreeSet<(String, String)>;

fn names(rows: &[Row]) -> Names {
    rows.iter().map(Row::name).collect()
}

/// What is in one set alone.
fn differing(one: &Names, other: &Names) -> Vec<(String, String)> {
    one.symmetric_difference(other).cloned().collect()
}

fn provider() -> Value {
    json!({"issuer": "https://idp.example.com", "local_jwks": {"inline_string": JWKS}})
}

fn configured_with(provider: Value) -> Value {
    json!({"providers": {"idp": provider}})
}

fn configured_with_rule(rule: Value) -> Value {
    let requirement = json!({"allow_missing": {}});
    json!({"providers": {"idp": provider(), "other": provider()}, "rules": [rule],
        "requirement_map": {"anyone": requirement}})
}

/// A configuration with this object in the place of a message.
fn configuration(message: &str, object: Value) -> anyhow::Result<Value> {
    let matching = |matching: Value| json!({"match": matching, "requires": {"provider_name": "idp"}});
    let remote = |remote: Value| configured_with(json!({"issuer": "i", "remote_jwks": remote}));
    let requires = |requires: Value| configured_with_rule(json!({"match": {"prefix": "/"}, "requires": requires}));
    let with = |field: &str, value: Value| configured_with(set(provider(), field, value));
    let uri = json!({"uri": "https://idp.example.com/jwks", "cluster": "idp"});
    Ok(match message {
        "JwtAuthentication" => object,
        "JwtProvider" => configured_with(object),
        "RemoteJwks" => remote(object),
        "JwksAsyncFetch" => remote(json!({"http_uri": uri, "async_fetch": object})),
        "RetryPolicy" => remote(json!({"http_uri": uri, "retry_policy": object})),
        "BackoffStrategy" => remote(json!({"http_uri": uri, "retry_policy": {"retry_back_off": object}})),
        "HttpUri" => remote(json!({"http_uri": object})),
        "Discovery" => remote(json!({"discovery": object})),
        "DataSource" => with("local_jwks", object),
        "JwtHeader" => with("from_headers", json!([object])),
        "JwtClaimToHeader" => with("claim_to_headers", json!([object])),
        "JwtClaimToHeader.PathSegment" => {
            with("claim_to_headers", json!([{"header_name": "x-claim-team", "claim_path": [object]}]))
        }
        "JwtCacheConfig" => with("jwt_cache_config", object),
        "StringMatcher" => with("subjects", object),
        "RequirementRule" => configured_with_rule(object),
        "RouteMatch" => configured_with_rule(matching(object)),
        "RegexMatcher" => configured_with_rule(matching(json!({"safe_regex": object}))),
        "JwtRequirement" => requires(object),
        "JwtRequirementOrList" => requires(json!({"requires_any": object})),
        "JwtRequirementAndList" => requires(json!({"requires_all": object})),
        "ProviderWithAudiences" => requires(json!({"provider_and_audiences": object})),
        "Identity" => json!({"identity": object}),
        "IdentityHeaders" => json!({"identity": {"headers": object}}),
        "Assertion" => json!({"identity": {"assertion": object}}),
        other => bail!("no place for {other}"),
    })
}

fn set(mut object: Value, field: &str, value: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(field.to_owned(), value);
    }
    object
}

/// The smallest configuration with this field, in this spelling.
fn with_field(row: &Row, spelling: &str, value: Value) -> anyhow::Result<Value> {
    let mut object = companions(&row.message, &row.field);
    if let Some(members) = object.as_object_mut() {
        members.remove(&row.field);
    }
    configuration(&row.message, set(object, spelling, value))
}

/// What a message needs besides the field in question.
fn companions(message: &str, field: &str) -> Value {
    let uri = json!({"uri": "https://idp.example.com/jwks", "cluster": "idp"});
    match (message, field) {
        ("JwtProvider", "remote_jwks") => json!({"issuer": "https://idp.example.com"}),
        ("JwtProvider", _) => provider(),
        ("RemoteJwks", "discovery") => json!({}),
        ("RemoteJwks" | "Discovery", _) => json!({"http_uri": uri}),
        ("HttpUri", _) => uri,
        ("BackoffStrategy", _) => json!({"base_interval": "1s"}),
        ("JwtHeader", _) => json!({"name": "x-jwt"}),
        ("JwtClaimToHeader", "claim_path") => json!({"header_name": "x-claim-team"}),
        ("JwtClaimToHeader", _) => json!({"header_name": "x-claim-team", "claim_name": "team"}),
        ("StringMatcher", "ignore_case") => json!({"exact": "a"}),
        ("RequirementRule", "requirement_name") => json!({"match": {"prefix": "/"}}),
        ("RequirementRule", _) => json!({"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}),
        ("RouteMatch", "case_sensitive") => json!({"prefix": "/"}),
        ("RegexMatcher", _) => json!({"regex": "/a"}),
        ("ProviderWithAudiences", _) => json!({"provider_name": "idp"}),
        _ => json!({}),
    }
}

/// Whether the filter would start with it.
fn start(configuration: &Value, signing_key: &str) -> Result<(), ConfigError> {
    let environment = |name: &str| match name {
        "JWKS" => Some(JWKS.to_owned()),
        "IDENTITY_SIGNING_KEY" => Some(signing_key.to_owned()),
        _ => None,
    };
    Gate::new(Config::parse(configuration.to_string().as_bytes())?, environment).map(drop)
}

fn signing_key() -> anyhow::Result<String> {
    Ok(identity::KeyPair::generate()?.private_pem)
}

#[test]
fn every_field_of_jwt_authn_has_its_row() {
    let fields = |(message, fields): &(&str, &str)| -> Vec<(String, String)> {
        fields.split_whitespace().map(|field| ((*message).to_owned(), field.to_owned())).collect()
    };
    let expected: Names = JWT_AUTHN.iter().flat_map(fields).collect();
    let rows = rows().unwrap();
    assert_eq!(differing(&names(&rows), &expected), []);
    assert_eq!(rows.len(), expected.len(), "two rows for one field");
}

#[test]
fn every_field_of_the_schema_has_its_row_and_every_done_row_its_field() {
    let schema = schemars::schema_for!(Config).to_value();
    let renamed = BTreeMap::from(RENAMED);
    let root = ("Config".to_owned(), schema.clone());
    let types = schema["$defs"].as_object().unwrap().clone().into_iter().chain([root]);
    let mut known = Names::new();
    for (name, schema) in types {
        let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys());
        let own = [name.as_str()];
        let messages = renamed.get(name.as_str()).copied().unwrap_or(&own);
        for field in fields {
            known.extend(messages.iter().map(|message| ((*message).to_owned(), field.clone())));
        }
    }
    assert_eq!(differing(&names(&done().unwrap()), &known), []);
}

#[test]
fn the_example_of_every_done_row_is_accepted_in_both_spellings() {
    let (rows, key, schema) = (done().unwrap(), signing_key().unwrap(), schema::generated());
    assert!(rows.len() > 80, "{}", rows.len());
    for row in rows {
        for spelling in [row.field.clone(), camel_case(&row.field)] {
            let configuration = with_field(&row, &spelling, row.value().unwrap()).unwrap();
            assert_eq!(start(&configuration, &key), Ok(()), "{row:?}\n{configuration:#}");
            schema::check(&schema, &schema, &configuration).unwrap();
        }
    }
}

#[test]
fn every_refused_row_is_refused_with_its_reason() {
    let (rows, key, schema) = (rows().unwrap(), signing_key().unwrap(), schema::generated());
    let refused: Vec<_> = rows.iter().filter_map(|row| row.reason().map(|reason| (row, reason))).collect();
    let told: BTreeSet<_> = refused.iter().map(|(row, reason)| (&*row.message, &*row.field, *reason)).collect();
    assert_eq!(told, UNSUPPORTED.iter().map(|one| (one.message, one.field, one.reason)).collect());
    for (row, reason) in refused {
        for spelling in [row.field.clone(), camel_case(&row.field)] {
            let configuration = with_field(row, &spelling, json!({})).unwrap();
            assert!(schema::check(&schema, &schema, &configuration).is_err(), "{row:?}");
            let error = start(&configuration, &key).unwrap_err();
            assert_eq!(error.path.rsplit('.').next(), Some(spelling.as_str()), "{row:?}: {error}");
            assert_eq!(error.problem, format!("not supported: {reason}"), "{row:?}");
        }
    }
}

/// The JSON blocks of the page.
fn blocks() -> anyhow::Result<Vec<Value>> {
    let texts = PAGE.split("\n```json\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    texts.map(|text| serde_json::from_str(text).with_context(|| text.to_owned())).collect()
}

#[test]
fn every_whole_configuration_on_the_page_is_accepted() {
    let whole: Vec<_> = blocks().unwrap().into_iter().filter(|block| block.get("providers").is_some()).collect();
    assert_eq!(whole.len(), 2);
    for configuration in whole {
        assert_eq!(start(&configuration, ""), Ok(()), "{configuration:#}");
    }
}

/// The form of the assertion, for those who verify it in another language.
#[test]
fn the_assertion_has_the_form_on_the_page() {
    let pair = identity::KeyPair::generate().unwrap();
    let caller = identity::Stated { issuer: "i", subject: "s", name: "n", claims: "{}", token_sha256: "t" };
    let signer = identity::Signer::new(&pair.private_pem, "edge", "runner-tokens").unwrap();
    let assertion = signer.sign(&caller, 1_800_000_000, 60).unwrap();
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let real = assertion.split('.').take(2).map(|part| {
        let json = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        members(&serde_json::from_slice(&json).unwrap())
    });
    let documented =
        blocks().unwrap().into_iter().filter(|block| block.get("typ").is_some() || block.get("idp").is_some());
    assert_eq!(real.collect::<Vec<_>>(), documented.map(|block| members(&block)).collect::<Vec<_>>());
}

#[test]
fn every_refusal_is_answered_as_the_page_says() {
    let rows = tables::<5>("## Refusals").unwrap().into_iter();
    let told: BTreeMap<String, [String; 5]> = rows.map(|cells| (ticked(&cells[0]).to_owned(), cells)).collect();
    assert_eq!(told.len(), Refusal::ALL.len());
    for refusal in Refusal::ALL {
        let code = refusal.code();
        let cells = told.get(code).expect(code);
        let answer = Answer::to(refusal, None);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let challenge = answer.headers.iter().find(|(name, _)| *name == "www-authenticate").map(|(_, value)| *value);
        let error = challenge.and_then(|challenge| Some(challenge.split_once("error=\"")?.1.trim_end_matches('"')));
        let status = answer.status.to_string();
        let given = [status.as_str(), body["type"].as_str().unwrap(), error.unwrap_or(NO_VALUE)];
        assert_eq!([&cells[1], &cells[2], &cells[3]].map(|cell| ticked(cell)), given, "{refusal:?}");
        let retry = answer.headers.iter().find(|(name, _)| *name == "retry-after").map(|(_, value)| *value);
        assert_eq!(retry, (answer.status == 503).then_some("5"));
        assert!(challenge.is_none_or(|challenge| challenge.starts_with(r#"Bearer realm="edge""#)));
    }
}

/// Somebody who reads a code in the metrics finds what to do.
#[test]
fn every_refusal_has_its_remedy() {
    let rows = tables::<2>("### By code").unwrap();
    let told: Vec<_> = rows.iter().map(|[code, _]| ticked(code)).collect();
    assert_eq!(told, Refusal::ALL.map(Refusal::code));
}

#[test]
fn every_cause_of_a_failed_fetch_has_its_remedy() {
    let rows = tables::<2>("### Keys that do not come").unwrap();
    let told: BTreeSet<_> = rows.iter().map(|[cause, _]| ticked(cause).to_owned()).collect();
    // A document of a fetch is refused for its size before it is read.
    let of_keys = [KeySetError::TooMany, KeySetError::Malformed, KeySetError::Unusable].map(FetchError::Keys);
    let statuses = [503, 504, 404, 403].map(FetchError::Status);
    let others = [FetchError::NoAnswer, FetchError::TooLarge, FetchError::Metadata];
    let causes = of_keys.into_iter().chain(statuses).chain(others);
    assert_eq!(told, causes.map(|cause| cause.to_string()).collect());
}

/// The lines of the log that the page quotes are those of the filter's code.
#[test]
fn quoted_lines_of_the_log_are_written_by_the_filter() {
    let sources = ["root", "state", "stream", "fetching"].map(|file| {
        std::fs::read_to_string(format!("{}/../../filter/src/{file}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap()
    });
    let quoted = PAGE.split("`oidc filter: ").skip(1).filter_map(|rest| rest.split('`').next());
    let quoted: Vec<_> = quoted.map(|line| line.split([':', '…']).next().unwrap_or_default()).collect();
    assert!(quoted.len() >= 5);
    for line in quoted {
        let words = line.split("NAME").next().unwrap_or_default();
        let line = format!("oidc filter: {words}");
        assert!(sources.iter().any(|source| source.contains(&line)), "{line:?}");
    }
}

#[test]
fn the_defaults_of_the_keys_are_those_on_the_page() {
    let rows = tables::<3>("## Keys").unwrap();
    let told: BTreeMap<_, _> = rows.iter().map(|[name, value, _]| (ticked(name), ticked(value).to_owned())).collect();
    let is = KeySettings::default();
    let seconds = |duration: std::time::Duration| format!("{}s", duration.as_secs());
    let expected = [
        ("cache_duration", seconds(is.cache)),
        ("unknown_key_cooldown", seconds(is.cooldown)),
        ("failed_refetch_duration", seconds(is.refetch)),
        ("stale_limit", seconds(is.stale_limit)),
        ("max_size", is.limits.bytes.to_string()),
        ("max_keys", is.limits.keys.to_string()),
    ];
    assert_eq!(told, BTreeMap::from(expected));
}

/// The links of the page's own contents, and those to files.
#[test]
fn links_lead_somewhere() {
    let anchors: BTreeSet<String> = PAGE
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace('`', "").replace(' ', "-"))
        .collect();
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let targets = PAGE.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.starts_with("https://")) {
        match target.strip_prefix('#') {
            Some(anchor) => assert!(anchors.contains(anchor), "{target}"),
            None => assert!(docs.join(target).exists(), "{target}"),
        }
    }
}
