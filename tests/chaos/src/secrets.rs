//! The sweep: everything that the run left behind is searched for every secret that it issued.

use std::collections::BTreeMap;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use anyhow::Context as _;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::system::System;

use crate::clients::http;
use crate::world::{Outside, WEBHOOK_SECRET, World};

/// So much of a long secret is looked for, so that a part of one is found, too.
const PIECE: usize = 32;
/// What a control plane writes to its log before the address of its metrics.
const METRICS: &str = "metrics are at http://";
/// Metrics and statistics are many.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was looked for, and where.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sweep {
    /// Secrets by kind.
    pub secrets: BTreeMap<&'static str, usize>,
    /// Bytes searched by place.
    pub places: BTreeMap<String, usize>,
    /// Kinds of secrets that were found, each with its place: there must be none.
    pub found: Vec<String>,
    /// Secrets that were put somewhere to see whether the search finds them, and were not found.
    pub overlooked: Vec<String>,
}

/// Pieces of secrets, each with its kind.
struct Secrets {
    kinds: Vec<&'static str>,
    pieces: Vec<String>,
}

/// Searches everything.
pub(crate) async fn sweep(world: &mut World, outside: &Outside, pool: &PgPool) -> anyhow::Result<Sweep> {
    let secrets = Secrets::of(world, outside)?;
    let search = AhoCorasick::new(&secrets.pieces)?;
    let mut places = logs(&world.system)?;
    places.extend(metrics(&mut world.system).await?);
    places.extend(dump(pool).await?);
    places.extend(exports(&world.system).await?);
    places.push(("traces".to_owned(), traces(world)));
    places.push(("bodies of errors".to_owned(), outside.book.bodies().join("\n")));
    let mut sweep = Sweep { secrets: secrets.counted(), ..Sweep::default() };
    for (place, text) in places {
        anyhow::ensure!(!text.is_empty(), "{place} is empty");
        sweep.found.extend(secrets.found_in(&text, &search).map(|kind| format!("{kind} in {place}")));
        *sweep.places.entry(place).or_default() += text.len();
    }
    sweep.overlooked = secrets.overlooked(&search);
    Ok(sweep)
}

impl Secrets {
    fn of(world: &World, outside: &Outside) -> anyhow::Result<Self> {
        let mut secrets = Self { kinds: Vec::new(), pieces: Vec::new() };
        for secret in outside.github.issued_secrets() {
            let kind = if secret.starts_with("ghs_") {
                "installation token"
            } else if secret.len() > 100 {
                "JIT config"
            } else {
                "registration token or machine's credential"
            };
            secrets.add(kind, &secret);
        }
        for token in outside.issuer.issued_tokens() {
            secrets.add("bearer token", token.rsplit('.').next().unwrap_or_default());
        }
        let system = &world.system;
        let keys = [
            ("the App's key", system.github().app_private_key_pem()),
            ("the edge's signing key", system.identity().private_pem.as_str()),
            ("the audit log's signing key", &world.audit_private_pem),
        ];
        for (kind, pem) in keys {
            pem.lines().filter(|line| !line.starts_with("-----")).for_each(|line| secrets.add(kind, line.trim()));
        }
        secrets.add("the webhook's secret", WEBHOOK_SECRET);
        let password = system.database_url().split(['@', ':']).nth(2).context("no password in the database's URL")?;
        secrets.add("the database's password", password);
        Ok(secrets)
    }

    fn add(&mut self, kind: &'static str, secret: &str) {
        if !secret.is_empty() {
            self.kinds.push(kind);
            self.pieces.push(piece(secret).to_owned());
        }
    }

    fn counted(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for kind in &self.kinds {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }

    /// The kinds of the secrets that stand in a text.
    fn found_in<'a>(&'a self, text: &'a str, search: &'a AhoCorasick) -> impl Iterator<Item = &'static str> + 'a {
        search.find_iter(text).filter_map(|found| self.kinds.get(found.pattern().as_usize()).copied())
    }

