//! Whoever has all rights on the database changes the log, and is found out.

use std::fmt::Write as _;

use control_plane::audit::{AuditKey, GENESIS, seal as seal_of};
use control_plane::jobs;
use control_plane::store::audit_log::{Selection, page};
use identity::KeyPair;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::MIGRATIONS;
use crate::audit_sealing::{seal, write};
use crate::commands::Cli;
use crate::world::World;

const TABLES: [&str; 3] = ["audit_log", "audit_log_seals", "audit_log_checkpoints"];
/// Of entries 1 to 11; the last five have no checkpoint in the database yet.
const CHECKPOINT: i64 = 11;

/// A log with everything that an entry can have, sealed and with a signed checkpoint.
struct Scene {
    cli: Cli,
    pool: PgPool,
}

impl Scene {
    async fn new(pool: PgPool, story: &str) -> anyhow::Result<Self> {
        let world = World::new(pool.clone()).await?;
        let cli = Cli::new(&world, &pool, story)?;
        world.running("alice", "a").await?;
        world.get("alice", "/api/v1/runners").await?;
        for name in ["b", "c", "d", "e", "f", "g", "h", "i"] {
            write(&mut *pool.acquire().await?, name).await?;
        }
        assert_eq!(seal(&world).await?, CHECKPOINT.unsigned_abs());
        let pair = KeyPair::generate()?;
        let key = AuditKey::from_pem(&pair.private_pem)?;
        let made = jobs::checkpoint(&world.app, Some(&key), std::time::Duration::ZERO).await?;
        std::fs::write(cli.directory.join("published.jsonl"), json!(made).to_string())?;
        std::fs::write(cli.directory.join("public.pem"), pair.public_pem)?;
        for table in TABLES {
            let copy = format!("create table saved_{table} as table {table}");
            sqlx::query(AssertSqlSafe(copy)).execute(&pool).await?;
        }
        Ok(Self { cli, pool })
    }

