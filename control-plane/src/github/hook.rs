//! The App's webhook, as GitHub has it.

use serde::Deserialize;

use super::{Github, GithubError, Kind};

/// What is set on the App's page. GitHub never shows the secret.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Where deliveries go.
    pub url: String,
    /// Whether their bodies are JSON.
    pub is_json: bool,
    /// Whether there is a secret.
    pub is_signed: bool,
    /// Whether whoever answers must prove with a certificate to be the URL's host.
    pub checks_certificate: bool,
    /// The events that are delivered.
    pub events: Vec<String>,
}

#[derive(Deserialize)]
struct HookConfig {
    #[serde(default)]
    url: String,
    #[serde(default)]
    content_type: String,
    secret: Option<String>,
    #[serde(default)]
    insecure_ssl: serde_json::Value,
}

#[derive(Deserialize)]
struct AppPage {
    #[serde(default)]
    events: Vec<String>,
}

impl Github {
    /// The webhook of the App, if it has one; none also without an installation to ask with.
    pub async fn hook(&self) -> Result<Option<Hook>, GithubError> {
        let Some(client) = self.installations.values().next() else { return Ok(None) };
        let config: HookConfig = match client.as_app("/app/hook/config").await {
            Err(error) if error.kind == Kind::NotFound => return Ok(None),
            answer => answer?.parse()?,
        };
        let app: AppPage = client.as_app("/app").await?.parse()?;
        let insecure = config.insecure_ssl == "1" || config.insecure_ssl == 1;
        Ok((!config.url.is_empty()).then(|| Hook {
            url: config.url,
            is_json: config.content_type == "json",
            is_signed: config.secret.is_some_and(|secret| !secret.is_empty()),
            checks_certificate: !insecure,
            events: app.events,
        }))
    }
}
