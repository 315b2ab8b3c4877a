//! Work that whoever waited for it gave up, and what it leaves to others.

use std::pin::pin;
use std::time::Duration;

use control_plane::store;
use futures_util::poll;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::sleep;

use crate::MIGRATIONS;

/// A client goes, or its time is up, while the database is being told that a transaction begins. What the next one writes
/// on that connection is there for all to see, not in a transaction that nobody commits.
#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_beginning_that_was_given_up_leaves_no_transaction(pool: PgPool) -> anyhow::Result<()> {
    let options = pool.connect_options().as_ref().clone();
    let one = PgPoolOptions::new().max_connections(1).test_before_acquire(false).connect_with(options).await?;
    sqlx::query("create table written (turn bigint)").execute(&one).await?;
    for turn in 1..=10_i64 {
        while one.num_idle() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        // The connection is free, so the first look sends `begin`; the answer is not there yet.
        assert!(poll!(pin!(store::begin(&one))).is_pending());
        sqlx::query("insert into written values ($1)").bind(turn).execute(&one).await?;
        let written: i64 = sqlx::query_scalar("select count(*) from written").fetch_one(&pool).await?;
        assert_eq!(written, turn, "seen by others");
    }
    Ok(())
}
