//! Work grows no faster than its input, whatever a stranger sends: eight times the input may take a good deal more
//! than eight times as long, but not the sixty-four times that quadratic work takes.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use authn::config::Config;
use authn::{Gate, Headers, KeySet, KeySetLimits, PureRust, UnverifiedToken, max_age};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Between linear (8) and quadratic (64), and far from both.
const MOST: u32 = 24;
/// A measurement is the best of so many, and is believed when it condemns so often in a row.
const TRIES: usize = 7;
/// Shorter work drowns in the noise of the clock.
const LONG_ENOUGH: Duration = Duration::from_micros(200);

/// The best time of several, for so many repeats.
fn time(repeats: u32, work: &mut dyn FnMut()) -> Duration {
    let once = |work: &mut dyn FnMut()| {
        let started = Instant::now();
        (0..repeats).for_each(|_| work());
        started.elapsed()
    };
    (0..TRIES).map(|_| once(work)).min().unwrap()
}

/// Fails when inputs of eight times the size take much longer than eight times as long, every time it is measured.
fn grows_at_most_linearly(what: &str, size: usize, input: impl Fn(usize) -> Vec<u8>, work: impl Fn(&[u8])) {
    let (small, large) = (input(size), input(8 * size));
    let mut repeats = 1;
    while time(repeats, &mut || work(black_box(&small))) < LONG_ENOUGH {
        repeats *= 2;
    }
    let ratio = || {
        let small = time(repeats, &mut || work(black_box(&small)));
        time(repeats, &mut || work(black_box(&large))).as_nanos() / small.as_nanos().max(1)
    };
    let ratios: Vec<_> = (0..TRIES).map(|_| ratio()).take_while(|ratio| *ratio > u128::from(MOST)).collect();
    assert!(ratios.len() < TRIES, "{what}: 8 times the input takes {ratios:?} times as long");
}

fn token_of(header: &str, payload: &str) -> Vec<u8> {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(header), part(payload), BASE64_URL_SAFE_NO_PAD.encode([0; 64])).into_bytes()
}

fn parse(token: &[u8]) {
    drop(black_box(UnverifiedToken::parse(std::str::from_utf8(token).unwrap())));
}

/// Repeats a text with the number of each repeat in place of `#`.
fn many(text: &str, times: usize) -> String {
    (0..times).map(|number| text.replace('#', &number.to_string())).collect()
}

#[test]
fn of_a_token() {
    const HEADER: &str = r#"{"alg":"ES256"}"#;
    let claims = |members: &str| format!("{{{members}\"x\":1}}");
    grows_at_most_linearly("claims", 60, |n| token_of(HEADER, &claims(&many("\"m#\":#,", n))), parse);
    grows_at_most_linearly("escapes", 200, |n| token_of(HEADER, &format!("{{\"x\":\"{}\"}}", many("\\n", n))), parse);
    grows_at_most_linearly("an array", 400, |n| token_of(HEADER, &format!("{{\"x\":[{}1]}}", many("1,", n))), parse);
    grows_at_most_linearly("digits", 500, |n| token_of(HEADER, &format!("{{\"x\":{}}}", many("1", n))), parse);
    grows_at_most_linearly("dots", 1000, |n| many(".", n).into_bytes(), parse);
    grows_at_most_linearly("no base64", 1000, |n| many("~", n).into_bytes(), parse);
}

#[test]
fn of_a_key_set() {
    let limits = KeySetLimits { bytes: 1 << 20, keys: 100_000 };
    let work = |document: &[u8]| drop(black_box(KeySet::parse(document, limits)));
    let keys = |text: &str, n: usize| format!("{{\"keys\":[{}0]}}", many(text, n)).into_bytes();
    grows_at_most_linearly("useless keys", 200, |n| keys("{\"kty\":\"oct\",\"kid\":\"k#\"},", n), work);
    grows_at_most_linearly("members", 400, |n| format!("{{{}\"keys\":[]}}", many("\"m#\":#,", n)).into_bytes(), work);
    let directives = |n| many("max-age,", n).into_bytes();
    grows_at_most_linearly("Cache-Control", 400, directives, |text| {
        black_box(max_age(std::str::from_utf8(text).unwrap()));
    });
}

