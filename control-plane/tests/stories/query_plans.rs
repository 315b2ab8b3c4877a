//! How Postgres goes about each query on tables that have grown: along an index, never through all that ever was.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use testkit::history::History;

use crate::MIGRATIONS;

/// Tables that get rows as long as the service is used. Beside them are those that people fill by hand and those of one
/// row or one a job.
const GROWING: [&str; 8] = [
    "runners",
    "audit_log",
    "audit_log_seals",
    "audit_log_checkpoints",
    "idempotency_keys",
    "webhook_deliveries",
    "github_runners_cache",
    "runner_samples",
];

/// Queries that may read all of a table, known by a part of them, and why.
const ALLOWED: [(&str, &[&str], &str); 4] = [
    (
        "and ($6::text is null or e.runner_id::text = $6 or e.runner_name = $6) order by s.position limit $7",
        &["audit_log_seals"],
        "a search for what hardly occurs reads the log to its end; an index for it would cost each entry that is written",
    ),
    (
        "from audit_log_checkpoints c left join audit_log_seals s",
        &["audit_log_checkpoints", "audit_log_seals"],
        "a verification looks at each checkpoint",
    ),
    (
        "and state = 'deleted' and $3::text is not null order by id limit $5",
        &["runners"],
        "an administrator's search through all that is gone, by a name that hardly occurs",
    ),
    (
        "from github_runners_cache as cache",
        &["github_runners_cache"],
        "all that GitHub has is looked at, as it is asked for",
    ),
];

/// Values of parameters that those of their type would not stand for: the newest transactions.
const SPECIAL: [(&str, usize, &str); 4] = [
    ("e.transaction_id >= $1", 1, "39951"),
    ("(e.transaction_id, e.id) > ($1, $5)", 1, "39951"),
    ("(e.transaction_id, e.id) > ($1, $5)", 2, "40001"),
    ("(e.transaction_id, e.id) > ($1, $5)", 3, "9223372036854775807"),
];

/// A table with fewer rows than this may be read as a whole, such as the log of a month to come.
const MANY: i64 = 1_000;

const HISTORY: History =
    History { runners: 40_000, live: 2_000, owners: 200, entries: 40_000, unsealed: 50, others: 20_000 };

/// A query of the control plane, as the build knows it.
struct Query {
    text: String,
    /// The parameters' types.
    types: Vec<String>,
}

/// Every query that the compiler has seen; that none is missing is checked by `cargo xtask test`, too.
fn queries() -> anyhow::Result<Vec<Query>> {
    let mut queries = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx"))? {
        let known: Value = serde_json::from_slice(&fs::read(entry?.path())?)?;
        let text = known.get("query").and_then(Value::as_str).context("no query")?.to_owned();
        let types = known.pointer("/describe/parameters/Left").and_then(Value::as_array).context("no types")?;
        let types = types.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        queries.push(Query { text, types });
    }
    ensure!(queries.len() > 70, "{} queries", queries.len());
    Ok(queries)
}

impl Query {
    /// What a parameter usually is: selective, as keys are.
    fn usual(&self, number: usize) -> anyhow::Result<String> {
        let special = SPECIAL.iter().find(|(part, at, _)| *at == number && self.text.contains(part));
        if let Some((.., value)) = special {
            return Ok((*value).to_owned());
        }
        let value = match self.types.get(number.saturating_sub(1)).context("no such parameter")?.as_str() {
            "Int4" => "3",
            "Int8" => "100",
            "Bool" => "true",
            // Also the digits of a hash.
            "Text" => "'ab'",
            "Uuid" => "'01900000-0000-7000-8000-000000000000'",
            "Timestamptz" => "now() - interval '7 days'",
            "Jsonb" => "'[]'",
            "Int8Array" => "array[1]",
            "TextArray" => "array['x']",
            "UuidArray" => "array['01900000-0000-7000-8000-000000000000'::uuid]",
            "TimestamptzArray" => "array[now()]",
            "ByteaArray" => "array[decode('00', 'hex')]",
            other => anyhow::bail!("a parameter of type {other}: {}", self.text),
        };
        Ok(value.to_owned())
    }

    /// Whether it may be left out: `$1::text is null or …`.
    fn is_optional(&self, number: usize) -> bool {
        let text = format!("${number}");
        let rests = self.text.match_indices(&text).filter_map(|(at, _)| self.text.get(at + text.len()..));
        rests.into_iter().any(|rest| {
            let rest = rest.trim_start_matches("::text").trim_start_matches("::timestamptz");
            rest.starts_with(" is null or")
        })
    }

