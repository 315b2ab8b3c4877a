//! The files in `telemetry/` name metrics that there are, and what they ask is what Prometheus understands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use control_plane::metrics::{Kind, METRICS};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../telemetry")
}

fn read(name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(folder().join(name)).with_context(|| name.to_owned())
}

/// Runs promtool in the folder.
fn promtool(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(testkit::system::path("PROMTOOL_BIN")?).args(arguments).current_dir(folder()).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{said}");
    Ok(said)
}

/// The members of this name, anywhere.
fn members<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    match value {
        Value::Object(members_of) => members_of
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if key == name => vec![text.as_str()],
                other => members(other, name),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| members(item, name)).collect(),
        _ => Vec::new(),
    }
}

fn alerts() -> anyhow::Result<Value> {
    Ok(serde_saphyr::from_str(&read("alerts.yaml")?)?)
}

fn dashboard() -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&read("dashboard.json")?)?)
}

/// The metrics in an expression, as the catalogue has them: a histogram is asked by its parts.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let part = |word: &str| {
        let whole = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        let is_histogram = |name: &&str| METRICS.iter().any(|of| of.name == *name && of.kind == Kind::Histogram);
        whole.filter(is_histogram).unwrap_or(word).to_owned()
    };
    words.filter(|word| word.starts_with("runner_tokens_")).map(part).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are_and_every_one_is_shown() -> anyhow::Result<()> {
    let (alerts, dashboard) = (alerts()?, dashboard()?);
    let known: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    let asked = |file: &Value| members(file, "expr").into_iter().flat_map(metrics_in).collect::<BTreeSet<_>>();
    let unknown: Vec<_> =
        asked(&alerts).union(&asked(&dashboard)).filter(|name| !known.contains(*name)).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(asked(&dashboard), known, "a metric that nobody sees");
    Ok(())
}

#[test]
fn each_alert_comes_when_its_test_says_so_and_leads_to_what_to_do() -> anyhow::Result<()> {
    promtool(&["check", "rules", "alerts.yaml"])?;
    promtool(&["test", "rules", "alerts_test.yaml"])?;
    let tests: Value = serde_saphyr::from_str(&read("alerts_test.yaml")?)?;
    let tests = tests["tests"].as_array().context("no tests")?;
    let comes = |alert: &Value| {
        let mut cases = tests.iter().flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
        cases.any(|case| case["alertname"] == *alert && case["exp_alerts"].is_array())
    };
    let stays_away = |alert: &Value| {
        let mut cases = tests.iter().flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
        cases.any(|case| case["alertname"] == *alert && case["exp_alerts"].is_null())
    };
    let operations = std::fs::read_to_string(folder().join("../docs/operations.md"))?;
    let alerts = alerts()?;
    let rules = alerts["groups"][0]["rules"].as_array().context("no rules")?;
    assert!(rules.len() >= 12, "{}", rules.len());
    for rule in rules {
        let name = rule["alert"].as_str().context("no name")?;
        assert!(comes(&rule["alert"]) && stays_away(&rule["alert"]), "{name} has no test");
        for annotation in ["summary", "description"] {
            assert!(rule["annotations"][annotation].is_string(), "{name} has no {annotation}");
        }
        let runbook = format!("docs/operations.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], json!(runbook));
        assert!(operations.contains(&format!("\n### {name}\n\n")), "docs/operations.md says nothing of {name}");
    }
    Ok(())
}

#[test]
fn prometheus_understands_what_the_dashboard_asks() -> anyhow::Result<()> {
    let dashboard = dashboard()?;
    let rules: Vec<Value> = members(&dashboard, "expr")
        .into_iter()
        .enumerate()
        .map(|(number, asked)| json!({"record": format!("panel:{number}"), "expr": asked.replace("$__rate_interval", "5m")}))
        .collect();
    assert!(rules.len() > 20);
    let file = std::env::temp_dir().join(format!("dashboard-{}.json", std::process::id()));
    std::fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string())?;
    let checked = promtool(&["check", "rules", file.to_str().context("no text")?]);
    std::fs::remove_file(&file)?;
    checked.map(drop)
}
