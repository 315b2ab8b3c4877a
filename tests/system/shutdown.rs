//! SIGTERM, with something under way.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::StatusCode;
use testkit::github::{Endpoint, Fault};
use testkit::system::{Process, System, SystemOptions};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::{Answer, database, list_with, provision, runner, token_of, until};

/// Time for whatever should happen soon.
const SOON: Duration = Duration::from_secs(5);

async fn system(variables: &[(&str, &str)]) -> anyhow::Result<System> {
    let control_plane = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    System::start(SystemOptions { control_plane, ..SystemOptions::default() }).await
}

fn process(system: &mut System) -> anyhow::Result<&mut Process> {
    Ok(system.control_planes().first_mut().context("no control plane")?.process())
}

/// A provision that GitHub keeps waiting for so long, and that it has heard of.
async fn under_way(system: &System, name: &str, wait: Duration) -> anyhow::Result<JoinHandle<anyhow::Result<Answer>>> {
    let before = system.github().count(Endpoint::RegistrationToken);
    system.github().inject(Endpoint::RegistrationToken, Fault::HangBeforeCommit(wait), 1);
    let (token, body, edge) = (token_of(system, "team-blue")?, runner(name), system.edge_url().to_owned());
    let asked = tokio::spawn(async move {
        let request = crate::support::request(reqwest::Method::POST, &edge, "/api/v1/runners/provision");
        crate::support::answer(request.bearer_auth(token).json(&body)).await
    });
    let github = system.github();
    until("GitHub is asked", SOON, async || Ok(github.count(Endpoint::RegistrationToken) > before)).await?;
    Ok(asked)
}

/// How it ended, and after how long.
async fn end(system: &mut System) -> anyhow::Result<(ExitStatus, Duration)> {
    let asked = Instant::now();
    let status = process(system)?.until_ended(Duration::from_secs(30)).await;
    Ok((status.context("it did not end")?, asked.elapsed()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_finishes_and_nothing_new_is_taken() -> anyhow::Result<()> {
    let mut system = system(&[]).await?;
    let answer = under_way(&system, "slow", Duration::from_secs(3)).await?;
    let address = system.control_planes().first().context("no control plane")?.host_and_port()?;
    process(&mut system)?.ask_to_stop();
    until("no new connection is taken", SOON, async || Ok(TcpStream::connect(&address).await.is_err())).await?;
    assert!(process(&mut system)?.ended().is_none(), "it waits");
    let refused = list_with(&system, &token_of(&system, "team-blue")?).await?;
    assert_eq!((refused.status, refused.problem()), (StatusCode::SERVICE_UNAVAILABLE, "service-unavailable"));
    assert!(!refused.header("retry-after").is_empty());
    let mut connection = database(&system).await?;
    let query = "select not exists (select from pg_locks where locktype = 'advisory' and database =
        (select oid from pg_database where datname = current_database()))";
    until("no turn is held", SOON, async || Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)).await?;

    let answer = answer.await??;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let (status, took) = end(&mut system).await?;
    assert_eq!(status.code(), Some(0), "{}", process(&mut system)?.log_end());
    println!("it ended {took:?} after the last answer");
    assert!(took < SOON);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_one_ends_at_once_although_the_edge_keeps_connections() -> anyhow::Result<()> {
    let mut system = system(&[]).await?;
    assert_eq!(provision(&system, &token_of(&system, "team-blue")?, &runner("a")).await?.status, StatusCode::CREATED);
    process(&mut system)?.ask_to_stop();
    let (status, took) = end(&mut system).await?;
    println!("an idle one ended after {took:?}");
    assert!(status.success() && took < Duration::from_secs(2), "{status} {took:?}");
    // Started again on the same port, it is used again.
    system.restart_control_plane(0).await?;
    assert_eq!(provision(&system, &token_of(&system, "team-blue")?, &runner("b")).await?.status, StatusCode::CREATED);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() -> anyhow::Result<()> {
    let mut system = system(&[]).await?;
    let answer = under_way(&system, "slow", Duration::from_secs(9)).await?;
    process(&mut system)?.ask_to_stop();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(process(&mut system)?.ended().is_none(), "it waits");
    process(&mut system)?.ask_to_stop();
    let (status, took) = end(&mut system).await?;
    assert_eq!(status.code(), Some(1));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(process(&mut system)?.log().contains("told to stop a second time"));
    assert_ne!(answer.await??.status, StatusCode::CREATED);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_ends_it() -> anyhow::Result<()> {
    let mut system = system(&[("SHUTDOWN_TIMEOUT_SECONDS", "1")]).await?;
    let answer = under_way(&system, "slow", Duration::from_secs(9)).await?;
    process(&mut system)?.ask_to_stop();
    let (status, took) = end(&mut system).await?;
    assert_eq!(status.code(), Some(1));
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert!(process(&mut system)?.log().contains("SHUTDOWN_TIMEOUT_SECONDS"));
    assert_ne!(answer.await??.status, StatusCode::CREATED);
    Ok(())
}
