//! The code on the page on the filter with which an upstream in another language verifies an assertion.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testkit::system::Scope;

use crate::alone::{AUDIENCE, Alone};

const PAGE: &str = include_str!("../../docs/filter.md");
/// Says whom an assertion names, or nothing when it is refused.
const PROGRAM: &str = r"
const { ASSERTION, KEYS, AUDIENCE, LATER } = process.env;
let caller = null;
try {
  caller = callerOf(ASSERTION, keysOf(KEYS), AUDIENCE, Date.now() / 1000 + Number(LATER));
} catch (error) {
  console.error(error.message);
}
console.log(JSON.stringify(caller));
";

struct Verifier {
    scope: Scope,
    keys: String,
}

impl Verifier {
    fn new(keys: &str) -> anyhow::Result<Self> {
        let scope = Scope::new()?;
        let block = PAGE.split("\n```js\n").nth(1).and_then(|rest| rest.split("\n```").next());
        let code = block.context("the page has no code in JavaScript")?;
        fs::write(program(&scope), format!("{code}\n{PROGRAM}"))?;
        Ok(Self { scope, keys: keys.to_owned() })
    }

    /// Whom the code says an assertion names, so many seconds from now.
    fn caller(&self, assertion: &str, audience: &str, later: i32) -> anyhow::Result<Value> {
        let node = env::var_os("NODE_BIN").context("NODE_BIN is not set: run these tests with `cargo xtask test`")?;
        let mut command = Command::new(node);
        command.arg(program(&self.scope)).env_clear();
        command.envs([("ASSERTION", assertion), ("KEYS", &self.keys), ("AUDIENCE", audience)]);
        let output = command.env("LATER", later.to_string()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

fn program(scope: &Scope) -> PathBuf {
    scope.directory().join("upstream.mjs")
}

#[tokio::test]
async fn it_believes_the_gateway_and_nobody_else() -> anyhow::Result<()> {
    let (pair, stranger) = (identity::KeyPair::generate()?, identity::KeyPair::generate()?);
    let identity = json!({"assertion": {"audience": AUDIENCE, "claims": ["jti"]}});
    let alone = Alone::start(&identity, &pair.private_pem).await?;
    let arrived = Alone::arrived(alone.get("/orders").bearer_auth(alone.token()?)).await?;
    let assertion = arrived.get("x-identity-assertion").context("no assertion")?;

    let upstream = Verifier::new(&format!("{}{}", stranger.public_pem, pair.public_pem))?;
    let caller = upstream.caller(assertion, AUDIENCE, 0)?;
    assert_eq!(caller["issuer"], json!(alone.issuer.issuer()));
    assert_eq!((&caller["subject"], &caller["name"]), (&json!("machine-7"), &json!("machine-7")));
    assert!(caller["claims"]["jti"].is_string(), "{caller}");

    let (signed, signature) = assertion.rsplit_once('.').context("not a JWS")?;
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let altered = format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default());
    let refused = [
        upstream.caller(&altered, AUDIENCE, 0)?,
        upstream.caller(assertion, "another-service", 0)?,
        upstream.caller(assertion, AUDIENCE, 90)?,
        upstream.caller(assertion, AUDIENCE, -90)?,
        upstream.caller(&alone.token()?, AUDIENCE, 0)?,
        Verifier::new(&stranger.public_pem)?.caller(assertion, AUDIENCE, 0)?,
    ];
    assert_eq!(refused, [(); 6].map(|()| Value::Null));
    Ok(())
}
