//! `policy check`, `policy explain`, `policy schema`: all of it without a network or a database.

use std::fs;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::table::harmless;
use super::{Output, environment, screen};
use crate::policy::{self, Defaults, Explanation, LoadError, Policy, ProvisionRequest, identity_of};
use crate::runner::Target;

#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Say whether a policy file is in order, or everything that is wrong with it and where
    #[command(after_help = "Example:\n  runner-tokens policy check policy.yaml")]
    Check(CheckArgs),
    /// Say what a policy would decide, and why
    #[command(
        after_help = "Example:\n  runner-tokens policy explain --file policy.yaml --claims claims.json \\\n      \
        --request request.json\n  runner-tokens policy explain --file policy.yaml --token - \\\n      \
        --request request.json < token"
    )]
    Explain(ExplainArgs),
    /// Print the JSON Schema of policy files, for editors
    #[command(after_help = "Example:\n  runner-tokens policy schema > policy.schema.json")]
    Schema,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The policy file
    file: PathBuf,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// The policy file; the one of POLICY_FILE unless given
    #[arg(long)]
    file: Option<PathBuf>,
    /// A JSON file with the claims of a token; - for standard input
    #[arg(long, required_unless_present = "token")]
    claims: Option<PathBuf>,
    /// Instead of claims, a file with a token; it is decoded, not verified. - for standard input
    #[arg(long, conflicts_with = "claims", value_name = "FILE")]
    token: Option<PathBuf>,
    /// A JSON file with the body of a provision
    #[arg(long)]
    request: PathBuf,
    /// The name of the request's runner group on GitHub, for rules that grant groups by name
    #[arg(long)]
    runner_group_name: Option<String>,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(command: PolicyCommand) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Check(arguments) => check(&arguments),
        PolicyCommand::Explain(arguments) => explain(&arguments),
        PolicyCommand::Schema => screen::print_json(&policy::schema()),
    }
}

fn check(arguments: &CheckArgs) -> anyhow::Result<()> {
    let file = arguments.file.display();
    match (policy::read(&arguments.file), arguments.output) {
        (Ok(policy), Output::Table) => {
            let size = policy.size().unwrap_or_default();
            screen::print_sentences(&format!("{file} is in order: {size} rule(s), SHA-256 {}", sha256(&policy)))?;
        }
        (Ok(policy), Output::Json) => {
            let whole = json!({"ok": true, "rules": policy.size(), "sha256": sha256(&policy), "problems": []});
            screen::print_json(&whole)?;
        }
        (Err(LoadError::Policy(error)), output) => {
            if output == Output::Json {
                screen::print_json(&json!({"ok": false, "problems": error.problems}))?;
            } else {
                // As compilers write it, so that editors find the place.
                for problem in &error.problems {
                    let (line, column, what) = (problem.line.max(1), problem.column.max(1), harmless(&problem.what));
                    screen::print_sentences(&format!("{file}:{line}:{column}: {what}"))?;
                }
            }
            bail!("{file} has {} problem(s)", error.problems.len());
        }
        (Err(error), _) => return Err(error.into()),
    }
    Ok(())
}

fn sha256(policy: &Policy) -> &str {
    policy.sha256().unwrap_or_default()
}

fn explain(arguments: &ExplainArgs) -> anyhow::Result<()> {
    let policy = policy_to_explain(arguments.file.as_deref())?;
    let claims = match (&arguments.token, &arguments.claims) {
        (Some(path), _) => {
            screen::note("the token is only decoded: nobody has checked its signature or its times");
            decode(text(path)?.trim())?
        }
        (None, Some(path)) => json_of::<Map<String, Value>>(path)?,
        (None, None) => bail!("give --claims or --token"),
    };
    let caller = identity_of(claims).map_err(|error| anyhow::anyhow!("the claims: {error}"))?;
    let defaults = defaults()?;
    let request: ProvisionRequest = json_of(&arguments.request)?;
    let mut wish = request.complete(&defaults).with_context(|| arguments.request.display().to_string())?;
    wish.group_name.clone_from(&arguments.runner_group_name);
    if wish.group_name.is_none() && policy.needs_group_name(&caller, &wish) {
        screen::note("a rule grants runner groups by name; say with --runner-group-name what GitHub calls this one");
    }
    let explanation = policy.explain(&caller, &wish, &defaults);
    match arguments.output {
        Output::Json => screen::print_json(&json!(explanation)),
        Output::Table => {
            let verdict = if explanation.allowed { "ALLOWED" } else { "DENIED" };
            screen::print_verdict(verdict, explanation.allowed, &rendered(&explanation))
        }
    }
}

