//! Configuration from the environment (and `.env`), read once at start. Every problem is listed at once.
//!
//! Each subcommand asks for the parts that it needs, so that `list-runners` runs with `DATABASE_URL` alone.
//! [`SECTIONS`] describes each variable, docs/configuration.md is made of it, and tests hold `.env.example` and what is
//! really read to it. Any variable that may hold a secret has a second one, `NAME_FILE`, which names a file with it.

mod audit;
mod effective;
mod github;
mod log;
mod reader;
mod settings;
mod traces;
mod ui;

pub use audit::AuditConfig;
pub use effective::{Dotenv, Effective, Source, effective};
pub use github::{GithubConfig, web_url};
pub use log::{LogConfig, LogFormat};
pub(crate) use reader::value;
pub use reader::{ConfigError, Environment, Problem};
pub(crate) use settings::default_of;
pub use settings::{Preset, SECTIONS, Section, Setting};
pub use traces::TracesConfig;
pub use ui::{IssuerUrl, UiConfig};

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use identity::Verifier;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;

use crate::audit::AuditKey;
use crate::policy;
use reader::Reader;

/// Where the records are kept.
pub struct DatabaseConfig {
    /// `DATABASE_URL`; holds a password, so it is never shown.
    pub options: PgConnectOptions,
    /// `DATABASE_MAX_CONNECTIONS`, 10 unless set.
    pub max_connections: u32,
}

/// What the jobs do on their own.
#[derive(Clone, Copy, Debug)]
pub struct JobsConfig {
    /// `RECONCILE_INTERVAL_SECONDS`, 60 unless set.
    pub interval: Duration,
    /// `CLEANUP_STALE_RUNNERS_HOURS`, 24 unless set; 0 leaves runners that are off line alone.
    pub stale_after_hours: Option<u32>,
}

/// What `serve` needs: everything.
pub struct ServeConfig {
    /// Where the records are kept.
    pub database: DatabaseConfig,
    /// How GitHub is reached.
    pub github: GithubConfig,
    /// Checks assertions with `IDENTITY_PUBLIC_KEYS` for `IDENTITY_AUDIENCE`.
    pub verifier: Verifier,
    /// `SERVICE_HOST`, 127.0.0.1 unless set: only the edge has business here.
    pub host: IpAddr,
    /// `SERVICE_PORT`, 8000 unless set; 0 takes any free one.
    pub port: u16,
    /// `METRICS_ADDR`: where Prometheus asks; off unless set.
    pub metrics_addr: Option<SocketAddr>,
    /// Where spans go; nowhere unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
    pub traces: Option<TracesConfig>,
    /// What the jobs do on their own.
    pub jobs: JobsConfig,
    /// `DRAIN_STUCK_SECONDS`, six hours unless set: a runner that has been draining for longer is shown as stuck.
    pub drain_stuck: Duration,
    /// How the audit log is sealed and sent on.
    pub audit: AuditConfig,
    /// `GITHUB_WEBHOOK_SECRET` and `GITHUB_WEBHOOK_SECRET_PREVIOUS`; with none, webhooks are off.
    pub webhook_secrets: Vec<SecretString>,
    /// `RATE_LIMIT_PER_MINUTE`, 1200 unless set: requests of one principal; 0 turns it off.
    pub rate_limit: Option<NonZeroU32>,
    /// `POLICY_FILE`, checked; with none, the default organisation and group are open to every verified caller.
    pub policy_file: Option<PathBuf>,
    /// How the page signs people in; with none, there is no page.
    pub ui: Option<UiConfig>,
    /// `SHUTDOWN_TIMEOUT_SECONDS`, 55 unless set: how long a stop waits for what is under way.
    pub shutdown_timeout: Duration,
}

/// Reads what a command on the database alone needs.
pub fn database(environment: Environment<'_>) -> Result<DatabaseConfig, ConfigError> {
    let mut reader = Reader::new(environment);
    let database = read_database(&mut reader);
    reader.finish(database)
}

/// Reads what a command that signs for the audit log needs: the database, and the key if there is one.
pub fn database_and_audit_key(environment: Environment<'_>) -> Result<(DatabaseConfig, Option<AuditKey>), ConfigError> {
    let mut reader = Reader::new(environment);
    let (database, key) = (read_database(&mut reader), audit::read_key(&mut reader).ok());
    reader.finish(database.zip(key))
}

/// Reads what GitHub alone needs.
pub fn github(environment: Environment<'_>) -> Result<GithubConfig, ConfigError> {
    let mut reader = Reader::new(environment);
    let github = github::read(&mut reader);
    reader.finish(github)
}

/// Reads what a command on the database and GitHub needs.
pub fn database_and_github(environment: Environment<'_>) -> Result<(DatabaseConfig, GithubConfig), ConfigError> {
    let mut reader = Reader::new(environment);
    let (database, github) = (read_database(&mut reader), github::read(&mut reader));
    reader.finish(database.zip(github))
}

