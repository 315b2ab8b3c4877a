//! What counts, and where it came from, for people.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr as _;

use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

use super::reader::{Environment, value};
use super::settings::{Preset, SECTIONS, Setting};

/// What a secret is shown as.
const MASK: &str = "********";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The variable, in the environment.
    Environment,
    /// The variable, in a file `.env`; its path.
    Dotenv(PathBuf),
    /// A file that the variable's `_FILE` names; its path.
    File(String),
    /// Not set: what counts then.
    Default,
    /// Not set, and nothing counts then.
    Unset,
}

/// A setting as it counts.
#[derive(Debug, Serialize)]
pub struct Effective {
    /// The variable.
    pub name: &'static str,
    /// The value; of a secret only that there is one.
    pub value: Option<String>,
    /// Where it came from.
    pub source: Source,
    /// It is never shown.
    pub secret: bool,
}

/// What a file `.env` added to the environment.
#[derive(Debug, Default)]
pub struct Dotenv {
    /// The file.
    pub path: PathBuf,
    /// The variables that were not there without it.
    pub names: BTreeSet<String>,
}

/// Every setting as it counts. Reads no file and judges nothing.
pub fn effective(environment: Environment<'_>, dotenv: &Dotenv) -> Vec<Effective> {
    SECTIONS.iter().flat_map(|section| section.settings).map(|setting| one(environment, dotenv, setting)).collect()
}

fn one(environment: Environment<'_>, dotenv: &Dotenv, setting: &Setting) -> Effective {
    let path = setting.file.and_then(|file| value(environment, file));
    let variable = || {
        let is_added = dotenv.names.contains(setting.name);
        if is_added { Source::Dotenv(dotenv.path.clone()) } else { Source::Environment }
    };
    let (shown, source) = match (value(environment, setting.name), path, setting.preset) {
        (Some(own), _, _) if setting.secret => (Some(masked(setting.name, &own)), variable()),
        (Some(own), _, _) => (Some(unless_secret(own)), variable()),
        (None, Some(path), _) => (setting.secret.then(|| MASK.to_owned()), Source::File(unless_secret(path))),
        (None, None, Preset::Value(default)) => (Some(default.to_owned()), Source::Default),
        (None, None, Preset::Required | Preset::Unset) => (None, Source::Unset),
    };
    Effective { name: setting.name, value: shown, source, secret: setting.secret }
}

/// A key or a password may stand where it does not belong.
fn unless_secret(value: String) -> String {
    let password = value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    if password || value.contains("PRIVATE KEY") { MASK.to_owned() } else { value }
}

/// Of the database's URL, the place is shown: it is what people look for. Anything else in it may be a secret.
fn masked(name: &str, secret: &str) -> String {
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| secret.starts_with(scheme));
    match PgConnectOptions::from_str(secret) {
        Ok(options) if name == "DATABASE_URL" && known => {
            let (host, port) = (options.get_host(), options.get_port());
            let (user, database) = (options.get_username(), options.get_database().unwrap_or_default());
            format!("postgres://{user}:{MASK}@{host}:{port}/{database}")
        }
        _ => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_sources_told() {
        let environment = |name: &str| match name {
            "DATABASE_URL" => Some("postgres://app:hunter2@db:5433/runners?sslpassword=hunter2".to_owned()),
            "GITHUB_WEBHOOK_SECRET" => Some("hunter2".to_owned()),
            "AUDIT_CHECKPOINT_URL" | "GITHUB_API_URL" => Some("https://a:hunter2@b/".to_owned()),
            "GITHUB_ENTERPRISE_TOKEN_FILE" => Some("/run/secrets/token".to_owned()),
            "IDENTITY_PUBLIC_KEYS" | "GITHUB_APP_PRIVATE_KEY_PATH" => {
                Some("-----BEGIN PRIVATE KEY-----\\nhunter2".to_owned())
            }
            "GITHUB_ORG" => Some(" acme ".to_owned()),
            _ => None,
        };
        let dotenv = Dotenv {
            path: "/srv/.env".into(),
            names: ["GITHUB_API_URL", "DATABASE_URL_FILE"].map(str::to_owned).into(),
        };
        let all = effective(&environment, &dotenv);
        assert!(!format!("{all:?}").contains("hunter2"));
        let of = |name: &str| {
            let found = all.iter().find(|each| each.name == name).unwrap();
            (found.value.as_deref(), found.source.clone())
        };
        assert_eq!(of("DATABASE_URL"), (Some("postgres://app:********@db:5433/runners"), Source::Environment));
        assert_eq!(of("GITHUB_ENTERPRISE_TOKEN"), (Some(MASK), Source::File("/run/secrets/token".to_owned())));
        assert_eq!(of("GITHUB_ORG"), (Some("acme"), Source::Environment));
        assert_eq!(of("GITHUB_API_URL"), (Some(MASK), Source::Dotenv("/srv/.env".into())));
        assert_eq!(of("SERVICE_PORT"), (Some("8000"), Source::Default));
        assert_eq!(of("POLICY_FILE"), (None, Source::Unset));
    }

    #[test]
    fn a_url_that_is_none_is_masked_whole() {
        for odd in ["hunter2", "mysql://root:hunter2@db/x", "postgres://hunter2:x:y:z"] {
            assert_eq!(masked("DATABASE_URL", odd), MASK, "{odd}");
        }
    }
}
