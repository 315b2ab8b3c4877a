//! What people see, and what programs get.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;

use control_plane::jobs::{Job, wait_for_turn};

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::world::{ISSUER, World};

/// Begins what moves the cursor or changes a colour.
const ESCAPE: char = '\u{1b}';

/// What is left on the screen: without what was cleared, and what changes colours.
fn plain(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.rsplit("\u{1b}[2K").next().unwrap_or_default()).collect();
    let text = lines.join("\n");
    let mut parts = text.split(ESCAPE);
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
    rest.fold(first, |text, part| text + part)
}

fn is_coloured(text: &str) -> bool {
    let is_number = |each: char| each == '[' || each == ';' || each.is_ascii_digit();
    text.split(ESCAPE).skip(1).any(|part| part.trim_start_matches(is_number).starts_with('m'))
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn tables_fit_the_terminal_and_are_a_line_a_record_elsewhere(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "tables")?;
    let labels = ["gpu", "cuda-12", "large-memory", "eu-central"];
    for name in ["short", &format!("{}-abc", "a-name-of-64-letters".repeat(3))] {
        let answer = world.provision("alice", json!({"runner_name": name, "mode": "jit", "labels": labels})).await?;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
    }
    for command in [&["list-runners"][..], &["config"], &["doctor"], &["--help"], &["export-audit-log", "--help"]] {
        let seen = plain(&cli.at_terminal(command, "").await?.text);
        let widest = seen.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80) && seen.lines().count() > 4, "{command:?}: {widest:?}\n{seen}");
    }
    let coloured = cli.at_terminal(&["list-runners"], "").await?.text;
    assert!(is_coloured(&coloured), "{coloured}");

    let piped = String::from_utf8(cli.run(&["list-runners"]).await?.stdout)?;
    assert_eq!(piped.lines().count(), 3, "a heading and two runners: {piped}");
    assert!(!piped.contains(ESCAPE), "{piped}");
    cli.environment.push(("NO_COLOR", "1".to_owned()));
    // The last one leaves a line in the log, too.
    let revoke = ["revoke-principal", "--issuer", ISSUER, "--subject", "nobody", "--yes"];
    for command in [&["list-runners"][..], &["doctor"], &["list-runners", "--status", "green"], &revoke] {
        let seen = cli.at_terminal(command, "").await?.text;
        assert!(!is_coloured(&seen), "{command:?}: {seen}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn whoever_waits_is_told_for_what(pool: PgPool) -> anyhow::Result<()> {
    const TOLD: &str = "waiting for a service that is at it";
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "waits")?;
    let sync = ["sync-github", "--output", "json"];
    let quick = cli.run(&sync).await?;
    assert!(!String::from_utf8(quick.stderr)?.contains(TOLD), "nobody waits");

    let turn = wait_for_turn(&world.app, Job::Upkeep).await?;
    let release = async {
        waits_long(&pool).await?;
        turn.release_now().await?;
        anyhow::Ok(())
    };
    let (output, released) = tokio::join!(cli.run(&sync), release);
    released?;
    let (output, text) = output.map(|output| (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned()))?;
    assert!(text.contains(&format!("{TOLD} …\n")) && !text.contains(ESCAPE), "{text}");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output)?["failed"], 0, "the result is apart");

    let turn = wait_for_turn(&world.app, Job::Upkeep).await?;
    let release = async {
        waits_long(&pool).await?;
        turn.release_now().await?;
        anyhow::Ok(())
    };
    let (seen, released) = tokio::join!(cli.at_terminal(&["sync-github"], ""), release);
    released?;
    let text = seen?.text;
    assert!(text.contains(&format!("{TOLD}, 1s")), "it counts: {text:?}");
    let cleared = text.rsplit(ESCAPE).next().unwrap_or_default();
    assert!(cleared.contains("0 failed") && !cleared.contains(TOLD), "the line is gone at the end: {text:?}");
    Ok(())
}

/// Until a command has waited for its turn so long that it must have said so.
async fn waits_long(pool: &PgPool) -> anyhow::Result<()> {
    let query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'
        and now() - query_start > interval '3 seconds'";
    let look = async {
        while sqlx::query_scalar::<_, i64>(query).fetch_one(pool).await? == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), look).await?
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_output_that_nobody_reads_is_no_panic(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "unread")?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut command = cli.command(&["identity-keygen"]);
    let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn()?;
    let output = child.wait_with_output().await?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), told.contains("panicked")), (Some(1), false), "{told}");
    Ok(())
}
