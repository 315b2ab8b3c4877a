//! The environment variables of a system's control planes.

use identity::KeyPair;

use super::control_plane::Environment;
use super::scope::Scope;
use super::wires::{Wires, through};
use crate::github::FakeGithub;

/// The control plane's configuration.
pub(super) fn all(
    scope: &Scope,
    github: &FakeGithub,
    organization: &str,
    identity: &KeyPair,
    database_url: &str,
) -> anyhow::Result<Environment> {
    let key_file = scope.directory().join("github-app.pem");
    crate::secret_file::write(&key_file, github.app_private_key_pem())?;
    let variables = [
        ("DATABASE_URL", database_url.to_owned()),
        ("GITHUB_API_URL", github.base_url().to_owned()),
        ("GITHUB_WEB_URL", github.base_url().to_owned()),
        ("GITHUB_APP_ID", github.app_id().to_string()),
        ("GITHUB_APP_INSTALLATION_ID", github.installation_id().to_string()),
        ("GITHUB_ORG", organization.to_owned()),
        ("GITHUB_APP_PRIVATE_KEY_PATH", key_file.display().to_string()),
        ("IDENTITY_PUBLIC_KEYS", identity.public_pem.clone()),
        ("LOG_LEVEL", "info".to_owned()),
        ("SERVICE_HOST", "127.0.0.1".to_owned()),
        ("SERVICE_PORT", "0".to_owned()),
    ];
    Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The control plane's ways to Postgres and to GitHub.
pub(super) fn by_wire(wires: &Wires, github: &FakeGithub, database_url: &str) -> anyhow::Result<Environment> {
    let (database, github) = (through(&wires.postgres, database_url)?, through(&wires.github, github.base_url())?);
    Ok(vec![("DATABASE_URL".to_owned(), database), ("GITHUB_API_URL".to_owned(), github)])
}