fn gate() -> Gate {
    let keys = include_str!("../fuzz/corpus/key_set/all").replace('"', "\\\"");
    let json = format!(
        r#"{{"providers": {{"p": {{"issuer": "https://idp.example", "local_jwks": {{"inline_string": "{keys}"}},
                "from_headers": [{{"name": "x-jwt", "value_prefix": "jwt="}}],
                "from_params": ["jwt"], "from_cookies": ["session"]}}}},
            "rules": [{{"match": {{"safe_regex": {{"regex": "(/a+)+b"}}}}}},
                {{"match": {{"prefix": "/"}}, "requires": {{"provider_name": "p"}}}}],
            "identity": {{}}}}"#
    );
    Gate::new(Config::parse(json.as_bytes()).unwrap(), |_| None).unwrap()
}

#[test]
fn of_a_request() {
    let gate = gate();
    let judge = |headers: &Headers<'_>| {
        let mut worker = gate.worker(Box::new(PureRust)).unwrap();
        black_box(gate.forged_headers(headers));
        drop(black_box(gate.judge(headers, &mut worker, 1_800_000_000_000)));
    };
    let path = |path: &[u8]| judge(&[(&b":path"[..], path)].into_iter().collect());
    let header = |name: &str, value: &[u8]| {
        judge(&[(&b":path"[..], &b"/x"[..]), (name.as_bytes(), value)].into_iter().collect());
    };
    let text = |before: &'static str, part: &'static str| move |n| format!("{before}{}", many(part, n)).into_bytes();
    grows_at_most_linearly("segments", 1000, text("/", "a/"), path);
    grows_at_most_linearly("climbing", 1000, text("/", "a/../"), path);
    grows_at_most_linearly("slashes", 1000, text("/", "/"), path);
    grows_at_most_linearly("escapes", 1000, text("/", "%61"), path);
    grows_at_most_linearly("a regular expression", 1000, text("/", "aaaa/"), path);
    grows_at_most_linearly("parameters", 400, text("/x?", "p#=%61&"), path);
    grows_at_most_linearly("cookies", 400, text("", "c#=v; "), |value| header("cookie", value));
    grows_at_most_linearly("connection", 400, text("", "x-#, "), |value| header("connection", value));
    grows_at_most_linearly("headers", 400, text("", "x_h#\n"), |lines| {
        let lines = std::str::from_utf8(lines).unwrap().lines();
        judge(&lines.map(|name| (name.as_bytes(), &b"v"[..])).collect());
    });
}

#[test]
fn of_a_configuration() {
    let work = |json: &[u8]| {
        let gate = Config::parse(json).and_then(|config| Gate::new(config, |_| None));
        drop(black_box(gate));
    };
    let rules = |n| {
        let rules = many(r#"{"match": {"prefix": "/p#"}},"#, n);
        format!(r#"{{"rules": [{rules} {{"match": {{"path": "/"}}}}]}}"#).into_bytes()
    };
    grows_at_most_linearly("rules", 100, rules, work);
    let named = |n| {
        let map = many(r#""r#": {"allow_missing": {}},"#, n);
        format!(r#"{{"requirement_map": {{{map} "x": {{}}}}}}"#).into_bytes()
    };
    grows_at_most_linearly("requirements", 100, named, work);
}

#[test]
#[should_panic(expected = "8 times the input takes")]
fn quadratic_work_would_be_found() {
    let pairs = |input: &[u8]| {
        let differences = |one: &u8| input.iter().map(|other| u64::from(*one ^ *other)).sum::<u64>();
        black_box(input.iter().map(differences).sum::<u64>());
    };
    grows_at_most_linearly("pairs", 100, |n| vec![7; n], pairs);
}
