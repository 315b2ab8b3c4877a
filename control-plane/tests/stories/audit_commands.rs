//! The commands around the log.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::AsyncReadExt as _;

use crate::MIGRATIONS;
use crate::admins::{POLICY, admin, policy_file};
use crate::audit_sealing::{seal, write};
use crate::commands::Cli;
use crate::world::{RATE_LIMIT, World};

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_command_leaves_an_entry(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "entries")?;
    std::fs::write(cli.directory.join("file"), "")?;
    // What has no part in the service's records has none in its log.
    let apart = ["help", "serve", "identity-keygen", "policy", "health", "config", "doctor", "completions", "man"];
    let help = String::from_utf8(cli.run(&["--help"]).await?.stdout)?;
    let listed =
        help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(commands.len() > 7, "{help}");
    for command in commands.into_iter().filter(|command| !command.is_empty() && !apart.contains(command)) {
        let arguments: &[&str] = match command {
            "cleanup-stale-runners" => &["--hours", "48", "--dry-run"],
            "export-audit-log" => &["--since", "2020-01-01", "--output", "-"],
            "drop-audit-log" => &["--yes", "--before", "2020-01", "--export", "file"],
            "revoke-principal" | "restore-principal" => {
                &["--issuer", "https://idp.example.com", "--subject", "mallory"]
            }
            _ => &[],
        };
        cli.run(&[&[command], arguments].concat()).await?;
        let query = "select count(*) from audit_log where actor = 'admin' and details->>'command' = $1";
        let entries: i64 = sqlx::query_scalar(query).bind(command).fetch_one(&pool).await?;
        assert_eq!(entries, 1, "{command}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn exports_are_narrowed_and_go_on_where_another_ended(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "resumed")?;
    let answer = world.provision("alice", json!({"runner_name": "a"})).await?;
    world.get("bob", "/api/v1/runners").await?;
    seal(&world).await?;
    let export = async |arguments: &[&str]| -> anyhow::Result<Vec<Value>> {
        let all = [&["export-audit-log", "--output", "-"], arguments].concat();
        Ok(cli.json(&all).await?.as_array().cloned().unwrap_or_default())
    };
    let since = ["--since", "2020-01-01"];
    let id = answer.text("runner_id")?;
    for (narrow, expected) in [
        (["--runner", "a"], 2),
        (["--runner", id], 2),
        (["--user", "bob"], 1),
        (["--event-type", "provision.issued"], 1),
        (["--event-type", "provision"], 2),
        (["--until", "2020-01-02"], 0),
    ] {
        assert_eq!(export(&[since, narrow].concat()).await?.len(), expected, "{narrow:?}");
    }
    let first = export(&["--after", "0"]).await?;
    assert_eq!(first.len(), 3, "what is not sealed comes later");
    let last = first[2]["position"].to_string();
    assert!(export(&["--after", &last]).await?.is_empty());
    write(&mut *pool.acquire().await?, "b").await?;
    seal(&world).await?;
    let next = export(&["--after", &last]).await?;
    assert_eq!((&next[0]["position"], &next[0]["previous_seal"]), (&json!(4), &first[2]["seal"]));
    assert_eq!(cli.run(&["export-audit-log", "--output", "-"]).await?.status.code(), Some(2), "--since or --after");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn administrators_follow_the_log_by_its_cursor(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with_policy(pool.clone(), &policy_file(POLICY)?).await?;
    for name in ["a", "b", "c"] {
        write(&mut *pool.acquire().await?, name).await?;
    }
    let get = async |query: &str| admin(&world, Method::GET, &format!("audit-log?{query}"), None).await;
    let empty = get("").await?;
    assert_eq!(empty.body, json!({"entries": [], "next_cursor": 0}), "nothing is sealed yet");
    seal(&world).await?;
    let first = get("limit=2").await?;
    assert_eq!((&first.body["next_cursor"], &first.body["entries"][1]["runner_name"]), (&json!(2), &json!("b")));
    let second = get("cursor=2&event_type=runner").await?;
    assert_eq!((&second.body["next_cursor"], &second.body["entries"][0]["runner_name"]), (&json!(3), &json!("c")));
    assert_eq!(get("cursor=4").await?.body, json!({"entries": [], "next_cursor": 4}), "it waits there");
    assert_eq!(get("runner=b").await?.body["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(get("user=root").await?.body["entries"].as_array().map(Vec::len), Some(1), "asking leaves an entry");
    for bad in ["cursor=-1", "limit=0", "limit=1001", "since=yesterday", "user=%00", "other=1"] {
        assert_eq!(get(bad).await?.status, 400, "{bad}");
    }
    let denied = world.get("alice", "/api/v1/admin/audit-log").await?;
    assert_eq!(denied.status, 403);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn who_asks_too_often_is_recorded_though_not_each_time(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut refused = 0;
    for _ in 0..RATE_LIMIT + 70 {
        refused += i64::from(world.get("alice", "/api/v1/runners").await?.status == 429);
    }
    let query = "select count(*) from audit_log where event = 'access.denied' and principal_subject = 'alice'";
    let entries: i64 = sqlx::query_scalar(query).fetch_one(&pool).await?;
    assert!(refused >= 70 && entries == 60, "{refused} refused, {entries} entries");
    Ok(())
}

/// The most memory that a command ever had, in KiB, by the system's own account; and what it said beside its result.
async fn peak_memory(cli: &Cli, arguments: &[&str]) -> anyhow::Result<(u64, String)> {
    let mut child = cli.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let status = format!("/proc/{}/status", child.id().unwrap_or_default());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let now = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success() && peak > 0, "{status}, {peak} KiB");
            let mut said = String::new();
            child.stderr.take().context("nothing was said")?.read_to_string(&mut said).await?;
            return Ok((peak, said));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Entries as large as those of provisions.
pub(crate) async fn many(pool: &PgPool, count: i32) -> anyhow::Result<()> {
    let insert = "insert into audit_log (event, outcome, actor, principal_issuer, principal_subject, display_name, client_ip,
            user_agent, request_id, token_sha256, runner_id, runner_name, target, reasons, details)
        select 'provision.issued', 'success', 'principal', 'https://idp.example.com', 'subject-' || n,
            'somebody@example.com', '203.0.113.7', 'curl/8.0', gen_random_uuid()::text, encode(sha256(n::text::bytea), 'hex'),
            gen_random_uuid(), 'runner-' || n, 'org:acme-partners', array['rule acme allows it'],
            jsonb_build_object('mode', 'jit', 'labels', array['linux', 'gpu'], 'github_runner_id', n)
        from generate_series(1, $1) n";
    sqlx::query(insert).bind(count).execute(pool).await?;
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn ten_times_the_entries_take_no_more_memory_and_show_progress(pool: PgPool) -> anyhow::Result<()> {
    // KiB. Held at once, the entries would take five times as much.
    const ALLOWANCE: u64 = 16 * 1024;
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "memory")?;
    let export = ["export-audit-log", "--since", "2020-01-01", "--format", "jsonl", "--output", "all.jsonl"];
    let commands: [&[&str]; 3] = [&export, &["verify-audit-log"], &["verify-audit-log", "all.jsonl"]];
    let mut peaks = Vec::new();
    for (more, takes_long) in [(5_000, false), (45_000, true)] {
        many(&pool, more).await?;
        seal(&world).await?;
        for command in commands {
            let (peak, said) = peak_memory(&cli, command).await?;
            peaks.push(peak);
            assert!(!takes_long || said.contains("ing entries: "), "progress of {command:?}: {said}");
        }
    }
    for (few, many) in peaks[..3].iter().zip(&peaks[3..]) {
        assert!(*many < few + ALLOWANCE, "{peaks:?}");
    }
    Ok(())
}
