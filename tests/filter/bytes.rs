//! Bytes that are no UTF-8, in every header: each is handled as bytes, and the VM lives on.

use serde_json::{Value, json};
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig, Mint};
use testkit::system::edge::{Edge, Listener, Paths, ours, to_upstream};

use crate::echo;
use crate::wire::{Client, Request};

/// Not UTF-8 in any way: a lone continuation byte, an overlong slash, a surrogate, a cut sequence, bytes never used.
const ODD: [&[u8]; 5] = [b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"a\xe2\x82", b"\xff\xfe"];
/// What only the filter may set.
const OWNED: [&str; 5] = ["x-auth-issuer", "x-auth-subject", "x-auth-identity", "x-identity-assertion", "x-claim-team"];
/// What filters like this one look at, and what they don't.
const OTHERS: [&str; 12] = [
    "accept",
    "authorization",
    "cookie",
    "origin",
    "access-control-request-method",
    "referer",
    "user-agent",
    "x-forwarded-for",
    "x-jwt",
    "x-request-id",
    "x-something",
    "traceparent",
];

struct World {
    edge: Edge,
    issuer: DevIssuer,
    client: Client,
}

async fn start() -> anyhow::Result<World> {
    let issuer = DevIssuer::start(IssuerConfig { algorithms: vec![Algorithm::Es256], ..Default::default() }).await?;
    let filters = vec![ours("bytes", &configuration(&issuer))];
    let listener = Listener { name: "bytes".into(), paths: Paths::AsTheyCame, filters, then: to_upstream() };
    let edge = Edge::start(&[listener], echo::start().await?).await?;
    let client = Client::new(edge.address("bytes").await?);
    Ok(World { edge, issuer, client })
}

/// Every place that a token may stand in, and every header that the filter may set.
fn configuration(issuer: &DevIssuer) -> Value {
    let keys = json!({"inline_string": issuer.jwks().to_string()});
    let provider = |name: &str, more: Value| {
        let mut all = json!({"issuer": issuer.issuer(), "audiences": ["runners"], "local_jwks": keys});
        if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        (name.to_owned(), all)
    };
    let providers: serde_json::Map<String, Value> = [
        provider("bearer", json!({"claim_to_headers": [{"header_name": "x-claim-team", "claim_name": "sub"}]})),
        provider(
            "placed",
            json!({
                "from_headers": [{"name": "x-jwt"}], "from_params": ["jwt"], "from_cookies": ["session"],
            }),
        ),
    ]
    .into_iter()
    .collect();
    json!({
        "providers": providers,
        "rules": [
            {"match": {"prefix": "/public"}},
            {"match": {"prefix": "/bearer"}, "requires": {"provider_name": "bearer"}},
            {"match": {"prefix": "/placed"}, "requires": {"provider_name": "placed"}},
            {"match": {"prefix": "/missing"}, "requires": {"allow_missing": {}}},
        ],
        "bypass_cors_preflight": true,
        "identity": {"assertion": {"claims": ["*"]}},
    })
}

impl World {
    fn good(&self) -> anyhow::Result<Request> {
        let token = self.issuer.mint(&Mint::new("team-blue", "runners").algorithm(Algorithm::Es256))?;
        Ok(Request::get("/bearer/x").header("authorization", format!("Bearer {token}")))
    }