/// Reads when a runner that is draining is stuck.
pub fn drain_stuck(environment: Environment<'_>) -> Result<Duration, ConfigError> {
    let mut reader = Reader::new(environment);
    let stuck = read_drain_stuck(&mut reader);
    reader.finish(stuck)
}

/// Reads what every command needs: how it logs.
pub fn log(environment: Environment<'_>) -> Result<LogConfig, ConfigError> {
    let mut reader = Reader::new(environment);
    let log = log::read(&mut reader);
    reader.finish(log)
}

/// Reads what `serve` needs.
pub fn serve(environment: Environment<'_>) -> Result<ServeConfig, ConfigError> {
    let mut reader = Reader::new(environment);
    let log = log::read(&mut reader);
    let policy_file = read_policy_file(&mut reader);
    let database = read_database(&mut reader);
    let github = github::read(&mut reader);
    let verifier = read_verifier(&mut reader);
    let host = reader.or_default("SERVICE_HOST", "an IP address such as 127.0.0.1 or 0.0.0.0");
    let port = reader.or_default("SERVICE_PORT", "a port number from 0 to 65535");
    let metrics_addr = reader.or_unset("METRICS_ADDR", "an IP address and a port, such as 127.0.0.1:9464");
    let traces = traces::read(&mut reader);
    let jobs = read_jobs(&mut reader);
    let drain_stuck = read_drain_stuck(&mut reader);
    let audit = audit::read(&mut reader);
    let rate_limit = reader.or_default("RATE_LIMIT_PER_MINUTE", "a number of requests; 0 for no limit");
    let webhook_secrets = read_webhook_secrets(&mut reader);
    let ui = ui::read(&mut reader);
    let shutdown = reader.or_default("SHUTDOWN_TIMEOUT_SECONDS", "a number of seconds from 1 to 3600");
    let shutdown = reader.within("SHUTDOWN_TIMEOUT_SECONDS", shutdown, 1..=3600);
    let config = (|| {
        let (_, database, github, verifier) = (log?, database?, github?, verifier?);
        Some(ServeConfig {
            database,
            github,
            verifier,
            host: host?,
            port: port?,
            metrics_addr,
            traces,
            jobs: jobs?,
            drain_stuck: drain_stuck?,
            audit: audit?,
            webhook_secrets,
            policy_file,
            ui,
            rate_limit: NonZeroU32::new(rate_limit?),
            shutdown_timeout: Duration::from_secs(shutdown?),
        })
    })();
    reader.finish(config)
}

fn read_drain_stuck(reader: &mut Reader<'_>) -> Option<Duration> {
    let stuck = reader.or_default("DRAIN_STUCK_SECONDS", "a number of seconds from 1 to 31536000");
    reader.within("DRAIN_STUCK_SECONDS", stuck, 1..=31_536_000).map(Duration::from_secs)
}

/// Fail closed: a policy that is broken to begin with stops the start, for there is no older one to go by.
fn read_policy_file(reader: &mut Reader<'_>) -> Option<PathBuf> {
    let path = reader.get("POLICY_FILE").map(PathBuf::from)?;
    if let Err(error) = policy::read(&path) {
        let remedy = format!("mend it; `runner-tokens policy check {}` says the same", path.display());
        reader.problem("POLICY_FILE", &format!("names {}: {error}", path.display()), &remedy);
    }
    Some(path)
}

fn read_database(reader: &mut Reader<'_>) -> Option<DatabaseConfig> {
    let remedy = "set it to postgres://USER:PASSWORD@HOST:5432/NAME";
    let url = reader.required("DATABASE_URL", remedy);
    let max_connections = reader.or_default("DATABASE_MAX_CONNECTIONS", "a number from 1 to 1000");
    let max_connections = reader.within("DATABASE_MAX_CONNECTIONS", max_connections, 1..=1000);
    let url = url?;
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let Some(options) = PgConnectOptions::from_str(&url).ok().filter(|_| known) else {
        // The parser's own words may quote the URL, and with it the password.
        reader.problem("DATABASE_URL", "is not the URL of a PostgreSQL database", remedy);
        return None;
    };
    // A name in the URL tells replicas apart in `pg_stat_activity`.
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("runner-tokens") };
    Some(DatabaseConfig { options, max_connections: max_connections? })
}

fn read_jobs(reader: &mut Reader<'_>) -> Option<JobsConfig> {
    let seconds = reader.or_default("RECONCILE_INTERVAL_SECONDS", "a number of seconds from 1 to 86400");
    let seconds = reader.within("RECONCILE_INTERVAL_SECONDS", seconds, 1..=86_400);
    let hours: u32 = reader.or_default("CLEANUP_STALE_RUNNERS_HOURS", "a number of hours; 0 turns it off")?;
    Some(JobsConfig {
        interval: Duration::from_secs(seconds?),
        stale_after_hours: Some(hours).filter(|&hours| hours > 0),
    })
}

