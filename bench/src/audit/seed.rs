//! Entries as the service writes them, and copies of these.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgConnection;
use testkit::issuer::Mint;
use testkit::system::{AUDIENCE, SUBJECT, System};

/// The life of a few runners, and denials, through Envoy.
pub(crate) async fn by_the_service(system: &System) -> anyhow::Result<()> {
    let token = system.issuer().mint(&Mint::new(SUBJECT, AUDIENCE))?;
    let runners = "/api/v1/runners";
    let jit = json!({"runner_name": "seed-1", "mode": "jit", "labels": ["self-hosted", "linux", "gpu"]});
    let by_token = json!({"runner_name": "seed-2", "labels": ["gpu"], "ephemeral": true});
    let refused = json!({"runner_name": "seed-3", "labels": ["ubuntu-latest"], "target": "org:elsewhere"});
    for (method, path, body, expected) in [
        (Method::POST, "/provision", jit, StatusCode::CREATED),
        (Method::POST, "/provision", by_token, StatusCode::CREATED),
        (Method::POST, "/provision", refused, StatusCode::FORBIDDEN),
        (Method::GET, "", Value::Null, StatusCode::OK),
        (Method::GET, "/seed-1", Value::Null, StatusCode::OK),
        (Method::POST, "/seed-1/refresh", Value::Null, StatusCode::OK),
        (Method::DELETE, "/seed-1", Value::Null, StatusCode::OK),
    ] {
        let url = format!("{}{runners}{path}", system.edge_url());
        let request = Client::new().request(method.clone(), url).bearer_auth(&token).json(&body);
        let status = request.send().await?.status();
        anyhow::ensure!(status == expected, "{method} {path}: {status}");
    }
    Ok(())
}

/// Writes copies of the entries that are there, each about another runner and request, two to a transaction as a
/// provision has them, until there are so many. The database gives ids, times and transactions, as it does to the service.
pub(crate) async fn copies(connection: &mut PgConnection, entries: u32) -> anyhow::Result<()> {
    let there: i64 = sqlx::query_scalar("select count(*) from audit_log").fetch_one(&mut *connection).await?;
    let missing = i64::from(entries).saturating_sub(there);
    let statements = format!(
        "create temporary table templates as select row_number() over (order by id) - 1 as number, * from audit_log;
        do $$
        begin
            for pair in 0 .. ({missing} - 1) / 2 loop
                insert into audit_log (event, outcome, actor, principal_issuer, principal_subject, display_name,
                    client_ip, user_agent, request_id, token_sha256, runner_id, runner_name, target, reasons,
                    policy_sha256, details)
                select event, outcome, actor, principal_issuer, principal_subject, display_name, client_ip, user_agent,
                    case when request_id is not null then gen_random_uuid()::text end,
                    case when token_sha256 is not null then encode(sha256(pair::text::bytea), 'hex') end,
                    case when runner_id is not null then gen_random_uuid() end, runner_name || '-' || pair, target,
                    reasons, policy_sha256, details
                from templates
                where number in ((2 * pair) % {there}, (2 * pair + 1) % {there})
                limit least(2, {missing} - 2 * pair);
                commit;
            end loop;
        end
        $$"
    );
    for statement in statements.splitn(2, ';') {
        // Only numbers of this program's own are in it.
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut *connection).await?;
    }
    sqlx::query("analyze").execute(connection).await?;
    Ok(())
}

/// A file with the first lines of another.
pub(crate) fn first_lines(from: &Path, lines: u32, to: &Path) -> anyhow::Result<()> {
    let (mut from, mut to) = (BufReader::new(File::open(from)?), BufWriter::new(File::create(to)?));
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        from.read_line(&mut line)?;
        to.write_all(line.as_bytes())?;
    }
    Ok(to.flush()?)
}
