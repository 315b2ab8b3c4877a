//! Callers' tokens: the issuer, its keys, and a token as the filter would judge it; the edge's key.

use authn::config::Config;
use authn::{Algorithm, DEFAULT_LIMITS, Gate, Headers, KeySet, PureRust, Refusal};
use identity::{DEFAULT_GATEWAY, Signer, Stated};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Finding, web};
use crate::config::ServeConfig;

/// Whose tokens the edge takes.
#[derive(Default)]
pub struct Callers {
    /// `OIDC_ISSUER`
    pub issuer: Option<String>,
    /// `OIDC_AUDIENCE`
    pub audience: Option<String>,
    /// `OIDC_JWKS_URL`; found by discovery without.
    pub jwks_url: Option<String>,
    /// A token that is refused.
    pub token: Option<SecretString>,
}

/// Looks at the issuer, and at the token if there is one.
pub async fn check_callers(callers: &Callers, now: u64) -> Vec<Finding> {
    let Some(issuer) = &callers.issuer else {
        let fix = "set OIDC_ISSUER, OIDC_AUDIENCE and OIDC_JWKS_URL here to what the edge has";
        return vec![Finding::skipped("oidc-keys", "the edge's issuer is not known here", fix)];
    };
    let (mut findings, url) = match &callers.jwks_url {
        Some(url) => (Vec::new(), url.clone()),
        None => match discover(issuer).await {
            Ok(url) => (vec![Finding::ok("oidc-issuer", format!("{issuer} names its keys at {url}"))], url),
            Err(finding) => return vec![finding],
        },
    };
    match keys(&url).await {
        Ok((finding, document)) => {
            findings.extend(finding);
            findings.extend(callers.token.as_ref().map(|token| judge(callers, issuer, token, &document, now)));
        }
        Err(finding) => findings.push(finding),
    }
    findings
}

async fn discover(issuer: &str) -> Result<String, Finding> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let fix = "check OIDC_ISSUER, letter by letter, or set OIDC_JWKS_URL";
    let failed = |what: String| Finding::error("oidc-issuer", what, fix);
    let page = web::get(&url).await.map_err(|error| failed(format!("{url} can't be reached: {error}")))?;
    let document: Value = serde_json::from_slice(&page.body).unwrap_or_default();
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    match (text("issuer"), text("jwks_uri")) {
        (Some(named), Some(keys)) if named == issuer => Ok(keys.to_owned()),
        (Some(named), Some(_)) => Err(failed(format!("{url} is about another issuer, {named:?}"))),
        _ => Err(failed(format!("{url} is no discovery document (status {})", page.status))),
    }
}

async fn keys(url: &str) -> Result<(Vec<Finding>, Vec<u8>), Finding> {
    let fix = "check OIDC_JWKS_URL, and that the edge's network reaches it; the issuer's discovery document names it";
    let failed = |what: String| Finding::error("oidc-keys", what, fix);
    let page = web::get(url).await.map_err(|error| failed(format!("{url} can't be reached: {error}")))?;
    if page.status != 200 {
        return Err(failed(format!("{url} answers with status {}", page.status)));
    }
    let set = KeySet::parse(&page.body, DEFAULT_LIMITS).map_err(|error| failed(format!("{url}: {error}")))?;
    let skipped: Vec<String> = set.skipped().iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let used = format!("{} key(s) at {url} can be used", set.usable());
    let finding = if skipped.is_empty() {
        Finding::ok("oidc-keys", used)
    } else {
        let what = format!("{used}; passed over: {}", skipped.join(", "));
        Finding::warning("oidc-keys", what, "tokens signed with those keys are refused; see docs/filter.md")
    };
    Ok((vec![finding, algorithms(&set)], page.body))
}

