//! What is fuzzed: every way by which bytes of strangers get in. Each target panics when it finds something.
//!
//! The fuzzer runs these with coverage; `tests/fuzzing.rs` runs the same on a stable compiler over the seeds in
//! `corpus/` and repeatable mutations of them.

use std::cell::RefCell;

use authn::config::Config;
use authn::{
    DEFAULT_LIMITS, Gate, Headers, KeySet, KeySettings, KeySource, PureRust, Refusal, Turn, UnverifiedToken, Verdict,
    Worker, max_age,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// A target and the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));
/// All targets.
pub const TARGETS: [Target; 4] =
    [("token", token), ("key_set", key_set), ("configuration", configuration), ("admission", admission)];

/// The keys that the gate believes, and all tokens that they ever signed.
const KEYS: &str = include_str!("../corpus/key_set/all");
const GOOD: [&str; 5] = [
    include_str!("../corpus/token/rs256"),
    include_str!("../corpus/token/ps256"),
    include_str!("../corpus/token/es256"),
    include_str!("../corpus/token/es384"),
    include_str!("../corpus/token/eddsa"),
];
/// Between `iat` and `exp` of those, in milliseconds since the Unix epoch.
const NOW: u64 = 1_800_000_000_000;

thread_local! {
    static WORLD: RefCell<Option<(Gate, Worker)>> = RefCell::new(world());
    static DISCOVERING: Option<Gate> = discovering();
}

fn discovering() -> Option<Gate> {
    let json = br#"{"providers": {"p": {"issuer": "https://idp.example", "remote_jwks": {"discovery": {
        "http_uri": {"uri": "https://idp.example/.well-known/openid-configuration", "cluster": "idp"}}}}}}"#;
    Gate::new(Config::parse(json).ok()?, |_| None).ok()
}

fn world() -> Option<(Gate, Worker)> {
    // The set stands in the configuration as text within text.
    let keys = KEYS.replace('"', "\\\"");
    let provider = |places: &str| {
        format!(
            r#"{{"issuer": "https://idp.example", "audiences": ["runners"], "local_jwks": {{"inline_string": "{keys}"}},
                "claim_to_headers": [{{"header_name": "x-claim-scope", "claim_name": "scope"}}] {places}}}"#
        )
    };
    let (main, placed) = (
        provider(""),
        provider(
            r#", "from_headers": [{"name": "x-jwt", "value_prefix": "jwt="}], "from_params": ["jwt"], "from_cookies": ["session"]"#,
        ),
    );
    let json = format!(
        r#"{{"providers": {{"main": {main}, "placed": {placed}}},
            "rules": [{{"match": {{"path": "/health"}}}}, {{"match": {{"prefix": "/public/"}}}},
                {{"match": {{"prefix": "/api/"}}, "requires": {{"provider_name": "main"}}}},
                {{"match": {{"prefix": "/placed/"}}, "requires": {{"provider_name": "placed"}}}}],
            "allowed_algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
            "identity": {{}}}}"#
    );
    let gate = Gate::new(Config::parse(json.as_bytes()).ok()?, |_| None).ok()?;
    let worker = gate.worker(Box::new(PureRust)).ok()?;
    Some((gate, worker))
}

/// Whether a request gets through, and how.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Public,
    Verified,
    Refused(Refusal),
}

fn outcome(headers: &Headers<'_>) -> Outcome {
    WORLD.with_borrow_mut(|world| {
        let Some((gate, worker)) = world else {
            assert!(world.is_some(), "the gate's configuration holds");
            return Outcome::Public;
        };
        gate.forged_headers(headers);
        let refusal = match gate.judge(headers, worker, NOW) {
            Ok(Verdict::Public) => return Outcome::Public,
            Ok(Verdict::Verified(_)) => return Outcome::Verified,
            Err(denied) => denied.refusal,
        };
        let answer = gate.answer(refusal, headers.first("x-request-id"));
        assert!((400..600).contains(&answer.status), "a refusal is an error: {answer:?}");
        Outcome::Refused(refusal)
    })
}

/// A token as text; or header, payload and signature as lines, to be encoded, so that mutations get that far.
pub fn token(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let text = match (parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature)) => {
            [header, payload, signature].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".")
        }
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    if let Ok(parsed) = UnverifiedToken::parse(&text) {
        parsed.claimed_issuer();
        parsed.claimed_key_id();
    }
    let bearer = format!("Bearer {text}");
    let headers = [(&b":path"[..], &b"/api/x"[..]), (b"authorization", bearer.as_bytes())];
    if outcome(&headers.into_iter().collect()) == Outcome::Verified {
        assert!(GOOD.contains(&text.trim_matches(' ')), "a forged token passed: {text}");
    }
}

