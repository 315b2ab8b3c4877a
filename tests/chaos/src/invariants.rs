//! What must hold once nobody does anything any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::book::Stage;
use crate::world::{Outside, World};

/// An interrupted provision is put right after fifteen seconds and two comparisons; a machine under load needs more.
const SETTLED: Duration = Duration::from_secs(90);
const MOMENT: Duration = Duration::from_millis(200);

/// Waits until everything is put right, while no client does anything. How long it took, and what was not.
pub(crate) async fn settle(pool: &PgPool, outside: &Outside) -> (Duration, Vec<String>) {
    let started = Instant::now();
    loop {
        let wrong = match unsettled(pool, outside).await {
            Ok(wrong) => wrong,
            Err(error) => vec![format!("the records can't be read: {error:#}")],
        };
        if wrong.is_empty() || started.elapsed() > SETTLED {
            return (started.elapsed(), wrong);
        }
        tokio::time::sleep(MOMENT).await;
    }
}

/// Every secret that GitHub made is accounted for, no runner of GitHub's is unknown, no row is without an end.
async fn unsettled(pool: &PgPool, outside: &Outside) -> anyhow::Result<Vec<String>> {
    let counts = outside.book.ledger().balance(pool, &outside.github).await?;
    let mut wrong = missing(pool, outside).await?;
    for (count, what) in [
        (counts.unrecorded, "secrets or intents of GitHub without their audit entry"),
        (counts.orphans, "runners on GitHub that no live row stands for"),
        (counts.stuck, "live rows whose end or whose runner nobody knows"),
    ] {
        if count > 0 {
            wrong.push(format!("{count} {what}"));
        }
    }
    Ok(wrong)
}

/// Runners that nobody asked to delete, in the records and on GitHub.
async fn missing(pool: &PgPool, outside: &Outside) -> anyhow::Result<Vec<String>> {
    let query = "select name, state from runners where state <> 'deleted'";
    let rows: BTreeMap<String, String> = sqlx::query_as(query).fetch_all(pool).await?.into_iter().collect();
    let there: BTreeSet<String> = outside.github.runners().into_iter().map(|runner| runner.name).collect();
    let mut wrong = Vec::new();
    for (name, stage) in outside.book.live() {
        let state = rows.get(&name).map_or("gone", String::as_str);
        let on_github = there.contains(&name);
        let fits = match stage {
            Stage::OnLine => state == "active" && on_github,
            Stage::Issued { jit: true } => state == "pending" && on_github,
            Stage::Issued { jit: false } => state == "pending",
        };
        if !fits {
            let github = if on_github { "there" } else { "not there" };
            wrong.push(format!("{name}, which nobody asked to delete ({stage:?}), is {state}, and {github} on GitHub"));
        }
    }
    if !there.contains("stranger") {
        wrong.push("a runner of others was deleted".to_owned());
    }
    Ok(wrong)
}

/// The audit log's chain holds, with its signed checkpoints; everything that should run does.
pub(crate) async fn check(world: &mut World) -> anyhow::Result<Vec<String>> {
    let mut broken = world.ended();
    let key = world.audit_key.to_string_lossy().into_owned();
    let output = world.system.cli().run(&["verify-audit-log", "--public-key", &key]).await?;
    if !output.status.success() {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        broken.push(format!("the audit log does not verify: {}", said.trim()));
    }
    Ok(broken)
}
