//! The verifier in docs/, which knows no more than the documentation, beside ours.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::Context as _;
use control_plane::audit::{AuditKey, GENESIS, seal as seal_of};
use control_plane::jobs;
use identity::KeyPair;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use tokio::process::Command;

use crate::MIGRATIONS;
use crate::audit_sealing::{seal, write};
use crate::commands::Cli;
use crate::world::World;

const VERIFIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit/verify.py");

async fn python(directory: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new("python3");
    command.arg(VERIFIER).args(arguments).current_dir(directory).kill_on_drop(true);
    command.output().await.context("python3 and openssl are needed to try the verifier of docs/audit.md")
}

/// A log with texts that are awkward to write, and a published checkpoint of its end.
async fn published(pool: &PgPool, cli: &Cli, world: &World) -> anyhow::Result<()> {
    let odd = "Zoë \"quoted\" \\\\ \u{7f} \u{2028} \u{1f600} tab\\t";
    let request =
        world.request("alice", Method::POST, "/api/v1/runners/provision")?.header("user-agent", "a/1 \"b\" \\c");
    world.send(request.json(&json!({"runner_name": "a", "labels": ["x"]}))).await?;
    for name in [odd, "b", "c"] {
        write(&mut *pool.acquire().await?, name).await?;
    }
    sqlx::query(
        "insert into audit_log (event, outcome, actor, reasons, details) values ('x', 'success', 'system', $1, $2)",
    )
    .bind([odd, ""])
    .bind(json!({"ö": [1, -2, true, null], "a b": {"z": "\u{1}\u{8}\u{c}\n\r\t/", "A": 9_007_199_254_740_993_i64}}))
    .execute(pool)
    .await?;
    seal(world).await?;
    let pair = KeyPair::generate()?;
    let key = AuditKey::from_pem(&pair.private_pem)?;
    let made = jobs::checkpoint(&world.app, Some(&key), Duration::ZERO).await?;
    std::fs::write(cli.directory.join("checkpoints.jsonl"), json!(made).to_string())?;
    std::fs::write(cli.directory.join("public.pem"), pair.public_pem)?;
    std::fs::write(cli.directory.join("other.pem"), KeyPair::generate()?.public_pem)?;
    let export = ["export-audit-log", "--after", "0", "--format", "jsonl", "--output", "log.jsonl"];
    anyhow::ensure!(cli.run(&export).await?.status.success());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_independent_verifier_agrees_about_each_kind_of_tampering(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let cli = Cli::new(&world, &pool, "python")?;
    published(&pool, &cli, &world).await?;
    let whole = python(&cli.directory, &["log.jsonl", "checkpoints.jsonl", "public.pem"]).await?;
    let text = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(
        whole.status.success() && text.contains("6 entries hold"),
        "{text}{}",
        String::from_utf8_lossy(&whole.stderr)
    );
    let other = python(&cli.directory, &["log.jsonl", "checkpoints.jsonl", "other.pem"]).await?;
    assert_eq!(other.status.code(), Some(1), "another key");

    let log = std::fs::read_to_string(cli.directory.join("log.jsonl"))?;
    let lines: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let with = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines
    };
    let anew = |lines: &mut Vec<Value>| {
        lines[1]["display_name"] = json!("somebody else");
        let mut previous = GENESIS;
        for (position, line) in (1..).zip(lines) {
            let record = serde_json::from_value(line.clone()).unwrap();
            line["previous_seal"] = json!(hex::encode(previous));
            previous = seal_of(position, &previous, &record);
            line["seal"] = json!(hex::encode(previous));
        }
    };
    let tampered: Vec<(&str, Vec<Value>)> = vec![
        ("changed", with(&|lines| lines[2]["runner_name"] = json!("z"))),
        ("removed", with(&|lines| drop(lines.remove(2)))),
        ("inserted", with(&|lines| lines.insert(2, lines[1].clone()))),
        ("reordered", with(&|lines| lines.swap(2, 3))),
        ("seal-changed", with(&|lines| lines[2]["seal"] = lines[3]["seal"].clone())),
        ("truncated", with(&|lines| lines.truncate(4))),
        ("rewritten", with(&anew)),
    ];
    for (kind, lines) in tampered {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(cli.directory.join("tampered.jsonl"), text.join("\n"))?;
        let theirs = python(&cli.directory, &["tampered.jsonl", "checkpoints.jsonl", "public.pem"]).await?;
        assert_eq!(theirs.status.code(), Some(1), "{kind}");
        let verify = ["verify-audit-log", "tampered.jsonl", "--checkpoints", "checkpoints.jsonl", "--output", "json"];
        let ours = cli.run(&verify).await?;
        let report: Value = serde_json::from_slice(&ours.stdout)?;
        assert_eq!((ours.status.code(), &report["finding"]["kind"]), (Some(3), &json!(kind)), "{report}");
        let position = report["finding"]["position"].to_string();
        let said = String::from_utf8(theirs.stderr)?;
        assert!(said.contains(&format!("position {position}:")) || kind == "inserted", "{kind}: {said} {report}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn files_of_each_format_are_verified_and_found_out(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "formats")?;
    published(&pool, &cli, &world).await?;
    for format in ["json", "jsonl", "csv"] {
        let export = ["export-audit-log", "--after", "0", "--format", format, "--output", "whole"];
        anyhow::ensure!(cli.run(&export).await?.status.success());
        let whole = std::fs::read_to_string(cli.directory.join("whole"))?;
        let changed = whole.replacen("runner.listed", "runner.read", 1);
        assert_ne!(changed, whole);
        // Position 4 comes behind a bracket or the names of the columns, where there are any.
        let mut lines: Vec<&str> = whole.lines().collect();
        lines.remove(if format == "jsonl" { 3 } else { 4 });
        let removed = lines.join("\n");
        let cut = whole.get(..whole.len() - 100).context("a short file")?.to_owned();
        // Offline: no database is there to ask.
        let database = cli.environment.remove(0);
        for (content, kind, position) in [
            (whole, Value::Null, Value::Null),
            (changed, json!("changed"), json!(3)),
            (removed, json!("removed"), json!(4)),
            (cut, json!("malformed"), Value::Null),
        ] {
            std::fs::write(cli.directory.join("file"), content)?;
            let verify = ["verify-audit-log", "file", "--checkpoints", "checkpoints.jsonl", "--output", "json"];
            let output = cli.run(&verify).await?;
            let report: Value = serde_json::from_slice(&output.stdout)?;
            let finding = &report["finding"];
            assert_eq!((&finding["kind"], &finding["position"]), (&kind, &position), "{format}: {report}");
            assert_eq!(output.status.code(), Some(if kind.is_null() { 0 } else { 3 }));
        }
        cli.environment.insert(0, database);
    }
    Ok(())
}

#[test]
fn the_documentation_s_example_has_the_seal_that_it_says() -> anyhow::Result<()> {
    let page = include_str!("../../../docs/audit.md");
    let (_, rest) = page.split_once("<!-- example: held to the code by a test -->\n```\n").context("no example")?;
    let (text, rest) = rest.split_once("\n```\n").context("the example has no end")?;
    let canonical = text.lines().last().context("no entry")?;
    let record = serde_json::from_str(canonical)?;
    assert_eq!(control_plane::audit::canonical(&record), canonical);
    let seal = hex::encode(Sha256::digest(text));
    assert_eq!(hex::encode(seal_of(1, &GENESIS, &record)), seal);
    assert!(rest.trim_start().starts_with(&format!("`{seal}`")), "the page should say {seal}");
    Ok(())
}
