//! The database goes away and comes back, under callers and jobs.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::github::{Endpoint, GithubConfig, Limits};
use testkit::system::{System, SystemOptions};

use crate::support::{answer, database, list_with, provision, request, runner, token_of, until};

/// Longer than a control plane waits for a connection, and than what is under way takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn system() -> anyhow::Result<System> {
    let options = SystemOptions {
        own_postgres: true,
        replicas: 2,
        control_plane: vec![("RECONCILE_INTERVAL_SECONDS".to_owned(), "1".to_owned())],
        github: GithubConfig { limits: Limits::NONE, ..SystemOptions::default().github },
        ..SystemOptions::default()
    };
    System::start(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_nothing_is_done_and_with_it_everything_goes_on() -> anyhow::Result<()> {
    let mut system = system().await?;
    let token = token_of(&system, "team-blue")?;
    assert_eq!(provision(&system, &token, &runner("before")).await?.status, StatusCode::CREATED);
    for how in ["stopped", "killed"] {
        let postgres = system.postgres().context("a Postgres of its own")?.process();
        if how == "stopped" {
            postgres.stop();
        } else {
            postgres.kill();
        }
        // A round of jobs that was under way may have called GitHub a moment ago.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let calls = system.github().count(Endpoint::Any);
        let body = json!({"runner_name": format!("{how}-jit"), "mode": "jit"});
        let delete = request(Method::DELETE, system.edge_url(), "/api/v1/runners/before").bearer_auth(&token);
        let refused = tokio::try_join!(provision(&system, &token, &body), list_with(&system, &token), answer(delete))?;
        for refused in [refused.0, refused.1, refused.2] {
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{how}: {refused:?}");
            assert_eq!(refused.problem(), "database-unavailable", "{how}");
            assert!(refused.header("retry-after").parse::<u64>()? > 0, "{how}");
        }
        let ready = answer(request(Method::GET, &system.control_plane_url(), "/health/ready")).await?;
        assert_eq!((ready.status, ready.problem()), (StatusCode::SERVICE_UNAVAILABLE, "not-ready"));
        let live = answer(request(Method::GET, &system.control_plane_url(), "/health/live")).await?;
        assert_eq!(live.status, StatusCode::OK, "nobody should restart it for that");
        assert_eq!(system.github().count(Endpoint::Any), calls, "{how}: GitHub was called without records");

        system.postgres().context("a Postgres of its own")?.start_again().await?;
        let back = Instant::now();
        let name = format!("after-{how}");
        let again = async || Ok(provision(&system, &token, &runner(&name)).await?.status == StatusCode::CREATED);
        until("runners are provisioned again", PATIENCE, again).await?;
        println!("{how}: served again {:?} after the database was back", back.elapsed());
        let listings = system.github().count(Endpoint::ListRunners);
        let compared = async || Ok(system.github().count(Endpoint::ListRunners) > listings);
        until("the jobs go on", PATIENCE, compared).await?;
    }
    for control_plane in system.control_planes() {
        assert!(control_plane.process().ended().is_none(), "it was never restarted");
    }
    // Nothing of what was refused is left, here or at GitHub.
    let query = "select name from runners order by name";
    let names: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut database(&system).await?).await?;
    assert_eq!(names, ["after-killed", "after-stopped", "before"]);
    assert!(system.github().runners().is_empty(), "no just-in-time runner was made");
    Ok(())
}