    /// As a superuser, without triggers.
    async fn tamper(&self, statements: &str) -> anyhow::Result<()> {
        let script = format!("set session_replication_role = replica; {statements}; reset session_replication_role");
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&self.pool).await?;
        Ok(())
    }

    async fn restore(&self) -> anyhow::Result<()> {
        for table in TABLES {
            let script = format!("delete from {table}; insert into {table} select * from saved_{table}");
            self.tamper(&script).await?;
        }
        Ok(())
    }

    /// The finding, after which everything is as it was.
    async fn finding(&self, statements: &str, more: &[&str]) -> anyhow::Result<Value> {
        self.tamper(statements).await?;
        let verify = ["verify-audit-log", "--public-key", "public.pem", "--output", "json"];
        let output = self.cli.run(&[&verify[..], more].concat()).await?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let finding = report.get("finding").cloned().unwrap_or_default();
        assert_eq!(output.status.code(), Some(if finding.is_null() { 0 } else { 3 }), "{report}");
        self.restore().await?;
        Ok(finding)
    }

    async fn assert_found(&self, statements: &str, kind: &str, position: i64) -> anyhow::Result<()> {
        let finding = self.finding(statements, &[]).await?;
        let found = (finding.get("kind"), finding.get("position"));
        assert_eq!(found, (Some(&json!(kind)), Some(&json!(position))), "{statements}: {finding}");
        Ok(())
    }
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_change_of_any_column_is_found_and_named(pool: PgPool) -> anyhow::Result<()> {
    let scene = Scene::new(pool.clone(), "columns").await?;
    assert_eq!(scene.finding("select 1", &[]).await?, Value::Null);
    let changes = [
        ("id", "id = id + 1000"),
        ("occurred_at", "occurred_at = occurred_at + interval '1 microsecond'"),
        ("event", "event = 'runner.read'"),
        ("outcome", "outcome = 'failure'"),
        ("actor", "actor = 'anonymous', principal_issuer = null, principal_subject = null"),
        ("principal_issuer", "principal_issuer = 'https://evil.example'"),
        ("principal_subject", "principal_subject = 'bob'"),
        ("display_name", "display_name = 'bob@example.com'"),
        ("client_ip", "client_ip = '203.0.113.9'"),
        ("user_agent", "user_agent = 'x'"),
        ("request_id", "request_id = 'x'"),
        ("token_sha256", "token_sha256 = repeat('cd', 32)"),
        ("runner_id", "runner_id = gen_random_uuid()"),
        ("runner_name", "runner_name = 'z'"),
        ("target", "target = 'org:other'"),
        ("reasons", "reasons = reasons || 'because'::text"),
        ("policy_sha256", "policy_sha256 = repeat('ef', 32)"),
        ("details", "details = details || '{\"mode\": \"none\"}'"),
        ("transaction_id", "transaction_id = transaction_id - 1"),
    ];
    let columns: Vec<String> = sqlx::query_scalar(
        "select attname::text from pg_attribute where attrelid = 'audit_log'::regclass and attnum > 0 order by attnum",
    )
    .fetch_all(&pool)
    .await?;
    assert_eq!(columns, changes.map(|(column, _)| column));
    for (column, change) in changes {
        let third = "(select entry_id from audit_log_seals where position = 3)";
        let statement = format!("update audit_log set {change} where id = {third}");
        let finding = scene.finding(&statement, &[]).await?;
        let kind = if column == "id" { "removed" } else { "changed" };
        assert_eq!((&finding["kind"], &finding["position"]), (&json!(kind), &json!(3)), "{column}: {finding}");
        assert!(finding["entry_id"].is_i64(), "{column}: {finding}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn removing_inserting_and_swapping_is_found_and_named(pool: PgPool) -> anyhow::Result<()> {
    let scene = Scene::new(pool, "rows").await?;
    let entry = |position: i64| format!("(select entry_id from audit_log_seals where position = {position})");
    let remove = |position: i64| format!("delete from audit_log where id = {}", entry(position));
    scene.assert_found(&remove(3), "removed", 3).await?;
    scene.assert_found(&remove(1), "removed", 1).await?;
    scene.assert_found(&remove(11), "removed", 11).await?;
    scene.assert_found("delete from audit_log", "removed", 1).await?;
    let with_its_seal = format!("{}; delete from audit_log_seals where position = 3", remove(3));
    scene.assert_found(&with_its_seal, "removed", 3).await?;
    scene.assert_found("delete from audit_log_seals where position = 3", "removed", 3).await?;
    let several =
        "delete from audit_log where id in (select entry_id from audit_log_seals where position between 3 and 6);
        delete from audit_log_seals where position between 3 and 6";
    scene.assert_found(several, "removed", 3).await?;
    scene.assert_found("truncate audit_log", "removed", 1).await?;
    scene.assert_found("truncate audit_log, audit_log_seals", "truncated", 1).await?;

    let insert =
        "insert into audit_log (transaction_id, event, outcome, actor) values (1, 'runner.read', 'success', 'system')";
    let finding = scene.finding(insert, &[]).await?;
    assert_eq!((&finding["kind"], finding["entry_id"].is_i64()), (&json!("inserted"), true), "{finding}");
    // A transaction that is never waited for, so that it would be taken for one of the last seconds for good.
    let posing = insert.replace("values (1,", "values (9000000000000000,");
    assert_eq!(scene.finding(&posing, &[]).await?["kind"], json!("inserted"), "as if it waited for its seal");
    let twin = format!(
        "insert into audit_log (id, transaction_id, event, outcome, actor) \
         values ({}, 1, 'runner.read', 'success', 'system')",
        entry(8)
    );
    assert_eq!(scene.finding(&twin, &[]).await?["kind"], json!("inserted"), "with the id of another");

    let swapped_seals =
        "update audit_log_seals a set entry_id = -b.entry_id, occurred_at = b.occurred_at from audit_log_seals b
        where (a.position, b.position) in ((5, 7), (7, 5)); update audit_log_seals set entry_id = abs(entry_id)";
    scene.assert_found(swapped_seals, "reordered", 5).await?;
    let swapped_rows = format!(
        "update audit_log a set id = -b.id, occurred_at = b.occurred_at from audit_log b \
         where (a.id, b.id) in (({five}, {seven}), ({seven}, {five})); update audit_log set id = abs(id)",
        five = entry(5),
        seven = entry(7)
    );
    let finding = scene.finding(&swapped_rows, &[]).await?;
    assert_eq!((&finding["kind"], &finding["position"]), (&json!("changed"), &json!(5)), "{finding}");
    let seal = "update audit_log_seals set seal = sha256('x') where position = 4";
    scene.assert_found(seal, "seal-changed", 4).await?;
    let last = "update audit_log_seals set seal = sha256('x') where position = 11";
    scene.assert_found(last, "changed", 11).await
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_change_of_what_the_proof_is_kept_in_is_found_and_named(pool: PgPool) -> anyhow::Result<()> {
    let scene = Scene::new(pool.clone(), "proof").await?;
    let seals = [
        ("position", "removed", 4, "position = 4000"),
        ("entry_id", "removed", 4, "entry_id = entry_id + 1000"),
        ("occurred_at", "changed", 4, "occurred_at = occurred_at + interval '1 second'"),
        ("seal", "seal-changed", 4, "seal = sha256('x')"),
    ];
    let checkpoints = [
        ("position", "signature", 10, "position = 10"),
        ("seal", "signature", CHECKPOINT, "seal = sha256('x')"),
        ("made_at", "signature", CHECKPOINT, "made_at = made_at + interval '1 microsecond'"),
        ("key_id", "signature", CHECKPOINT, "key_id = repeat('0', 64)"),
        ("signature", "signature", CHECKPOINT, "signature = decode(repeat('00', 64), 'hex')"),
    ];
    for (table, condition, changes) in
        [("audit_log_seals", "position = 4", &seals[..]), ("audit_log_checkpoints", "true", &checkpoints)]
    {
        let columns: Vec<String> = sqlx::query_scalar(
            "select attname::text from pg_attribute where attrelid = $1::regclass and attnum > 0 order by attnum",
        )
        .bind(table)
        .fetch_all(&pool)
        .await?;
        assert!(columns.iter().eq(changes.iter().map(|(column, ..)| column)), "{columns:?}");
        for (_, kind, position, change) in changes {
            let statement = format!("update {table} set {change} where {condition}");
            scene.assert_found(&statement, kind, *position).await?;
        }
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_tail_that_was_cut_off_is_found_by_a_checkpoint(pool: PgPool) -> anyhow::Result<()> {
    let scene = Scene::new(pool, "tail").await?;
    let cut = "delete from audit_log where id in (select entry_id from audit_log_seals where position > 8);
        delete from audit_log_seals where position > 8";
    scene.assert_found(cut, "truncated", 9).await?;
    // The seals alone: the checkpoint speaks first.
    scene.assert_found("delete from audit_log_seals where position > 8", "truncated", 9).await?;
    // With the checkpoints gone too, nothing in the database tells; the published one does.
    let without_trace = format!("{cut}; delete from audit_log_checkpoints");
    let finding = scene.finding(&without_trace, &["--checkpoints", "published.jsonl"]).await?;
    assert_eq!((&finding["kind"], &finding["position"]), (&json!("truncated"), &json!(9)), "{finding}");
    let finding = scene.finding(&without_trace, &[]).await?;
    assert_eq!(finding["kind"], json!("signature"), "there must be one: {finding}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_chain_made_anew_without_the_key_is_found(pool: PgPool) -> anyhow::Result<()> {
    let scene = Scene::new(pool.clone(), "anew").await?;
    let published = ["--checkpoints", "published.jsonl"];
    let change =
        "update audit_log set runner_name = 'z' where id = (select entry_id from audit_log_seals where position = 6)";
    let mut anew = change.to_owned();
    scene.tamper(change).await?;
    let mut previous = GENESIS;
    for record in page(&pool, &Selection::default(), 0, 100).await? {
        let position = record.position.unwrap_or_default();
        previous = seal_of(position, &previous, &record);
        let seal = hex::encode(previous);
        write!(anew, "; update audit_log_seals set seal = decode('{seal}', 'hex') where position = {position}")?;
    }
    scene.restore().await?;
    // The checkpoint as it was.
    scene.assert_found(&anew, "rewritten", CHECKPOINT).await?;
    // The checkpoint with the new seal and the old signature.
    let copied = format!(
        "{anew}; update audit_log_checkpoints c set seal = s.seal from audit_log_seals s where s.position = c.position"
    );
    scene.assert_found(&copied, "signature", CHECKPOINT).await?;
    // Without a signature, and with none at all.
    let unsigned = format!("{copied}; update audit_log_checkpoints set key_id = null, signature = null");
    let gone = format!("{anew}; delete from audit_log_checkpoints");
    for statements in [&unsigned, &gone] {
        scene.assert_found(statements, "signature", CHECKPOINT).await?;
        let finding = scene.finding(statements, &published).await?;
        assert_eq!((&finding["kind"], &finding["position"]), (&json!("rewritten"), &json!(CHECKPOINT)), "{finding}");
    }
    Ok(())
}