    /// The same VM still judges.
    async fn lives(&mut self) -> anyhow::Result<()> {
        let good = self.good()?;
        let answer = self.client.send(&good).await?;
        assert_eq!((answer.status, answer.arrived("x-auth-subject")), (200, vec!["team-blue"]), "{}", answer.body);
        let bad = self.client.send(&Request::get("/bearer/x").header("authorization", "Bearer a.b.c")).await?;
        assert_eq!(bad.status, 401, "{}", bad.body);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_neither_pass_as_an_identity_nor_end_the_vm() -> anyhow::Result<()> {
    let mut world = start().await?;
    world.lives().await?;
    let vm = vm(&world.edge).await?;
    assert!(!vm.is_empty(), "Envoy counts its VMs");

    forged_headers_are_removed(&mut world).await?;
    other_headers_are_bytes(&mut world).await?;
    tokens_of_bytes_are_refused(&mut world).await?;
    paths_of_bytes_are_refused(&mut world).await?;
    cookies_beside_the_token_stay_as_they_were(&mut world).await?;

    world.lives().await?;
    assert_eq!(self::vm(&world.edge).await?, vm, "no VM was made or reloaded");
    let log = world.edge.process().log();
    assert!(!log.contains("panicked") && !log.contains("Function: proxy_on"), "{log}");
    Ok(())
}

/// Envoy's counts of VMs: how many there are, were made, reloaded.
async fn vm(edge: &Edge) -> anyhow::Result<String> {
    let stats = edge.stats("wasm.*(active|created|cache|reload|fail|crash)").await?;
    let lines: Vec<&str> = stats.lines().filter(|line| !line.contains("oidc_")).collect();
    Ok(lines.join("\n"))
}

/// On a public route, where no token is looked at, and on a protected one, in any spelling.
async fn forged_headers_are_removed(world: &mut World) -> anyhow::Result<()> {
    for name in OWNED {
        for value in ODD {
            for spelling in [name.to_owned(), name.to_ascii_uppercase(), name.replace('-', "_")] {
                let public = world.client.send(&Request::get("/public/x").header(&spelling, value)).await?;
                assert_eq!(public.status, 200, "{spelling}: {}", public.body);
                assert!(public.arrived(&spelling.to_ascii_lowercase()).is_empty(), "{spelling}: {}", public.body);
                let good = world.good()?.header(&spelling, value);
                let answer = world.client.send(&good).await?;
                assert_eq!(answer.arrived("x-auth-subject"), ["team-blue"], "{spelling}: {}", answer.body);
                assert_eq!(answer.arrived("x-claim-team"), ["team-blue"], "{spelling}: {}", answer.body);
                assert!(answer.arrived(&name.replace('-', "_")).is_empty(), "{spelling}: {}", answer.body);
            }
        }
    }
    Ok(())
}

/// They arrive as they came, but for those that a rule is about.
async fn other_headers_are_bytes(world: &mut World) -> anyhow::Result<()> {
    for name in OTHERS {
        for value in ODD {
            let characters: String = value.iter().copied().map(char::from).collect();
            let public = world.client.send(&Request::get("/public/x").header(name, value)).await?;
            assert_eq!(public.status, 200, "{name}: {}", public.body);
            let kept = public.arrived(name).iter().any(|arrived| arrived.contains(&characters));
            // Envoy itself drops or writes anew what it does not understand of these.
            let envoys = matches!(name, "referer" | "x-forwarded-for" | "x-request-id");
            assert!(kept || envoys, "{name}: {}", public.body);
            let mut good = world.good()?;
            if name != "authorization" {
                good = good.header(name, value);
            }
            let answer = world.client.send(&good).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        }
    }
    Ok(())
}

async fn tokens_of_bytes_are_refused(world: &mut World) -> anyhow::Result<()> {
    for value in ODD {
        for (path, name, before) in [
            ("/bearer/x", "authorization", &b"Bearer "[..]),
            ("/bearer/x", "authorization", b""),
            ("/placed/x", "x-jwt", b""),
            ("/placed/x", "cookie", b"session="),
            ("/placed/x", "cookie", b"a="),
            ("/missing/x", "authorization", b"Bearer "),
            ("/missing/x", "x-jwt", b"a.b."),
            ("/missing/x", "cookie", b"session=a.b."),
        ] {
            let request = Request::get(path).header(name, [before, value].concat());
            let answer = world.client.send(&request.clone().header("x-request-id", value)).await?;
            assert!((400..500).contains(&answer.status), "{request:?}: {}", answer.body);
            assert!(answer.body.starts_with('{'), "the answer is a problem document: {}", answer.body);
        }
    }
    Ok(())
}

async fn cookies_beside_the_token_stay_as_they_were(world: &mut World) -> anyhow::Result<()> {
    let token = world.issuer.mint(&Mint::new("team-blue", "runners").algorithm(Algorithm::Es256))?;
    for value in ODD {
        let cookies = [b"a=", value, b"; session=", token.as_bytes(), b"; b=", value].concat();
        let answer = world.client.send(&Request::get("/placed/x").header("cookie", cookies)).await?;
        let characters: String = value.iter().copied().map(char::from).collect();
        assert_eq!(answer.arrived("cookie"), [format!("a={characters}; b={characters}")], "{}", answer.body);
        assert_eq!(answer.arrived("x-auth-subject"), ["team-blue"], "{}", answer.body);
    }
    Ok(())
}

async fn paths_of_bytes_are_refused(world: &mut World) -> anyhow::Result<()> {
    for value in ODD {
        for before in [&b"/bearer/"[..], b"/placed/x?jwt=", b"/", b"/missing/x?jwt="] {
            let request = Request::get([before, value].concat());
            let answer = world.client.send(&request).await?;
            assert!((400..500).contains(&answer.status), "{request:?}: {}", answer.body);
        }
    }
    Ok(())
}
