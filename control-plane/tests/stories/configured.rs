//! Where the binary takes its configuration from, and what it says of one that is broken.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::MIGRATIONS;
use crate::commands::Cli;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_setting_says_where_it_came_from(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "sources")?;
    let secret = cli.directory.join("secret");
    std::fs::write(&secret, "hunter2\n")?;
    let secret = secret.to_string_lossy().into_owned();
    cli.environment.push(("LOG_LEVEL", "warn".to_owned()));
    // The environment counts before the file, and the file may name files, too.
    let dotenv = format!(
        "LOG_LEVEL=error\nLOG_FORMAT=json\nAUDIT_CHECKPOINT_URL=https://hunter3@siem\nGITHUB_WEBHOOK_SECRET_FILE={secret}\n"
    );
    let file = cli.directory.join(".env");
    std::fs::write(&file, dotenv)?;
    let shown = cli.json(&["config", "--output", "json"]).await?;
    let empty = Vec::new();
    let settings = shown["settings"].as_array().unwrap_or(&empty);
    let of =
        |name: &str| settings.iter().find(|each| each["name"] == name).map(|each| (&each["source"], &each["value"]));
    let file = std::fs::canonicalize(&file)?;
    let masked = json!("********");
    assert_eq!(of("LOG_LEVEL"), Some((&json!("environment"), &json!("warn"))));
    assert_eq!(of("LOG_FORMAT"), Some((&json!({"dotenv": file}), &json!("json"))));
    assert_eq!(of("AUDIT_CHECKPOINT_URL"), Some((&json!({"dotenv": file}), &masked)));
    assert_eq!(of("GITHUB_WEBHOOK_SECRET"), Some((&json!({"file": secret}), &masked)));
    assert_eq!(of("SERVICE_HOST"), Some((&json!("default"), &json!("127.0.0.1"))));
    assert_eq!(of("POLICY_FILE"), Some((&json!("unset"), &Value::Null)));
    let table = String::from_utf8(cli.run(&["config"]).await?.stdout)?;
    let row = |name: &str| -> Vec<String> {
        let row = table.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
        row.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    for (name, cells) in [
        ("LOG_LEVEL", &["environment", "warn"][..]),
        ("LOG_FORMAT", &[".env", "json"]),
        ("GITHUB_WEBHOOK_SECRET", &["file", &secret]),
        ("SERVICE_HOST", &["default", "127.0.0.1"]),
        ("POLICY_FILE", &["not", "set"]),
    ] {
        assert_eq!(row(name), cells, "{table}");
    }
    assert!(!table.contains("hunter") && !shown.to_string().contains("hunter"), "{table}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_start_names_everything_that_is_wrong_at_once_and_no_secret(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool.clone()).await?;
    let mut cli = Cli::new(&world, &pool, "broken")?;
    let broken = [
        ("LOG_LEVEL", "loud,hyper=trace"),
        ("LOG_FORMAT", "xml"),
        ("SERVICE_PORT", "http"),
        ("METRICS_ADDR", "9464"),
        ("RATE_LIMIT_PER_MINUTE", "-1"),
        ("AUDIT_SIGNING_KEY", "hunter2"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("POLICY_FILE", "/does/not/exist.yaml"),
        ("GITHUB_APP_ID", ""),
    ];
    cli.environment.retain(|(name, _)| broken.iter().all(|(broken, _)| broken != name));
    cli.environment.extend(broken.map(|(name, value)| (name, value.to_owned())));
    for arguments in [["serve"], ["config"]] {
        let refused = cli.run(&arguments).await?;
        let text = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("{} problem(s)", broken.len() + 1)), "the level has two: {text}");
        for (name, _) in broken {
            assert!(text.contains(&format!("\n  {name} ")), "{name}: {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    // Other commands say at once what keeps them from logging as told.
    let refused = String::from_utf8(cli.run(&["identity-keygen"]).await?.stderr)?;
    assert!(refused.contains("LOG_LEVEL has \"loud\"") && refused.contains("LOG_FORMAT is \"xml\""), "{refused}");
    Ok(())
}
