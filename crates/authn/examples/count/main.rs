//! Judges one request again and again, for valgrind to count instructions: `count CASE TIMES`.
//!
//! Whoever counts takes the difference of two runs, so that only judging is counted and not what goes before. Token,
//! keys and time are fixed, so that every run does the same; the key that signed was thrown away.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is a failed run")]

use std::hint::black_box;

use authn::config::Config;
use authn::{Backend, Gate, Headers, PublicKey, PureRust, Verdict};
use serde_json::json;

const TOKEN: &str = include_str!("token.txt");
const KEYS: &str = include_str!("keys.json");
/// While the token is valid, in milliseconds since the Unix epoch.
const NOW: u64 = 1_800_000_000_000;
/// A key that signs nothing else: RFC 8410 section 10.3.
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----";

/// A host that answers at once, so that the module's own part is counted.
struct Host;

impl Backend for Host {
    fn holds(&self, _key: &PublicKey, _message: &[u8], _signature: &[u8]) -> bool {
        true
    }
}

/// Tokens remembered, assertions signed, who checks signatures.
fn case(name: &str) -> (u32, bool, Box<dyn Backend>) {
    match name {
        "cached" => (1000, true, Box::new(Host)),
        "cold" => (0, false, Box::new(Host)),
        "cold-signed" => (0, true, Box::new(Host)),
        "cold-alone" => (0, false, Box::new(PureRust)),
        _ => panic!("cached, cold, cold-signed or cold-alone"),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (remembered, signed, backend) = case(&arguments.next().unwrap());
    let times: u32 = arguments.next().unwrap().parse().unwrap();
    let identity = if signed { json!({"assertion": {}}) } else { json!({}) };
    let configuration = json!({
        "providers": {"github": {
            "issuer": "https://token.actions.githubusercontent.com",
            "audiences": ["runner-tokens"],
            "local_jwks": {"inline_string": KEYS},
            "jwt_cache_config": {"jwt_cache_size": remembered},
        }},
        "rules": [
            {"match": {"prefix": "/health"}},
            {"match": {"prefix": "/api/"}, "requires": {"provider_name": "github"}},
        ],
        "identity": identity,
    });
    let config = Config::parse(configuration.to_string().as_bytes()).unwrap();
    let gate = Gate::new(config, |_| Some(SIGNING_KEY.to_owned())).unwrap();
    let mut worker = gate.worker(backend).unwrap();
    let map = request();
    for _ in 0..times {
        let headers = Headers::from_map(&map).unwrap();
        assert!(gate.forged_headers(&headers).is_empty());
        let verdict = gate.judge(&headers, &mut worker, NOW);
        assert!(matches!(black_box(verdict), Ok(Verdict::Verified(_))));
    }
}

/// The headers of a request as a host serialises them.
fn request() -> Vec<u8> {
    let authorization = format!("Bearer {}", TOKEN.trim());
    let headers = [
        (":authority", "runners.example.com"),
        (":path", "/api/v1/runners?limit=50"),
        (":method", "GET"),
        (":scheme", "http"),
        ("user-agent", "curl/8.5.0"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("x-forwarded-for", "203.0.113.7"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("authorization", &authorization),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "5d1b7d1c-3c0a-4c58-a7c7-9b0a3b6b0a11"),
    ];
    let length = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let mut map = length(headers.len()).to_vec();
    for (name, value) in headers {
        map.extend(length(name.len()));
        map.extend(length(value.len()));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend(text.bytes());
        map.push(0);
    }
    map
}
