//! What an administrator types about policies and principals.

use std::process::Stdio;

use anyhow::Context as _;
use identity::headers;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::ORGANIZATION;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::world::{ISSUER, World};

const PAGE: &str = include_str!("../../../docs/policy.md");

/// The first block of a kind on the page that has this in it.
fn block(kind: &str, with: &str) -> anyhow::Result<&'static str> {
    let start = format!("```{kind}\n");
    let mut blocks = PAGE.split(start.as_str()).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(with)).with_context(|| format!("no {kind} with {with}"))
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_first_five_minutes_of_the_page_go_as_it_says(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    // Nothing of all this needs a service, a database or credentials.
    let mut cli = Cli::new(&world, &pool, "first-policy")?;
    cli.environment.clear();
    let write = |name: &str, text: &str| std::fs::write(cli.directory.join(name), text);
    write("policy.yaml", block("yaml", "acme-partners")?)?;
    write("claims.json", block("json", "repository_owner_id")?)?;
    write("request.json", block("json", "runner_name")?)?;
    for command in ["policy check", "policy explain"] {
        let (typed, told) =
            block("console", command)?.trim_start_matches("$ ").split_once('\n').context("no answer")?;
        let (variables, arguments) = typed.split_once("runner-tokens ").context("no command")?;
        let mut process = cli.command(&arguments.split(' ').collect::<Vec<_>>());
        process.envs(variables.split_whitespace().filter_map(|variable| variable.split_once('=')));
        let output = process.output().await?;
        let answer = String::from_utf8(output.stdout)?;
        assert!(output.status.success(), "{typed}: {}", String::from_utf8_lossy(&output.stderr));
        let shown = told.split('…').next().unwrap_or_default();
        assert!(answer.starts_with(shown), "{typed}: {answer}");
    }
    let granted = r#"{"runner_name": "acme-1", "mode": "jit", "labels": ["gpu"]}"#;
    write("request.json", granted)?;
    let arguments =
        ["policy", "explain", "--file", "policy.yaml", "--claims", "claims.json", "--request", "request.json"];
    cli.environment.push(("GITHUB_ORG", ORGANIZATION.to_owned()));
    let explained = cli.json(&[&arguments[..], &["--output", "json"]].concat()).await?;
    assert_eq!((&explained["allowed"], &explained["limits"]["active"]), (&json!(true), &json!(20)));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_broken_policy_is_told_of_with_its_places(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "broken-policy")?;
    cli.environment.clear();
    let text = block("yaml", "acme-partners")?.replace("[org:acme-partners]", "[acme]").replace("gpu", "\"*\"");
    std::fs::write(cli.directory.join("policy.yaml"), text)?;
    let output = cli.run(&["policy", "check", "policy.yaml"]).await?;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout)?;
    let places: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, ["policy.yaml:10:17", "policy.yaml:11:29"], "{told}");
    let output = cli.run(&["policy", "check", "policy.yaml", "--output", "json"]).await?;
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout)?["problems"][1]["line"], 11);
    let output = cli.run(&["policy", "check", "elsewhere.yaml"]).await?;
    assert!(String::from_utf8(output.stderr)?.contains("can't be read"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_token_is_decoded_for_an_explanation_and_shown_nowhere(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "token")?;
    cli.environment.clear();
    cli.environment.push(("POLICY_FILE", "policy.yaml".to_owned()));
    std::fs::write(cli.directory.join("policy.yaml"), block("yaml", "runner-admins")?)?;
    std::fs::write(cli.directory.join("request.json"), r#"{"runner_name": "a"}"#)?;
    // Any token will do: an assertion has the claims of one beside its own.
    let token = world.assertion_of(ISSUER, "root", &json!({"groups": "runner-admins"}))?;
    let mut process = cli.command(&["policy", "explain", "--token", "-", "--request", "request.json"]);
    let mut process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    process.stdin.take().context("no input")?.write_all(token.as_bytes()).await?;
    let output = process.wait_with_output().await?;
    let (told, said) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success() && told.starts_with("DENIED\n"), "{told} {said}");
    assert!(said.contains("nobody has checked its signature"), "{said}");
    let secret = token.split('.').next_back().context("no signature")?;
    assert!(!told.contains(secret) && !said.contains(secret));
    let schema = cli.json(&["policy", "schema"]).await?;
    assert_eq!(schema["title"], "Policy of the Runner Token Service");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_administrator_revokes_and_restores_by_hand(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "revoke")?;
    let policy = cli.directory.join("policy.yaml");
    std::fs::write(&policy, block("yaml", "runner-admins")?)?;
    cli.environment.push(("POLICY_FILE", policy.to_string_lossy().into_owned()));
    for name in ["a-1", "a-2", "a-3"] {
        assert_eq!(world.provision("alice", json!({"runner_name": name, "mode": "jit"})).await?.status, 201);
    }
    let mut busy = world.running("alice", "busy").await?;
    busy.take_job().await?;
    world.reconcile().await?;
    assert_eq!(world.provision("bob", json!({"runner_name": "b-1", "mode": "jit"})).await?.status, 201);

    let whom = ["--issuer", ISSUER, "--subject", "alice"];
    let revoke = [&["revoke-principal"], &whom[..], &["--reason", "token leaked", "--output", "json"]].concat();
    let output = cli.run(&revoke).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let outcome: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(outcome, json!({"runners": 4, "gone": 3, "waiting": 1, "failed": 0}));
    assert!(said.contains("4 runner(s): 3 gone, 1 waiting, 0 failed"), "{said}");
    assert_eq!(world.get("alice", "/api/v1/runners").await?.problem(), "principal-revoked");
    assert_eq!(world.state("b-1").await?.0, "pending");
    let query = "select count(*) from audit_log where event = 'principal.revoked' and policy_sha256 is not null
        and reasons = array['token leaked']";
    assert_eq!(sqlx::query_scalar::<_, i64>(query).fetch_one(&pool).await?, 1);

    assert!(cli.run(&[&["restore-principal"], &whom[..]].concat()).await?.status.success());
    assert_eq!(world.get("alice", "/api/v1/runners").await?.status, 200);
    let again = cli.run(&[&["restore-principal"], &whom[..]].concat()).await?;
    assert_eq!(again.status.code(), Some(1));
    for unclear in [&["--issuer", ISSUER][..], &["--issuer", ISSUER, "--claim", "x"], &["--subject", "alice"]] {
        assert!(!cli.run(&[&["revoke-principal"], unclear].concat()).await?.status.success(), "{unclear:?}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_service_takes_a_changed_policy_into_force_by_itself_and_when_told(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "reload")?;
    let policy = cli.directory.join("policy.yaml");
    let rule = |grant: &str| {
        format!(
            "version: 1\nrules:\n  - name: a\n    match: {{iss: {ISSUER}, claims: {{sub: alice}}}}\n    grant: {{{grant}}}\n"
        )
    };
    std::fs::write(&policy, rule("admin: true"))?;
    cli.environment.push(("POLICY_FILE", policy.to_string_lossy().into_owned()));
    let mut service = cli.command(&["serve"]).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(service.stderr.take().context("no log")?).lines();
    let address = loop {
        let line = lines.next_line().await?.context("it ended")?;
        let entry: Value = serde_json::from_str(&line)?;
        if let Some(address) = entry["message"].as_str().and_then(|text| text.strip_prefix("listening on ")) {
            break address.to_owned();
        }
    };
    let client = reqwest::Client::new();
    let ask = async || {
        let body = json!({"runner_name": "a"});
        let url = format!("{address}/api/v1/runners/provision");
        let request = client.post(url).header(headers::ASSERTION, world.assertion("alice")?).json(&body);
        anyhow::Ok(world.send(request).await?.status)
    };
    let status = async || {
        let health = world.send(client.get(format!("{address}/health"))).await?;
        anyhow::Ok(health.body["policy"]["status"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask().await?, 403);
    std::fs::write(&policy, "version: 1\nrules: [")?;
    let until = async |wanted: &str| {
        for _ in 0..100 {
            if status().await? == wanted {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        anyhow::bail!("not {wanted}")
    };
    until("stale").await?;
    let told = async {
        while let Some(line) = lines.next_line().await? {
            let line: Value = serde_json::from_str(&line)?;
            if line["message"].as_str().is_some_and(|text| text.starts_with("the policy file is broken")) {
                return Ok(line);
            }
        }
        anyhow::bail!("it ended")
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), told).await??;
    assert_eq!(told["level"], "ERROR", "{told}");
    assert!(told["error"].as_str().is_some_and(|error| error.contains("line")), "{told}");
    assert_eq!(ask().await?, 403, "the last good policy stays in force");
    std::fs::write(&policy, rule(&format!("targets: [org:{ORGANIZATION}]")))?;
    let id = service.id().and_then(|id| i32::try_from(id).ok()).context("no id")?;
    rustix::process::kill_process(rustix::process::Pid::from_raw(id).context("no id")?, rustix::process::Signal::HUP)?;
    until("ok").await?;
    assert_eq!(ask().await?, 201);
    assert!(service.try_wait()?.is_none(), "SIGHUP ends nothing");
    service.kill().await?;
    Ok(())
}