fn read_webhook_secrets(reader: &mut Reader<'_>) -> Vec<SecretString> {
    let (current, previous) = (reader.get("GITHUB_WEBHOOK_SECRET"), reader.get("GITHUB_WEBHOOK_SECRET_PREVIOUS"));
    if previous.is_some() && current.is_none() {
        reader.problem(
            "GITHUB_WEBHOOK_SECRET_PREVIOUS",
            "is set, but GITHUB_WEBHOOK_SECRET is not",
            "set GITHUB_WEBHOOK_SECRET to the current secret, or unset both to turn webhooks off",
        );
    }
    current.into_iter().chain(previous).map(SecretString::from).collect()
}

fn read_verifier(reader: &mut Reader<'_>) -> Option<Verifier> {
    let keys_remedy = "run `runner-tokens identity-keygen` and give the public key here, the private one to the edge";
    let audience = reader.or_preset("IDENTITY_AUDIENCE");
    let keys = reader.required("IDENTITY_PUBLIC_KEYS", keys_remedy)?;
    let unusable = |error| format!("holds no usable key: {error}");
    Verifier::new(&keys, &audience?)
        .map_err(|error| reader.problem("IDENTITY_PUBLIC_KEYS", &unusable(error), keys_remedy))
        .ok()
}

#[cfg(test)]
mod documented_tests;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_problem_is_listed_at_once_with_a_remedy() {
        let environment = |name: &str| match name {
            "SERVICE_PORT" => Some("http".to_owned()),
            "GITHUB_APP_ID" => Some("my-app".to_owned()),
            "DATABASE_URL" => Some("mysql://root:hunter2@db/x".to_owned()),
            "RECONCILE_INTERVAL_SECONDS" => Some("0".to_owned()),
            "METRICS_ADDR" => Some("9464".to_owned()),
            "GITHUB_INSTALLATIONS" => Some("org:other=1".to_owned()),
            "GITHUB_ENTERPRISE_TOKEN_FILE" => Some("/does/not/exist".to_owned()),
            _ => None,
        };
        let error = serve(&environment).err().unwrap().to_string();
        for variable in [
            "DATABASE_URL",
            "GITHUB_APP_ID",
            "GITHUB_APP_INSTALLATION_ID",
            "GITHUB_APP_PRIVATE_KEY_PATH",
            "GITHUB_ENTERPRISE_TOKEN_FILE",
            "GITHUB_INSTALLATIONS",
            "GITHUB_ORG",
            "IDENTITY_PUBLIC_KEYS",
            "METRICS_ADDR",
            "RECONCILE_INTERVAL_SECONDS",
            "SERVICE_PORT",
        ] {
            assert!(error.contains(&format!("  {variable} ")), "{variable} in {error}");
        }
        assert!(!error.contains("hunter2"));
    }

    /// Whatever can be wrong with a value is found in one go, whatever else is wrong.
    #[test]
    fn every_variable_that_is_broken_is_listed_at_once() {
        let any_text_goes = [
            "AUDIT_CHECKPOINT_FILE",
            "AUDIT_FILE",
            "GITHUB_WEBHOOK_SECRET",
            "GITHUB_WEBHOOK_SECRET_PREVIOUS",
            "IDENTITY_AUDIENCE",
            "OTEL_SERVICE_NAME",
            "UI_CLIENT_ID",
            "UI_RESOURCE",
            "UI_SCOPE",
        ];
        let is_variable = |name: &str| SECTIONS.iter().flat_map(|all| all.settings).any(|each| each.name == name);
        let error = serve(&|name| is_variable(name).then(|| "\u{1}? ?/".to_owned())).err().unwrap();
        let listed: BTreeSet<&str> = error.problems.iter().map(|problem| problem.variable).collect();
        let names = SECTIONS.iter().flat_map(|section| section.settings).map(|setting| setting.name);
        let expected: BTreeSet<&str> = names.filter(|name| !any_text_goes.contains(name)).collect();
        assert_eq!(listed, expected);
        assert_eq!(error.problems.len(), expected.len(), "each once: {error}");
    }

    #[test]
    fn a_policy_file_that_can_not_be_used_stops_the_start() {
        for path in ["/does/not/exist.yaml", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let error = serve(&|name| (name == "POLICY_FILE").then(|| path.to_owned())).err().unwrap();
            assert!(error.problems.iter().any(|problem| problem.variable == "POLICY_FILE"), "{path}");
        }
    }

    #[test]
    fn a_command_asks_only_for_what_it_needs() {
        let url = "postgres://user@localhost/db";
        assert!(database(&|name| (name == "DATABASE_URL").then(|| url.to_owned())).is_ok());
        assert!(database_and_github(&|name| (name == "DATABASE_URL").then(|| url.to_owned())).is_err());
    }
}