    /// Each secret planted in a line of a log and searched for as in any other place: the kinds that are not found.
    fn overlooked(&self, search: &AhoCorasick) -> Vec<String> {
        let is_found = |piece: &String| {
            let planted = format!("{{\"message\":\"planted {piece}\"}}");
            self.found_in(&planted, search).next().is_some()
        };
        let missed = self.kinds.iter().zip(&self.pieces).filter(|(_, piece)| !is_found(piece));
        missed.map(|(kind, _)| (*kind).to_owned()).collect()
    }
}

/// The middle of a long secret, where each differs from the next.
fn piece(secret: &str) -> &str {
    let start = secret.len().saturating_sub(PIECE) / 2;
    secret.get(start..start + PIECE).unwrap_or(secret)
}

type Places = Vec<(String, String)>;

fn logs(system: &System) -> anyhow::Result<Places> {
    let logs = system.logs()?.into_iter().filter(|(_, log)| !log.is_empty());
    Ok(logs
        .map(|(name, log)| {
            (format!("log of {}", name.trim_end_matches(|each: char| each == '-' || each.is_ascii_digit())), log)
        })
        .collect())
}

/// Of each control plane, and Envoy's statistics and configuration.
async fn metrics(system: &mut System) -> anyhow::Result<Places> {
    let mut urls = Vec::new();
    for (number, control_plane) in system.control_planes().iter_mut().enumerate() {
        let log = control_plane.process().log();
        let (_, rest) = log.split_once(METRICS).context("a control plane without metrics")?;
        let address = rest.split('"').next().unwrap_or_default();
        urls.push((format!("metrics of control plane {number}"), format!("http://{address}")));
    }
    for (place, path) in [("Envoy's statistics", "stats/prometheus"), ("Envoy's configuration", "config_dump")] {
        urls.push((place.to_owned(), format!("{}/{path}", system.admin_url())));
    }
    let mut places = Vec::new();
    for (place, url) in urls {
        let answer = http()?.get(url).timeout(PATIENCE).send().await?.error_for_status()?;
        places.push((place, answer.text().await?));
    }
    Ok(places)
}

/// Every row of every table.
async fn dump(pool: &PgPool) -> anyhow::Result<Places> {
    let query = "select table_name::text from information_schema.tables
        where table_schema = 'public' and table_type = 'BASE TABLE'";
    let mut places = Vec::new();
    for table in sqlx::query_scalar::<_, String>(query).fetch_all(pool).await? {
        // The name comes from the database's own catalogue.
        let query = AssertSqlSafe(format!("select t::text from \"{table}\" t"));
        let rows: Vec<String> = sqlx::query_scalar(query).fetch_all(pool).await?;
        if !rows.is_empty() {
            places.push((format!("table {table}"), rows.join("\n")));
        }
    }
    Ok(places)
}

/// What is text in them stays so.
fn traces(world: &World) -> String {
    let bodies = world.collector.got().into_iter().map(|(_, body)| String::from_utf8_lossy(&body).into_owned());
    bodies.collect::<Vec<_>>().join("\n")
}

async fn exports(system: &System) -> anyhow::Result<Places> {
    let mut places = Vec::new();
    for format in ["json", "jsonl", "csv"] {
        let arguments = ["export-audit-log", "--after", "0", "--format", format, "--output", "-"];
        places.push((format!("export as {format}"), system.run_cli(&arguments).await?));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_secret_is_found_and_one_that_is_not_looked_for_is_not() {
        let mut secrets = Secrets { kinds: Vec::new(), pieces: Vec::new() };
        let long = "abcdefghij".repeat(20);
        secrets.add("short", "AABBCCDDEE");
        secrets.add("long", &long);
        let search = AhoCorasick::new(&secrets.pieces).unwrap();
        assert!(search.is_match(&format!("token={long}&x")));
        assert!(search.is_match("…AABBCCDDEE…"));
        assert!(!search.is_match("AABBCCDDE"));
        assert_eq!(secrets.overlooked(&search), [""; 0]);
        let blind = AhoCorasick::new(["something else"]).unwrap();
        assert_eq!(secrets.overlooked(&blind), ["short", "long"]);
    }
}
