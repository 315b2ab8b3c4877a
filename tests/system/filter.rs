//! The filter's switches and counters in a real Envoy.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use testkit::issuer::{Algorithm, IssuerConfig, Mint, SignWith};
use testkit::system::{AUDIENCE, System, SystemOptions, TEMPLATE};

use crate::support::{answer, list_with, request, token_of, until};

/// A system whose filter has this field set beside `providers`.
async fn with(field: &str) -> anyhow::Result<System> {
    let envoy_template = TEMPLATE.replace("\"providers\": {", &format!("{field}, \"providers\": {{"));
    let issuer = IssuerConfig { algorithms: Algorithm::ALL.to_vec(), ..IssuerConfig::default() };
    System::start(SystemOptions { envoy_template, issuer, ..SystemOptions::default() }).await
}

/// Longer than any count takes on its way to Envoy, which hears of them a few times a second.
const TOLD: Duration = Duration::from_secs(10);

/// The filter's counters by name.
async fn counter(system: &System, name: &str) -> anyhow::Result<u64> {
    let text = request(Method::GET, system.admin_url(), "/stats?filter=oidc_filter").send().await?.text().await?;
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|stat| stat.ends_with(name)));
    let value = line.and_then(|line| line.rsplit(' ').next()).with_context(|| format!("no {name} in {text}"))?;
    Ok(value.parse()?)
}

/// The host's BoringSSL and the module's own code accept and refuse the same, for every algorithm that there is.
#[tokio::test(flavor = "multi_thread")]
async fn both_signature_backends_decide_alike() -> anyhow::Result<()> {
    let all = "\"allowed_algorithms\": [\"RS256\",\"RS384\",\"RS512\",\"PS256\",\"PS384\",\"PS512\",\"ES256\",\"ES384\",\"ES512\",\"EdDSA\"]";
    for field in [all.to_owned(), format!("{all}, \"host_signatures\": false")] {
        let system = with(&field).await?;
        for algorithm in Algorithm::ALL {
            let good = Mint { algorithm, ..Mint::new("team-blue", AUDIENCE) };
            let forged = Mint { sign_with: SignWith::Stranger, ..good.clone() };
            let status = async |mint: &Mint| -> anyhow::Result<StatusCode> {
                Ok(list_with(&system, &system.issuer().mint(mint)?).await?.status)
            };
            assert_eq!(status(&good).await?, StatusCode::OK, "{field} {}", algorithm.name());
            assert_eq!(status(&forged).await?, StatusCode::UNAUTHORIZED, "{field} {}", algorithm.name());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted_without_naming_anybody() -> anyhow::Result<()> {
    let system = with("\"strip_failure_response\": true").await?;
    let token = token_of(&system, "team-blue")?;
    for _ in 0..3 {
        assert_eq!(list_with(&system, &token).await?.status, StatusCode::OK);
    }
    let refused = answer(request(Method::GET, system.edge_url(), "/api/v1/runners")).await?;
    assert_eq!((refused.status, refused.body.as_str()), (StatusCode::UNAUTHORIZED, Some("")));
    let counts = async || -> anyhow::Result<bool> {
        let (allowed, missing) = (counter(&system, ".allowed").await?, counter(&system, ".denied.missing").await?);
        let (fetches, hits) = (counter(&system, ".keys.fetches").await?, counter(&system, ".cache.hits").await?);
        Ok(allowed >= 3 && missing == 1 && fetches >= 1 && hits == 2)
    };
    until("all is counted", TOLD, counts).await?;
    let all = request(Method::GET, system.admin_url(), "/stats").send().await?.text().await?;
    assert!(!all.contains("team-blue") && !all.contains(&token));
    Ok(())
}

/// Shadow mode refuses nothing and vouches for nobody: the control plane, which believes assertions alone, refuses all.
#[tokio::test(flavor = "multi_thread")]
async fn in_shadow_mode_everything_passes_and_nobody_is_vouched_for() -> anyhow::Result<()> {
    let envoy_template = TEMPLATE.replace("\"providers\": {", "\"shadow\": true, \"providers\": {");
    let options = SystemOptions { envoy_template, wait_for_keys: false, ..SystemOptions::default() };
    let system = System::start(options).await?;
    let answer = list_with(&system, &token_of(&system, "team-blue")?).await?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.text("type")?, "/problems/unauthenticated", "the control plane refused it, not the edge");
    let bare = request(Method::GET, system.edge_url(), "/api/v1/runners");
    assert_eq!(crate::support::answer(bare).await?.text("type")?, "/problems/unauthenticated");
    until("it is counted", TOLD, async || Ok(counter(&system, ".shadow_denied").await? >= 1)).await?;
    Ok(())
}

/// The page on the filter lists each counter, and no other.
#[test]
fn every_counter_is_documented() -> anyhow::Result<()> {
    crate::support::in_shared_system(async |system| {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/filter.md"))?;
        let name = |line: &str| Some(line.strip_prefix("| `oidc_filter.")?.split('`').next()?.to_owned());
        let documented: BTreeSet<String> = page.lines().filter_map(name).collect();
        let stats = request(Method::GET, system.admin_url(), "/stats?filter=oidc_filter").send().await?.text().await?;
        let counted = stats.lines().filter_map(|line| line.split_once(':')?.0.split_once("oidc_filter."));
        let counted =
            counted.map(|(_, name)| if name.starts_with("denied.") { "denied.CODE" } else { name }.to_owned());
        assert_eq!(counted.collect::<BTreeSet<_>>(), documented);
        Ok(())
    })
}
