//! How GitHub is reached, and as whom.

use std::time::Duration;

use axum::http::Uri;
use octocrab::jsonwebtoken::EncodingKey;

use super::reader::Reader;
use crate::runner::Target;

/// GitHub's own API.
const DEFAULT_API_URL: &str = "https://api.github.com";

/// The GitHub App and where to use it.
pub struct GithubConfig {
    /// `GITHUB_APP_ID`
    pub app_id: u64,
    /// `GITHUB_APP_INSTALLATION_ID`
    pub installation_id: u64,
    /// The RSA key in the file that `GITHUB_APP_PRIVATE_KEY_PATH` names; does not print itself.
    pub private_key: EncodingKey,
    /// `GITHUB_ORG`: where runners go unless a request names another target.
    pub default_target: Target,
    /// `DEFAULT_RUNNER_GROUP_ID`, 1 (GitHub's group `Default`) unless set.
    pub default_group_id: i64,
    /// `GITHUB_API_URL`, without a slash at the end.
    pub api_url: String,
    /// `GITHUB_WEB_URL`, or what [`web_url`] makes of the API's.
    pub web_url: String,
    /// `GITHUB_TIMEOUT_SECONDS`, 10 unless set: how long one call may take.
    pub timeout: Duration,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<GithubConfig> {
    let app_id = reader.parsed("GITHUB_APP_ID", "the number on the App's settings page");
    let installation_id =
        reader.parsed("GITHUB_APP_INSTALLATION_ID", "the number at the end of the installation's URL");
    let private_key = read_key(reader);
    let default_target = read_organisation(reader);
    let group = reader.or_default("DEFAULT_RUNNER_GROUP_ID", "1", "the number of a runner group");
    let default_group_id = reader.within("DEFAULT_RUNNER_GROUP_ID", group, 1..=i64::MAX);
    let api_url = read_url(reader, "GITHUB_API_URL", Some(DEFAULT_API_URL));
    let web = read_url(reader, "GITHUB_WEB_URL", None);
    let seconds = reader.or_default("GITHUB_TIMEOUT_SECONDS", "10", "a number of seconds from 1 to 60");
    let seconds = reader.within("GITHUB_TIMEOUT_SECONDS", seconds, 1..=60);
    let api_url = api_url?;
    Some(GithubConfig {
        app_id: app_id?,
        installation_id: installation_id?,
        private_key: private_key?,
        default_target: default_target?,
        default_group_id: default_group_id?,
        web_url: web.or_else(|| web_url(&api_url))?,
        api_url,
        timeout: Duration::from_secs(seconds?),
    })
}

fn read_key(reader: &mut Reader<'_>) -> Option<EncodingKey> {
    const VARIABLE: &str = "GITHUB_APP_PRIVATE_KEY_PATH";
    let remedy = "set it to the path of the .pem file that GitHub gave for the App";
    let path = reader.required(VARIABLE, remedy)?;
    let pem = reader.file(VARIABLE, &path, remedy)?;
    EncodingKey::from_rsa_pem(pem.as_bytes())
        .map_err(|_| reader.problem(VARIABLE, &format!("names {path:?}, which holds no RSA private key"), remedy))
        .ok()
}

fn read_organisation(reader: &mut Reader<'_>) -> Option<Target> {
    const VARIABLE: &str = "GITHUB_ORG";
    let remedy = "set it to the login of the organisation, as in https://github.com/LOGIN";
    let name = reader.required(VARIABLE, remedy)?;
    let target = format!("org:{name}").parse().ok();
    if target.is_none() {
        reader.problem(VARIABLE, &format!("is {name:?}"), remedy);
    }
    target
}

fn read_url(reader: &mut Reader<'_>, variable: &'static str, default: Option<&str>) -> Option<String> {
    let text = reader.get(variable).or_else(|| default.map(str::to_owned))?;
    let url = text.trim_end_matches('/').to_owned();
    let good = url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
    });
    if good && !url.contains('@') {
        return Some(url);
    }
    reader.problem(variable, "is not a URL", "set it to https://HOST, or https://HOST/api/v3 for GitHub Enterprise");
    None
}

/// The web address that belongs to an API's: what `config.sh --url` starts with.
pub fn web_url(api_url: &str) -> Option<String> {
    let uri: Uri = api_url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = if authority == "api.github.com" { "github.com" } else { authority };
    // GitHub Enterprise Cloud with data residency: api.NAME.ghe.com belongs to NAME.ghe.com.
    let host = host.strip_prefix("api.").filter(|rest| rest.ends_with(".ghe.com")).unwrap_or(host);
    Some(format!("{}://{host}", uri.scheme_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_address_follows_from_the_apis() {
        for (api, web) in [
            ("https://api.github.com", "https://github.com"),
            ("https://github.example.com/api/v3", "https://github.example.com"),
            ("https://api.acme.ghe.com", "https://acme.ghe.com"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
        ] {
            assert_eq!(web_url(api).as_deref(), Some(web));
        }
    }
}
