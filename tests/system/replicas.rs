//! Three control planes on one database: the one that does a job is killed, frozen or stopped in the middle of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::json;
use testkit::github::{Endpoint, Fault, GithubConfig, Limits};
use testkit::system::{System, SystemOptions};

use crate::support::{database, provision, token_of, until};

/// Runners that are to be deleted while the leader changes.
const RUNNERS: usize = 12;
/// How long GitHub takes to delete one: long enough to be hit in the middle.
const DELETION: Duration = Duration::from_millis(150);
/// Far more than a failover takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// SIGKILL.
    Killed,
    /// SIGTERM.
    Stopped,
    /// SIGSTOP, and later it goes on.
    Frozen,
}

/// A system with three control planes that compare every second.
pub(crate) async fn three() -> anyhow::Result<System> {
    let variables = [("RECONCILE_INTERVAL_SECONDS", "1"), ("RATE_LIMIT_PER_MINUTE", "0")];
    let options = SystemOptions {
        replicas: 3,
        control_plane: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        github: GithubConfig { limits: Limits::NONE, ..SystemOptions::default().github },
        ..SystemOptions::default()
    };
    System::start(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_in_the_middle_of_its_work_is_replaced() -> anyhow::Result<()> {
    let mut system = three().await?;
    for job in ["upkeep", "drains"] {
        let mut took = BTreeMap::new();
        for fate in [Fate::Killed, Fate::Stopped, Fate::Frozen] {
            let failover = one(&mut system, job, fate).await.with_context(|| format!("{job} {fate:?}"))?;
            println!("{job}: a leader that is {fate:?} is replaced after {failover:?}");
            took.insert(format!("{fate:?}"), failover);
        }
        let limits = [("Killed", 3), ("Stopped", 3), ("Frozen", 12)];
        let slow = limits.iter().filter(|(fate, limit)| took.get(*fate) > Some(&Duration::from_secs(*limit)));
        assert_eq!(slow.count(), 0, "{job}: {took:?}");
    }
    Ok(())
}

/// Lets the leader of a job meet its fate in the middle of deleting runners; how long it took until the next one was
/// deleted by another.
async fn one(system: &mut System, job: &str, fate: Fate) -> anyhow::Result<Duration> {
    let ids = runners(system, &format!("{job}-{fate:?}")).await?;
    let left = |system: &System| system.github().runners().iter().filter(|runner| ids.contains(&runner.id)).count();
    system.github().inject(Endpoint::DeleteRunner, Fault::HangAfterCommit(DELETION), 1000);
    give_work(system, job).await?;
    until("three runners are deleted", PATIENCE, async || Ok(left(system) <= RUNNERS - 3)).await?;
    let number = leader(system, job).await?;
    let replica = system.control_planes().get_mut(number).context("no such replica")?.process();
    match fate {
        Fate::Killed => replica.kill(),
        Fate::Stopped => replica.ask_to_stop(),
        Fate::Frozen => replica.freeze(),
    }
    let (asked, ended) = (system.github().count(Endpoint::DeleteRunner), Instant::now());
    assert!(left(system) > 2, "it was done already");
    let github = system.github().clone();
    until("another goes on", PATIENCE, async || Ok(github.count(Endpoint::DeleteRunner) > asked)).await?;
    let failover = ended.elapsed();
    until("all are deleted", PATIENCE, async || Ok(left(system) == 0)).await?;
    let mut connection = database(system).await?;
    let query = "select not exists (select from runners where state <> 'deleted')";
    until("and recorded", PATIENCE, async || Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)).await?;

    let replica = system.control_planes().get_mut(number).context("no such replica")?.process();
    if fate == Fate::Frozen {
        // It goes on where it stood, and must not do harm.
        replica.thaw();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(replica.ended().is_none());
    } else {
        replica.until_ended(PATIENCE).await;
        system.restart_control_plane(number).await?;
    }
    system.github().clear_faults();
    each_once(system, &ids).await?;
    Ok(failover)
}

/// Just-in-time runners that nobody started: GitHub's ids of them.
async fn runners(system: &System, prefix: &str) -> anyhow::Result<Vec<u64>> {
    let token = token_of(system, "team-blue")?;
    let mut ids = Vec::new();
    for number in 0..RUNNERS {
        let body = json!({"runner_name": format!("{prefix}-{number}"), "mode": "jit"});
        let answer = provision(system, &token, &body).await?;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        let id = answer.body.get("github_runner_id").and_then(serde_json::Value::as_u64);
        ids.push(id.context("no id")?);
    }
    Ok(ids)
}

/// What hours would bring about: their secrets have expired, or they are to be drained.
async fn give_work(system: &System, job: &str) -> anyhow::Result<()> {
    let statement = match job {
        "upkeep" => "update runners set secret_expires_at = now() - interval '1 hour' where state <> 'deleted'",
        _ => "update runners set drain_requested_at = now(), drain_next_at = now() where state <> 'deleted'",
    };
    sqlx::query(statement).execute(&mut database(system).await?).await?;
    Ok(())
}

/// The number of the replica that has the turn.
async fn leader(system: &System, job: &str) -> anyhow::Result<usize> {
    let query = "select application_name from pg_locks join pg_stat_activity using (pid)
        where locktype = 'advisory' and granted and pg_locks.database =
                (select oid from pg_database where datname = current_database())
            and (classid::bigint << 32) | objid::bigint = hashtextextended($1, 0)";
    let name: String =
        sqlx::query_scalar(query).bind(format!("runner-tokens {job}")).fetch_one(&mut database(system).await?).await?;
    Ok(name.rsplit('-').next().context("no number")?.parse()?)
}

/// GitHub deleted each exactly once, and each has exactly one entry of its end.
async fn each_once(system: &System, ids: &[u64]) -> anyhow::Result<()> {
    let calls = system.github().calls();
    for id in ids {
        let end = format!("/runners/{id}");
        let of_it =
            |call: &&testkit::github::Call| call.endpoint == Endpoint::DeleteRunner && call.path.ends_with(&end);
        // No status: whoever asked was gone before the answer came.
        let done = calls.iter().filter(of_it).filter(|call| matches!(call.status, Some(204) | None)).count();
        assert_eq!(done, 1, "runner {id}");
    }
    let query = "select count(*) from audit_log where event = 'runner.deleted'
        group by runner_id having count(*) > 1";
    let twice: Vec<i64> = sqlx::query_scalar(query).fetch_all(&mut database(system).await?).await?;
    assert_eq!(twice, [0_i64; 0]);
    Ok(())
}