fn policy_to_explain(file: Option<&Path>) -> anyhow::Result<Policy> {
    let configured = environment("POLICY_FILE").filter(|path| !path.trim().is_empty());
    match file.map(Path::to_owned).or_else(|| configured.map(|path| PathBuf::from(path.trim()))) {
        Some(path) => policy::read(&path).with_context(|| path.display().to_string()),
        None => bail!("give --file, or set POLICY_FILE"),
    }
}

/// Where the service that is configured here would put runners; `org:default` where none is.
fn defaults() -> anyhow::Result<Defaults> {
    let organisation = environment("GITHUB_ORG").filter(|name| !name.trim().is_empty());
    if organisation.is_none() {
        screen::note("GITHUB_ORG is not set; a request without `target` is taken to be for org:default");
    }
    let target: Target = format!("org:{}", organisation.as_deref().unwrap_or("default").trim()).parse()?;
    let group = environment("DEFAULT_RUNNER_GROUP_ID").and_then(|id| id.trim().parse().ok());
    Ok(Defaults { target, runner_group_id: group.unwrap_or(1) })
}

/// The claims of a JWT, unverified.
fn decode(token: &str) -> anyhow::Result<Map<String, Value>> {
    // Never the token itself in an error: it is a secret.
    let payload = token.split('.').nth(1).context("this is no JWT: it has no three parts")?;
    let payload =
        BASE64URL.decode(payload).map_err(|_| anyhow::anyhow!("this is no JWT: its payload is not base64url"))?;
    serde_json::from_slice(&payload).map_err(|_| anyhow::anyhow!("this is no JWT: its payload is no JSON object"))
}

fn json_of<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = text(path)?;
    let mut json = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut json).with_context(|| path.display().to_string())
}

fn text(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn rendered(explanation: &Explanation) -> String {
    let mut lines = vec![String::new()];
    lines.extend(explanation.owner.iter().map(|owner| match owner.issuer.as_str() {
        "" => format!("owner: {}", owner.subject),
        issuer => format!("owner: {} of {issuer}", owner.subject),
    }));
    if let Some(limits) = explanation.limits.filter(|limits| !limits.is_empty()) {
        let one = |name: &str, limit: Option<u32>| limit.map(|limit| format!("{name} {limit}"));
        let all = [one("active", limits.active), one("pending", limits.pending), one("per hour", limits.per_hour)];
        lines.push(format!("limits of the owner: {}", all.into_iter().flatten().collect::<Vec<_>>().join(", ")));
    }
    lines.push(format!("admin rights: {}", if explanation.admin { "yes" } else { "no" }));
    if explanation.rules.is_empty() {
        lines.extend(explanation.reasons.iter().cloned());
    }
    for rule in &explanation.rules {
        let (mark, what) = match (rule.grants, rule.matches) {
            (true, _) => ("+", "grants it"),
            (false, true) => ("-", "is about this caller and does not grant it"),
            (false, false) => (" ", "is not about this caller"),
        };
        let trial = if rule.enforced { "" } else { " (not enforced)" };
        lines.push(format!("{mark} rule {:?} {what}{trial}", rule.rule));
        lines.extend(rule.reasons.iter().map(|reason| format!("    {reason}")));
    }
    lines.iter().map(|line| harmless(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_decoded_and_never_quoted() {
        let token = format!("x.{}.y", BASE64URL.encode(r#"{"iss":"a"}"#));
        assert_eq!(decode(&token).unwrap().get("iss"), Some(&json!("a")));
        for bad in ["", "secret", "a.sec!ret.b", "a.c2VjcmV0.b"] {
            let error = format!("{:#}", decode(bad).unwrap_err());
            assert!(!error.contains("sec"), "{error}");
        }
    }
}
