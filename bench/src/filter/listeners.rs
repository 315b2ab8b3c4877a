//! What is compared: the filter, Envoy's own `jwt_authn` with the same providers and as many injected headers, and
//! nothing at all.

use serde_json::{Map, Value, json};
use testkit::system::edge::{Listener, Paths, native, ours, wasm};

use crate::tokens::{AUDIENCE, Tokens};
use bench::load::SEEN;

/// The header with the subject, in both filters.
const SUBJECT: &str = "x-auth-subject";

/// How a filter is set up.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    /// Verified tokens kept; none at all when 0.
    pub(crate) cache: u32,
    /// Headers injected: three, or with the assertion (or one claim more, for the peer) four.
    pub(crate) assertion: bool,
    pub(crate) issuers: usize,
    /// Keys of each issuer beside those that sign, which are one an algorithm.
    pub(crate) more_keys: usize,
    /// Whether signatures are checked in wasm, not by the host.
    pub(crate) pure: bool,
}

impl Setup {
    pub(crate) const COLD: Self = Self { cache: 0, assertion: false, issuers: 1, more_keys: 0, pure: false };

    pub(crate) const fn cached(cache: u32) -> Self {
        Self { cache, ..Self::COLD }
    }

    pub(crate) const fn pure(self) -> Self {
        Self { pure: true, ..self }
    }

    pub(crate) const fn signed(self) -> Self {
        Self { assertion: true, ..self }
    }

    pub(crate) const fn issuers(self, issuers: usize) -> Self {
        Self { issuers, ..self }
    }

    pub(crate) const fn more_keys(self, more_keys: usize) -> Self {
        Self { more_keys, ..self }
    }

    /// A name that no other set-up has.
    pub(crate) fn name(&self, filter: &str) -> String {
        let Self { cache, assertion, issuers, more_keys, pure } = self;
        format!("{filter}-cache{cache}-assertion{assertion}-issuers{issuers}-keys{more_keys}-pure{pure}")
    }

    /// This project's filter.
    pub(crate) fn ours(&self, tokens: &Tokens) -> Listener {
        let mut identity = json!({"headers": {"subject": SUBJECT}});
        if let (true, Some(identity)) = (self.assertion, identity.as_object_mut()) {
            identity.insert("assertion".into(), json!({}));
        }
        let mut configuration = self.common(tokens, |provider| {
            provider.insert("jwt_cache_config".into(), json!({"jwt_cache_size": self.cache}));
        });
        configuration.insert("identity".into(), identity);
        configuration.insert("host_signatures".into(), json!(!self.pure));
        configuration.insert("allowed_algorithms".into(), json!(["RS256", "ES256", "PS256", "EdDSA"]));
        let name = self.name("ours");
        listener(&name, vec![ours(&name, &Value::Object(configuration))])
    }

    /// Envoy's own. Its cache is off when it is not configured at all.
    pub(crate) fn peer(&self, tokens: &Tokens) -> Listener {
        let names = [("iss", "x-auth-issuer"), ("sub", SUBJECT), ("email", "x-auth-identity"), ("jti", "x-auth-id")];
        let injected = if self.assertion { 4 } else { 3 };
        let claims: Vec<Value> = names
            .into_iter()
            .take(injected)
            .map(|(claim, header)| json!({"claim_name": claim, "header_name": header}))
            .collect();
        let configuration = self.common(tokens, |provider| {
            provider.insert("claim_to_headers".into(), json!(claims));
            if self.cache > 0 {
                let config = json!({"jwt_cache_size": self.cache, "jwt_max_token_size": 8192});
                provider.insert("jwt_cache_config".into(), config);
            }
        });
        listener(&self.name("peer"), vec![native(&Value::Object(configuration))])
    }

    /// The one issuer that signs tokens comes last.
    fn common(&self, tokens: &Tokens, more: impl Fn(&mut Map<String, Value>)) -> Map<String, Value> {
        let mut providers = Map::new();
        let keys = tokens.keys(self.more_keys);
        for number in 1..=self.issuers {
            let last = number == self.issuers;
            let issuer = if last { tokens.issuer().to_owned() } else { format!("https://issuer-{number}.example.com") };
            let provider = json!({
                "issuer": issuer, "audiences": [AUDIENCE], "local_jwks": {"inline_string": keys},
            });
            if let Value::Object(mut provider) = provider {
                more(&mut provider);
                providers.insert(format!("issuer{number:03}"), Value::Object(provider));
            }
        }
        let named: Vec<Value> = providers.keys().map(|name| json!({"provider_name": name})).collect();
        let requires = match named.as_slice() {
            [one] => one.clone(),
            several => json!({"requires_any": {"requirements": several}}),
        };
        let rules = json!([{"match": {"prefix": "/health"}}, {"match": {"prefix": "/api/"}, "requires": requires}]);
        [("providers".to_owned(), Value::Object(providers)), ("rules".to_owned(), rules)].into_iter().collect()
    }
}

/// Without any filter.
pub(crate) fn nothing() -> Listener {
    listener("nothing", Vec::new())
}

/// With a module that does nothing.
pub(crate) fn empty(module: &str) -> Listener {
    listener("empty", vec![wasm("empty", module, &json!({}))])
}

/// Answers in place of an upstream, so that the filter's part is as large as it can be, and repeats what an upstream
/// would have been told of the caller.
fn listener(name: &str, filters: Vec<Value>) -> Listener {
    let seen = json!({"header": {"key": SEEN, "value": format!("%REQ({SUBJECT})%")}});
    let then = json!({
        "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
        "response_headers_to_add": [seen],
    });
    Listener { name: name.to_owned(), paths: Paths::Normalised, filters, then }
}
