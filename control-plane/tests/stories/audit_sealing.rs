//! The chain over the log, while others write.

use std::time::Duration;

use control_plane::audit::{Actor, Entry, Event, Origin, Outcome};
use control_plane::jobs::{self, Job};
use control_plane::store;
use sqlx::{PgConnection, PgPool};

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::world::World;

pub(crate) async fn write(conn: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    let origin = Origin::local(Actor::System("story"));
    Ok(Entry::new(&origin, Event::RunnerListed, Outcome::Success).name(name).record(conn).await?)
}

/// Seals whatever is there. Transactions of other stories, in the same cluster, may have to be waited for.
pub(crate) async fn seal(world: &World) -> anyhow::Result<u64> {
    let mut sealed = 0;
    let left = "select count(*) from audit_log e where not exists (select from audit_log_seals where entry_id = e.id)";
    while sqlx::query_scalar::<_, i64>(left).fetch_one(&world.pool).await? > 0 {
        sealed += seal_once(world).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(sealed)
}

async fn seal_once(world: &World) -> anyhow::Result<u64> {
    let turn = jobs::wait_for_turn(&world.app, Job::Audit).await?;
    let sealed = jobs::seal(&world.app, &turn).await;
    turn.release_now().await?;
    Ok(sealed?)
}

/// What is sealed, in the order of the chain.
async fn names(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    let query = "select runner_name from audit_log_seals s join audit_log e on e.id = s.entry_id order by position";
    Ok(sqlx::query_scalar(query).fetch_all(pool).await?)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn ten_writers_at_once_leave_no_gap_and_no_double(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut writers = Vec::new();
    for writer in 0..10_u64 {
        let pool = pool.clone();
        writers.push(tokio::spawn(async move {
            for round in 0..40 {
                let mut transaction = store::begin(&pool).await?;
                for entry in 0..=round % 3 {
                    write(&mut transaction, &format!("{writer}-{round}-{entry}")).await?;
                }
                tokio::time::sleep(Duration::from_millis((writer * 7 + round * 13) % 11)).await;
                if round % 8 == 7 { transaction.rollback().await? } else { transaction.commit().await? }
            }
            anyhow::Ok(())
        }));
    }
    let turn = jobs::wait_for_turn(&world.app, Job::Audit).await?;
    let mut rounds = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        // Two at once, as if one had been frozen and come back.
        let (one, other) = tokio::join!(jobs::seal(&world.app, &turn), jobs::seal(&world.app, &turn));
        one?;
        other?;
        rounds += 1;
    }
    for writer in writers {
        writer.await??;
    }
    turn.release_now().await?;
    seal(&world).await?;
    let (entries, seals, ids, last): (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from audit_log), count(*), count(distinct entry_id), max(position) from audit_log_seals",
    )
    .fetch_one(&pool)
    .await?;
    assert!(entries > 600 && rounds > 3, "{entries} {rounds}");
    assert_eq!([seals, ids, last], [entries; 3]);
    let cli = Cli::new(&world, &pool, "writers")?;
    let report = cli.json(&["verify-audit-log", "--output", "json"]).await?;
    assert_eq!(report["entries"], entries, "{report}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_late_commit_never_falls_behind_a_sealed_position(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut late = store::begin(&pool).await?;
    write(&mut late, "late").await?;
    for name in ["b", "c"] {
        write(&mut *pool.acquire().await?, name).await?;
    }
    assert_eq!(seal_once(&world).await?, 0, "what came after it waits");
    let mut later = store::begin(&pool).await?;
    write(&mut later, "later").await?;
    late.commit().await?;
    assert_eq!(seal(&world).await?, 3);
    write(&mut *pool.acquire().await?, "d").await?;
    assert_eq!(seal_once(&world).await?, 0);
    later.commit().await?;
    assert_eq!(seal(&world).await?, 2);
    assert_eq!(names(&pool).await?, ["late", "b", "c", "later", "d"]);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn sealing_holds_nobody_up(pool: PgPool) -> anyhow::Result<()> {
    let mut sealer = store::begin(&pool).await?;
    write(&mut *pool.acquire().await?, "before").await?;
    control_plane::store::audit_seals::lock(&mut sealer).await?;
    let writing = async { write(&mut *pool.acquire().await?, "meanwhile").await };
    tokio::time::timeout(Duration::from_secs(2), writing).await??;
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_database_that_was_moved_to_another_cluster_is_sealed_on(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    write(&mut *pool.acquire().await?, "old").await?;
    seal(&world).await?;
    // There, transactions had far higher numbers, and one entry was not sealed yet.
    write(&mut *pool.acquire().await?, "foreign").await?;
    for statement in [
        "alter table audit_log disable trigger all",
        "update audit_log set transaction_id = 9000000000 where runner_name = 'foreign'",
        "alter table audit_log enable trigger all",
        "update audit_log_progress set system_identifier = 1, sealed_below = 8000000000",
    ] {
        sqlx::query(statement).execute(&pool).await?;
    }
    write(&mut *pool.acquire().await?, "new").await?;
    let cli = Cli::new(&world, &pool, "moved")?;
    let export = ["export-audit-log", "--since", "2020-01-01", "--output", "-"];
    assert_eq!(cli.json(&export).await?.as_array().map(Vec::len), Some(4), "nothing is left out before that");
    assert_eq!(seal(&world).await?, 3);
    write(&mut *pool.acquire().await?, "newest").await?;
    assert_eq!(seal(&world).await?, 1);
    let report = cli.json(&["verify-audit-log", "--output", "json"]).await?;
    assert_eq!((&report["entries"], &report["unsealed"]), (&5.into(), &1.into()), "{report}");
    Ok(())
}