/// A JWK set, a `Cache-Control` header, the issuer's metadata, and what other plugins may put into shared data.
pub fn key_set(data: &[u8]) {
    metadata(data);
    shared(data);
    max_age(&String::from_utf8_lossy(data));
    if let Ok(set) = KeySet::parse(data, DEFAULT_LIMITS) {
        let skipped: usize = set.skipped().values().sum();
        assert!(set.usable() > 0 && set.usable().saturating_add(skipped) <= DEFAULT_LIMITS.keys, "{set:?}");
    }
}

fn metadata(data: &[u8]) {
    DISCOVERING.with(|gate| {
        let remote = gate.as_ref().and_then(|gate| gate.providers().first()).and_then(authn::Provider::remote);
        assert!(remote.is_some(), "the gate's configuration holds");
        let Some((remote, uri)) = remote.and_then(|remote| Some((remote, remote.jwks_uri(data)?))) else { return };
        if let Some(fetch) = remote.second(&uri) {
            assert!(fetch.scheme == "https" && fetch.cluster == "idp", "led astray: {fetch:?}");
            assert!(fetch.path.starts_with('/') && !fetch.authority.contains(['/', '@', ' ']), "no URL: {fetch:?}");
        }
    });
}

/// As both records, for a worker without keys and for one that has some.
fn shared(data: &[u8]) {
    let mut fresh = KeySource::remote(KeySettings::default());
    let adopted = Turn::take(&mut fresh, Some(data), Some(data), NOW, 0) == Turn::Adopted;
    assert_eq!(adopted, fresh.fetched_at().is_some(), "keys come by being adopted alone");
    assert!(fresh.fetched_at().is_none_or(|at| at <= NOW), "keys from the future");
    let mut full = KeySource::remote(KeySettings::default());
    assert_eq!(full.finished(Ok((KEYS.as_bytes(), None)), NOW, 0), Ok(()));
    let turn = Turn::take(&mut full, Some(data), Some(data), NOW, 0);
    assert!(turn != Turn::Adopted && full.keys(NOW).is_some(), "older keys took the place of newer ones");
}

/// A plugin configuration.
pub fn configuration(data: &[u8]) {
    let gate = match Config::parse(data).and_then(|config| Gate::new(config, |_| None)) {
        Ok(gate) => gate,
        Err(error) => {
            assert!(!error.problem.is_empty(), "an error says what is wrong: {error:?}");
            return;
        }
    };
    let headers = [(&b":path"[..], &b"/api/x?jwt=a.b.c"[..]), (b"cookie", b"session=a")].into_iter().collect();
    gate.forged_headers(&headers);
    if let Ok(mut worker) = gate.worker(Box::new(PureRust)) {
        // Whether it may pass depends on the configuration; it must only not panic.
        let _ = gate.judge(&headers, &mut worker, NOW);
    }
}

/// A path, and headers as lines; and all of it as a map of the host.
pub fn admission(data: &[u8]) {
    if let Some(headers) = Headers::from_map(data) {
        outcome(&headers);
    }
    let mut lines = data.split(|byte| *byte == b'\n');
    let path = lines.next().unwrap_or_default();
    let first = [(&b":method"[..], &b"GET"[..]), (b":path", path)];
    let headers: Headers<'_> = first.into_iter().chain(lines.filter_map(header)).collect();
    match outcome(&headers) {
        Outcome::Public => assert!(is_public(path), "reached a public rule: {}", String::from_utf8_lossy(path)),
        Outcome::Verified => assert!(carries_good_token(&headers), "passed without a good token: {headers:?}"),
        Outcome::Refused(_) => {}
    }
}

fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(at)?;
    Some((name, value.get(1..)?.trim_ascii()))
}

/// A second opinion, by other means than the gate's: the path is below a public rule, and in no reading elsewhere.
fn is_public(path: &[u8]) -> bool {
    let text = String::from_utf8_lossy(path).to_ascii_lowercase();
    let path = text.split(['?', '#']).next().unwrap_or_default().replace("%2e", ".");
    let mut segments = path.split('/').skip(1).collect::<Vec<_>>();
    let last = segments.pop().unwrap_or_default();
    let public = path.starts_with("/public/") || path == "/health" || path.contains('%');
    let plain = !path.contains('\\') && !path.contains("%2f") && !path.contains("%5c");
    public && plain && !segments.iter().any(|one| matches!(*one, "" | "." | "..")) && !matches!(last, "." | "..")
}

fn carries_good_token(headers: &Headers<'_>) -> bool {
    headers.iter().any(|(name, value)| {
        let text = String::from_utf8_lossy(value);
        // In a query it may be percent-encoded in more ways than one.
        name == b":path" && text.contains('%') || GOOD.iter().any(|good| text.contains(good))
    })
}
