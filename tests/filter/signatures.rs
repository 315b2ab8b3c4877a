//! Project Wycheproof's vectors inside a real Envoy: its `verify_signature` (BoringSSL) and the module's own code in
//! wasm decide as they must, and alike. They are put to a module made for this test, with the filter's own code for
//! it: messages of the vectors are no tokens, so the filter could not be asked.

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::system::edge::{Edge, Listener, Paths, to_upstream, wasm};
use testkit::system::path;
use vectors::{Group, Vector};

use crate::echo;
use crate::wire::{Client, Request};

/// What Envoy's BoringSSL does of what tokens are signed with.
const BY_THE_HOST: &str = "RS256 RS384 RS512 ES256 ES384 ES512";
/// What was counted over all vectors. Other numbers come of another version of the vectors.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    asked: usize,
    /// Judged by the host, and not by the module for it.
    by_the_host: usize,
    held: usize,
    /// Left open: what Wycheproof calls invalid of PSS with another salt length than the hash's.
    open: usize,
}

const EXPECTED: Counts = Counts { asked: 4406, by_the_host: 3190, held: 1260, open: 87 };

/// The verdicts about one vector; none when the key is not read.
#[derive(Debug)]
struct Verdicts {
    host: Option<bool>,
    pure: Option<bool>,
}

async fn ask(client: &mut Client, group: &Group, vector: &Vector) -> anyhow::Result<Verdicts> {
    let request = Request::get("/")
        .header("x-keys", json!({"keys": [group.jwk]}).to_string())
        .header("x-algorithm", group.algorithm)
        .header("x-message", hex::encode(&vector.message))
        .header("x-signature", hex::encode(&vector.signature));
    let answer = client.send(&request).await?;
    let body: Value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
    assert_eq!(body.get("usable").and_then(Value::as_str), Some(BY_THE_HOST));
    let verdict = |by: &str| body.get(by).and_then(Value::as_bool);
    Ok(Verdicts { host: verdict("host"), pure: verdict("pure") })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_and_the_module_judge_every_vector_of_wycheproof_alike() -> anyhow::Result<()> {
    let module = path("SIGNATURE_JUDGE_WASM")?.display().to_string();
    let filters = vec![wasm("judge", &module, &json!({}))];
    let listener = Listener { name: "judge".into(), paths: Paths::AsTheyCame, filters, then: to_upstream() };
    let edge = Edge::start(&[listener], echo::start().await?).await?;
    let mut client = Client::new(edge.address("judge").await?);
    let mut counts = Counts::default();
    for group in vectors::all()? {
        for vector in &group.vectors {
            let told = || format!("{}, vector {}", group.set, vector.id);
            let Verdicts { host, pure } = ask(&mut client, &group, vector).await.with_context(told)?;
            assert_eq!(host, pure, "{}", told());
            assert_eq!(host.is_some(), group.has_readable_key(), "{}", told());
            let holds = host.unwrap_or(false);
            assert!(group.must_hold(vector).is_none_or(|must| must == holds), "{}: {holds}", told());
            counts.asked += 1;
            counts.held += usize::from(holds);
            counts.open += usize::from(group.must_hold(vector).is_none());
            counts.by_the_host += usize::from(BY_THE_HOST.split(' ').any(|name| name == group.algorithm));
        }
    }
    println!("{counts:?}");
    assert_eq!(counts, EXPECTED);
    Ok(())
}
