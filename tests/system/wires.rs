//! Every way between the parts leads over its wire, and what was frozen or started again works.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use testkit::system::{System, SystemOptions};
use testkit::wire::Wiring;

use crate::support::{list_with, provision, runner, token_of, until};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn every_way_between_the_parts_can_be_cut_and_is_used_again_after() -> anyhow::Result<()> {
    let options = SystemOptions { wires: true, own_postgres: true, ..SystemOptions::default() };
    let mut system = System::start(options).await?;
    let token = token_of(&system, "team-blue")?;
    let wires = system.wires().context("no wires")?;
    let [control_plane] = wires.control_planes.as_slice() else { anyhow::bail!("one control plane has one wire") };
    for (wire, problem) in [
        (&wires.postgres, "database-unavailable"),
        (&wires.github, "github-unavailable"),
        (control_plane, "service-unavailable"),
    ] {
        wire.set(Wiring::Refuse);
        let refused = async || Ok(provision(&system, &token, &runner("refused")).await?.problem() == problem);
        until(problem, SOON, refused).await?;
        wire.set(Wiring::Pass);
        let listed = async || Ok(list_with(&system, &token).await?.status == StatusCode::OK);
        until("it is served again", SOON, listed).await?;
    }
    let fetches = system.issuer().jwks_fetches();
    wires.issuer.set(Wiring::Refuse);
    system.issuer().rotate()?;
    let new = token_of(&system, "team-blue")?;
    assert_ne!(list_with(&system, &new).await?.status, StatusCode::OK);
    assert_eq!(system.issuer().jwks_fetches(), fetches);
    wires.issuer.set(Wiring::Pass);
    until("the new key", SOON, async || Ok(list_with(&system, &new).await?.status == StatusCode::OK)).await?;

    let postgres = system.postgres().context("no Postgres of its own")?;
    postgres.freeze().await?;
    let frozen = list_with(&system, &new);
    assert!(tokio::time::timeout(Duration::from_millis(500), frozen).await.is_err(), "nobody answers");
    system.postgres().context("no Postgres of its own")?.thaw();
    until("it is thawed", SOON, async || Ok(list_with(&system, &new).await?.status == StatusCode::OK)).await?;

    let edge = system.edge_url().to_owned();
    system.envoy().process().kill();
    assert!(list_with(&system, &new).await.is_err());
    system.restart_envoy().await?;
    assert_eq!(system.edge_url(), edge);
    until("the edge is back", SOON, async || Ok(list_with(&system, &new).await?.status == StatusCode::OK)).await?;
    Ok(())
}
