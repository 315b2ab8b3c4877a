//! Records that a service finds as if it had written them.

use sqlx::{AssertSqlSafe, PgConnection};
use testkit::history::History;

/// Has the service find everything as if it had been there: what it seals comes after the history, as the newest
/// transactions do, and the records were compared with GitHub a moment ago, which is not repeated before the end.
pub async fn settle(history: &History, connection: &mut PgConnection) -> anyhow::Result<()> {
    let transactions = format!(
        "do $$ begin while pg_current_xact_id()::text::bigint <= {} loop commit; end loop; end $$",
        history.entries
    );
    // Only a number of this program's own is in it.
    sqlx::raw_sql(AssertSqlSafe(transactions)).execute(&mut *connection).await?;
    let compared = "insert into job_runs (job, done_at) values ('upkeep', now())
        on conflict (job) do update set done_at = now()";
    sqlx::raw_sql(compared).execute(connection).await?;
    Ok(())
}