/// Whether the keys are of algorithms that the edge allows unless it is told others.
fn algorithms(set: &KeySet) -> Finding {
    const CHECK: &str = "oidc-keys";
    let keys = |algorithm: &Algorithm| set.candidates(None, *algorithm).count();
    let named = |all: &[Algorithm]| all.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
    let allowed =
        Config::parse(br#"{"providers": {}, "rules": []}"#).map(|config| config.allowed_algorithms).unwrap_or_default();
    // A key is of one of the allowed algorithms at most.
    let fit: usize = allowed.iter().map(keys).sum();
    let others: Vec<_> = Algorithm::ALL.into_iter().filter(|one| !allowed.contains(one) && keys(one) > 0).collect();
    let fix = format!("have the issuer sign with {}, or add to the edge's `allowed_algorithms`", named(&allowed));
    if fit == 0 {
        let what = format!("no key is of an algorithm that the edge allows; they are for {}", named(&others));
        Finding::error(CHECK, what, fix)
    } else if fit < set.usable() {
        let what = format!(
            "{} of {} keys are of no algorithm that the edge allows",
            set.usable().saturating_sub(fit),
            set.usable()
        );
        Finding::warning(CHECK, what, fix)
    } else {
        Finding::ok(CHECK, format!("the edge allows those of all {fit} key(s)"))
    }
}

/// The same code as in the filter, with these keys.
fn judge(callers: &Callers, issuer: &str, token: &SecretString, keys: &[u8], now: u64) -> Finding {
    let Some(audience) = &callers.audience else {
        return Finding::skipped("oidc-token", "the edge's audience is not known here", "set OIDC_AUDIENCE here");
    };
    let provider = json!({
        "issuer": issuer, "audiences": [audience], "local_jwks": {"inline_string": String::from_utf8_lossy(keys)},
    });
    let rules = json!([{"match": {"prefix": "/"}, "requires": {"provider_name": "default"}}]);
    let document = json!({"providers": {"default": provider}, "rules": rules}).to_string();
    let judged = Config::parse(document.as_bytes()).and_then(|config| {
        let gate = Gate::new(config, |_| None)?;
        let mut worker = gate.worker(Box::new(PureRust))?;
        let bearer = format!("Bearer {}", token.expose_secret());
        let pairs: [(&[u8], &[u8]); 3] =
            [(b":method", b"GET"), (b":path", b"/"), (b"authorization", bearer.as_bytes())];
        Ok(gate.judge(&Headers::from_iter(pairs), &mut worker, now.saturating_mul(1000)).map(drop))
    });
    match judged {
        Ok(Ok(())) => Finding::ok("oidc-token", "the edge takes this token"),
        Ok(Err(denied)) => {
            Finding::error("oidc-token", format!("the token is refused: {}", denied.refusal), remedy(denied.refusal))
        }
        Err(error) => Finding::error("oidc-token", error.to_string(), "check OIDC_ISSUER and OIDC_AUDIENCE"),
    }
}

fn remedy(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Issuer => {
            "OIDC_ISSUER must be the token's `iss`, letter by letter, with or without the slash at its end"
        }
        Refusal::Audience => "ask the issuer for a token for OIDC_AUDIENCE, or set that to the token's `aud`",
        Refusal::Expired => "get a new token; if it is new, compare the clocks of the issuer and the edge",
        Refusal::NotYetValid => "compare the clocks of the issuer and the edge",
        Refusal::UnknownKey | Refusal::NoKeys => {
            "the key that signed it is not at OIDC_JWKS_URL: check the URL, and whether the issuer rotated its keys"
        }
        Refusal::Signature => "the token was changed on its way, or another issuer signed it: get it anew",
        Refusal::Algorithm => "have the issuer sign with RS256, ES256 or EdDSA, never with a shared secret",
        Refusal::Malformed | Refusal::Missing | Refusal::Ambiguous => {
            "give the access token alone: three parts with dots between, nothing before or after"
        }
        Refusal::Type => "send an access token, not an ID or a logout token",
        Refusal::Subject => "have the issuer write a `sub`",
        Refusal::LivesTooLong => "have the issuer give tokens a shorter life",
        _ => "docs/filter.md says what a token must be like",
    }
}

/// Whether assertions of the edge's key are taken. With none, that is skipped.
pub fn check_identity(config: &ServeConfig, audience: &str, edge_key: Option<&SecretString>, now: u64) -> Finding {
    const CHECK: &str = "identity-keys";
    let known: Vec<&str> = config.verifier.key_ids().collect();
    let Some(pem) = edge_key else {
        let what = format!("taken are assertions of {}; the edge's key is not known here", known.join(", "));
        return Finding::skipped(CHECK, what, "give --edge-key-file on a machine that may read the edge's key");
    };
    let fix = "make a pair with `runner-tokens identity-keygen`: IDENTITY_SIGNING_KEY for the edge, \
               IDENTITY_PUBLIC_KEYS for the service";
    match assertion(pem, audience, now) {
        Ok(assertion) => match config.verifier.verify(&assertion, now) {
            Ok(_) => Finding::ok(CHECK, "the service takes the edge's assertions"),
            Err(error) => {
                let what =
                    format!("the edge's assertions are refused: {error}; taken are those of {}", known.join(", "));
                Finding::error(CHECK, what, fix)
            }
        },
        Err(error) => Finding::error(CHECK, error, fix),
    }
}

/// What the edge would say of a caller that does not exist; with no right to anything.
pub fn assertion(edge_key: &SecretString, audience: &str, now: u64) -> Result<String, String> {
    let stated =
        Stated { issuer: "doctor", subject: "doctor", name: "doctor", claims: "{}", token_sha256: &"0".repeat(64) };
    let signer = Signer::new(edge_key.expose_secret(), DEFAULT_GATEWAY, audience)
        .map_err(|error| format!("the edge's key can't be used: {error}"))?;
    signer.sign(&stated, now, 60).map_err(|error| format!("the edge's key can't sign: {error}"))
}
