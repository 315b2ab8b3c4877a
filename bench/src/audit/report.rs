//! The figures: a table for people, JSON for programs.

use std::path::Path;

use bench::report::write_json;
use serde::Serialize;
use sqlx::PgConnection;

use crate::measure::Figure;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) entries: u32,
    pub(crate) sizes: Sizes,
    pub(crate) figures: Vec<Figure>,
}

/// Bytes in the database, indexes included.
#[derive(Serialize, sqlx::FromRow)]
pub(crate) struct Sizes {
    pub(crate) entries: i64,
    pub(crate) seals: i64,
}

impl Sizes {
    pub(crate) async fn of(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let query = "select pg_total_relation_size('audit_log_seals') as seals,
            (select sum(pg_total_relation_size(inhrelid))::bigint from pg_inherits
                where inhparent = 'audit_log'::regclass) as entries";
        sqlx::query_as(query).fetch_one(connection).await
    }
}

impl Report {
    /// Prints the table, and writes `audit.json`.
    pub(crate) fn publish(&self, directory: &Path) -> anyhow::Result<()> {
        write_json(directory, "audit.json", self)?;
        println!("| | entries | seconds | entries a second | peak memory, MB |");
        println!("| --- | ---: | ---: | ---: | ---: |");
        for Figure { name, entries, seconds, peak_memory } in &self.figures {
            let rate = f64::from(*entries) / seconds;
            println!("| {name} | {entries} | {seconds:.1} | {rate:.0} | {} |", peak_memory / 1_000_000);
        }
        let each = |bytes: i64| bytes / i64::from(self.entries);
        println!("\nbytes in the database: {} an entry, {} a seal", each(self.sizes.entries), each(self.sizes.seals));
        Ok(())
    }
}
