//! A runner that does not appear on GitHub: how far it came.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::Finding;
use crate::github::{Github, Priority, RemoteRunner};
use crate::runner::State;
use crate::store::runners::{Runner, find, newest_named};

const CHECK: &str = "runner";

/// Compares what is recorded of the newest runner of this name, or of the one with this id, with what GitHub has.
pub async fn check_runner(pool: &PgPool, github: &Github, name: &str, now: DateTime<Utc>) -> Finding {
    let runner = match named(pool, name).await {
        Ok(Some(runner)) => runner,
        Ok(None) => {
            let fix = "see the name, and whether the caller's request was answered with 201";
            return Finding::error(CHECK, format!("{name:?} was never provisioned here"), fix);
        }
        Err(error) => return Finding::error(CHECK, format!("can't be looked up: {error}"), "see database"),
    };
    let Ok(target) = runner.target() else {
        return Finding::error(CHECK, format!("its target {:?} is none", runner.target), "see the audit log");
    };
    match github.runner_named(&target, &runner.name, Priority::Request).await {
        Ok(remote) => told(&runner, remote.as_ref().filter(|remote| is_same(&runner, remote)), now),
        Err(error) => Finding::error(CHECK, format!("{target}: {error}"), "see github-app and permissions"),
    }
}

async fn named(pool: &PgPool, name_or_id: &str) -> sqlx::Result<Option<Runner>> {
    let mut conn = pool.acquire().await?;
    // A name may look like an id.
    match newest_named(&mut conn, name_or_id).await? {
        None => match name_or_id.parse::<Uuid>() {
            Ok(id) => find(&mut conn, id).await,
            Err(_) => Ok(None),
        },
        found => Ok(found),
    }
}

/// Whether it is this one, and no namesake that came later.
fn is_same(runner: &Runner, remote: &RemoteRunner) -> bool {
    match runner.github_runner_id {
        Some(id) => remote.id == id,
        None => runner.state != State::Deleted,
    }
}

fn told(runner: &Runner, remote: Option<&RemoteRunner>, now: DateTime<Utc>) -> Finding {
    let Runner { target, name, .. } = runner;
    let is_expired = runner.secret_expires_at.is_some_and(|expiry| expiry <= now);
    match remote {
        Some(remote) if remote.is_online() => Finding::ok(CHECK, format!("{name} is on line in {target}")),
        Some(_) => Finding::warning(
            CHECK,
            format!("GitHub has {name} in {target}, but no machine is connected as it"),
            "start it on its machine (`./run.sh`), and see its _diag directory and that it reaches GitHub",
        ),
        None if runner.state == State::Deleted => {
            let reason = runner.deleted_reason.map_or_else(|| "deleted".to_owned(), |reason| format!("{reason:?}"));
            let fix = "provision it again; an ephemeral runner is gone after its job";
            Finding::warning(CHECK, format!("{name} is gone from {target}: {reason}"), fix)
        }
        None if is_expired => Finding::error(
            CHECK,
            format!("no machine used the token of {name} for {target} before it expired"),
            "provision it again, and run the command within the hour",
        ),
        None => Finding::error(
            CHECK,
            format!("{name} is not in {target}: no machine has run the configuration command yet"),
            format!(
                "run the command of the answer on the machine, for {target} and with this name, and see its output"
            ),
        ),
    }
}
