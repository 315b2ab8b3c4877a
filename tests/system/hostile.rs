//! What a hostile client sends through the edge: whatever the API's description allows and forbids, bodies that are not
//! what they seem, and floods of long requests.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::system::{System, path};
use tokio::process::Command;

use crate::governed::Governed;
use crate::support::{answer, in_shared_system, request, token_of};

/// So that a failure comes again.
const SEED: &str = "20261128";
/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(4);
/// What an answer is held to. That headers with an underscore are refused in plain text by Envoy itself, before anything
/// of ours sees them, is why the type of content is not among it where headers are made up.
const CHECKS: &str = "not_a_server_error,status_code_conformance,response_schema_conformance";

/// Throws requests at the operations whose path fits, and gives the report.
async fn throw(system: &System, token: &str, paths: &str, checks: &str) -> anyhow::Result<String> {
    let place = path("SCHEMATHESIS_DIR")?;
    let mut program = Command::new(place.join("bin/st"));
    program.env("PYTHONPATH", &place).current_dir(std::env::temp_dir()).stdin(Stdio::null()).kill_on_drop(true);
    program.args(["run", &format!("{}/api/v1/openapi.json", system.edge_url()), "--no-color", "--seed", SEED]);
    program.args(["--header", &format!("Authorization: Bearer {token}"), "--include-path-regex", paths]);
    program.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--no-shrink"]);
    program.args(["--checks", checks, "--continue-on-failure", "--request-timeout", "20", "--warnings", "off"]);
    let output = tokio::time::timeout(PATIENCE, program.output()).await.context("it hangs")??;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(report)
}

/// How many requests the report says were made.
fn thrown(report: &str) -> anyhow::Result<u32> {
    let line = report.lines().find(|line| line.contains(" generated")).context("no count")?;
    Ok(line.split_whitespace().next().context("no count")?.replace(',', "").parse()?)
}

/// How much all parts have written.
fn written(system: &System) -> anyhow::Result<usize> {
    Ok(system.logs()?.iter().map(|(_, log)| log.len()).sum())
}

/// Requests as long as the edge lets in fill no disk: what stands of each in all logs together is bounded.
async fn floods_leave_short_lines(system: &System, good: &str) -> anyhow::Result<()> {
    const REQUESTS: usize = 100;
    const AT_MOST: usize = 3_000;
    let long = "a".repeat(25_000);
    let before = written(system)?;
    for token in [long.as_str(), good] {
        for _ in 0..REQUESTS / 2 {
            let call = request(Method::GET, system.edge_url(), &format!("/api/v1/runners/{long}?{long}"));
            let refused = answer(call.bearer_auth(token).header("user-agent", "a".repeat(5_000))).await?;
            ensure!(refused.status.is_client_error(), "{refused:?}");
        }
    }
    let each = written(system)?.saturating_sub(before) / REQUESTS;
    println!("{each} bytes of log a request");
    ensure!((1..AT_MOST).contains(&each), "{each} bytes of log a request of {} bytes", long.len() * 2);
    Ok(())
}

/// Whatever is thrown at the described API, it is answered as described, and never with a fault of ours.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_a_machine_makes_up_is_a_fault() -> anyhow::Result<()> {
    let mut governed = Governed::start("hostile").await?;
    let issuer = governed.issuer();
    let rules = format!(
        "version: 1\nrules:\n{}  - name: anybody\n    match: {{iss: {issuer:?}, claims: {{aud: runner-tokens}}}}\n    \
         grant: {{targets: [\"org:acme-partners\"], labels: [linux, gpu]}}\n",
        governed.operators()
    );
    governed.put_in_force(&rules).await?;
    let caller = governed.token("team-blue", "groups", json!(["runners"]))?;
    let admin = governed.token("root", "groups", json!(["runner-admins"]))?;
    let path = "/api/v1/admin/audit-log?until=-262000-01-01T00:00:00Z";
    let ancient = answer(request(Method::GET, governed.system.edge_url(), path).bearer_auth(&admin)).await?;
    assert_eq!((ancient.status.as_u16(), ancient.problem()), (400, "invalid-request"));
    let with_type = format!("{CHECKS},content_type_conformance");
    for (token, paths, checks) in [
        (&caller, "^/api/v1/(me|runners|admin)", with_type.as_str()),
        (&caller, "^/(health|webhooks|api/v1/openapi)", CHECKS),
        (&admin, "^/api/v1/admin", with_type.as_str()),
    ] {
        let report = throw(&governed.system, token, paths, checks).await?;
        let count = thrown(&report)?;
        println!("{paths}: {count} requests");
        ensure!(count > 50, "{report}");
    }
    floods_leave_short_lines(&governed.system, &caller).await?;
    // What an administrator may do was done, too: by now the callers may be revoked.
    let alive = answer(request(Method::GET, governed.system.edge_url(), "/health/ready")).await?;
    assert_eq!(alive.status, StatusCode::OK);
    Ok(())
}

/// A few bytes of it could be gigabytes. What they hold does not matter: nobody unpacks them.
#[test]
fn a_compressed_body_is_refused_unread() -> anyhow::Result<()> {
    in_shared_system(async |system| {
        for coding in ["gzip", "br", "deflate", "zstd", "identity"] {
            let call = request(Method::POST, system.edge_url(), "/api/v1/runners/provision");
            let call = call.header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, coding);
            let refused =
                answer(call.bearer_auth(token_of(system, "team-blue")?).body(r#"{"runner_name": "compressed"}"#))
                    .await?;
            assert_eq!((refused.status.as_u16(), refused.problem()), (415, "unsupported-media-type"), "{coding}");
        }
        Ok(())
    })
}