    /// The plan, with its cost, if what may be left out is given or not.
    async fn plan(&self, conn: &mut PgConnection, mode: &str, with_optional: bool) -> anyhow::Result<Value> {
        let mut values = Vec::new();
        for number in 1..=self.types.len() {
            let left_out = !with_optional && self.is_optional(number);
            values.push(if left_out { "null".to_owned() } else { self.usual(number)? });
        }
        let types: Vec<_> = self.types.iter().map(|name| sql_type(name)).collect();
        let list = |items: &[String]| if items.is_empty() { String::new() } else { format!("({})", items.join(", ")) };
        let prepare =
            format!("set plan_cache_mode = force_{mode}_plan; prepare query{} as {}", list(&types), self.text);
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *conn).await.with_context(|| self.text.clone())?;
        let explain = format!("explain (format json) execute query{}", list(&values));
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *conn).await?;
        sqlx::raw_sql("deallocate query").execute(conn).await?;
        plan.get(0).and_then(|first| first.get("Plan")).cloned().context("no plan")
    }

    /// The plans that Postgres may take: one for the values at hand, or one for all values where it thinks that no dearer.
    async fn plans(&self, conn: &mut PgConnection) -> anyhow::Result<Vec<Value>> {
        let mut plans = vec![self.plan(conn, "custom", true).await?, self.plan(conn, "custom", false).await?];
        let generic = self.plan(conn, "generic", true).await?;
        if plans.iter().any(|custom| cost(&generic) <= cost(custom)) {
            plans.push(generic);
        }
        Ok(plans)
    }
}

/// What Postgres calls a type that sqlx calls otherwise.
fn sql_type(name: &str) -> String {
    match name.strip_suffix("Array") {
        Some(member) => format!("{}[]", member.to_lowercase()),
        None => name.to_lowercase(),
    }
}

/// As Postgres estimates it.
fn cost(plan: &Value) -> f64 {
    plan["Total Cost"].as_f64().unwrap_or(f64::MAX)
}

/// The growing table of which this is, or is a partition.
fn growing(relation: &str) -> Option<&'static str> {
    let is_partition = relation.starts_with("audit_log_2") || relation == "audit_log_default";
    let table = if is_partition { "audit_log" } else { relation };
    GROWING.into_iter().find(|growing| *growing == table)
}

/// What a database has.
struct Catalogue {
    /// Tables and partitions with many rows.
    large: Vec<String>,
    /// Indexes of some of a table's rows.
    partial: Vec<String>,
}

impl Catalogue {
    async fn of(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let large = "select relname::text from pg_class where relkind = 'r' and reltuples >= $1";
        let large = sqlx::query_scalar(large).bind(MANY).fetch_all(&mut *conn).await?;
        let partial = "select indexrelid::regclass::text from pg_index where indpred is not null";
        Ok(Self { large, partial: sqlx::query_scalar(partial).fetch_all(conn).await? })
    }

    /// The growing tables that a plan reads from one end to the other: row by row, or along an index without a condition.
    fn read_whole(&self, plan: &Value, ends_early: bool, found: &mut Vec<&'static str>) {
        let text = |member: &str| plan[member].as_str().unwrap_or_default();
        let (kind, relation) = (text("Node Type"), text("Relation Name"));
        let along_all = kind.starts_with("Index")
            && plan["Index Cond"].is_null()
            && !ends_early
            && !self.partial.iter().any(|index| index == text("Index Name"));
        if (kind == "Seq Scan" || along_all) && self.large.iter().any(|large| large == relation) {
            found.extend(growing(relation));
        }
        // A limit ends what is read in its order, not what has to be there as a whole first.
        let takes_all = ["Sort", "Aggregate", "Hash", "Materialize", "WindowAgg", "Unique"].contains(&kind);
        for part in plan["Plans"].as_array().into_iter().flatten() {
            self.read_whole(part, kind == "Limit" || (ends_early && !takes_all), found);
        }
    }
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn no_query_reads_through_a_table_that_grows(pool: PgPool) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    HISTORY.write(&mut conn).await?;
    let catalogue = Catalogue::of(&mut conn).await?;
    for table in GROWING {
        assert!(catalogue.large.iter().any(|large| growing(large) == Some(table)), "{table} has too few rows to tell");
    }
    let queries = queries()?;
    let mut unexpected = Vec::new();
    for query in queries.iter().filter(|query| !query.text.starts_with("lock")) {
        let text = query.text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let allowed = |table: &&str| ALLOWED.iter().any(|(part, of, _)| text.contains(part) && of.contains(table));
        for plan in query.plans(&mut conn).await? {
            let mut found = Vec::new();
            catalogue.read_whole(&plan, false, &mut found);
            found.retain(|table| !allowed(table));
            if !found.is_empty() {
                unexpected.push(format!("{found:?} are read as a whole by:\n{text}\n{plan:#}"));
            }
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n\n"));
    Ok(())
}

#[test]
fn what_is_allowed_is_still_there_and_says_why() -> anyhow::Result<()> {
    let squeezed = |query: &Query| query.text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = queries()?.iter().map(squeezed).collect();
    for (part, _, reason) in ALLOWED {
        assert_eq!(texts.iter().filter(|text| text.contains(part)).count(), 1, "{part}");
        assert!(!reason.is_empty(), "{part}");
    }
    Ok(())
}
