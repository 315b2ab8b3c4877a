//! How GitHub is reached, and as whom.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::Uri;
use octocrab::jsonwebtoken::EncodingKey;
use secrecy::SecretString;

use super::reader::Reader;
use crate::runner::{Target, is_login};

/// GitHub's own API.
pub(super) const DEFAULT_API_URL: &str = "https://api.github.com";

/// The GitHub App and where to use it.
pub struct GithubConfig {
    /// `GITHUB_APP_ID`
    pub app_id: u64,
    /// Installations of the App by the login of their account, in lower case: `GITHUB_APP_INSTALLATION_ID` is the one of
    /// `GITHUB_ORG`, `GITHUB_INSTALLATIONS` names the others. Repositories belong to the installation of their owner.
    pub installations: BTreeMap<String, u64>,
    /// `GITHUB_ENTERPRISE_TOKEN`: enterprises take no App's tokens.
    pub enterprise_token: Option<SecretString>,
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
    let organisation = read_organisation(reader);
    let others = read_installations(reader, organisation.as_deref(), installation_id);
    let enterprise_token = read_enterprise_token(reader);
    let group = reader.or_default("DEFAULT_RUNNER_GROUP_ID", "the number of a runner group");
    let default_group_id = reader.within("DEFAULT_RUNNER_GROUP_ID", group, 1..=i64::MAX);
    let api_url = read_url(reader, "GITHUB_API_URL");
    let web = read_url(reader, "GITHUB_WEB_URL");
    let seconds = reader.or_default("GITHUB_TIMEOUT_SECONDS", "a number of seconds from 1 to 60");
    let seconds = reader.within("GITHUB_TIMEOUT_SECONDS", seconds, 1..=60);
    let (api_url, organisation) = (api_url?, organisation?);
    let mut installations = others;
    installations.insert(organisation.clone(), installation_id?);
    Some(GithubConfig {
        app_id: app_id?,
        installations,
        enterprise_token,
        private_key: private_key?,
        default_target: Target::Organisation(organisation),
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

fn read_organisation(reader: &mut Reader<'_>) -> Option<String> {
    const VARIABLE: &str = "GITHUB_ORG";
    let remedy = "set it to the login of the organisation, as in https://github.com/LOGIN";
    let name = reader.required(VARIABLE, remedy)?;
    if !is_login(&name) {
        reader.problem(VARIABLE, &format!("is {name:?}"), remedy);
        return None;
    }
    Some(name.to_ascii_lowercase())
}

/// `LOGIN=ID,LOGIN=ID`. Every entry that is wrong is a problem of its own.
fn read_installations(
    reader: &mut Reader<'_>,
    organisation: Option<&str>,
    installation_id: Option<u64>,
) -> BTreeMap<String, u64> {
    const VARIABLE: &str = "GITHUB_INSTALLATIONS";
    let remedy = "write LOGIN=ID for each further organisation or user that the App is installed on, separated by \
                  commas: each login once, each with an id of its own, and without GITHUB_ORG's";
    let text = reader.get(VARIABLE).unwrap_or_default();
    let mut installations = BTreeMap::new();
    let mut ids = Vec::from_iter(installation_id);
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let parts = entry.split_once('=').map(|(login, id)| (login.trim().to_ascii_lowercase(), id.trim().parse()));
        match parts {
            Some((login, Ok(id)))
                if is_login(&login)
                    && organisation != Some(login.as_str())
                    && !installations.contains_key(&login)
                    && !ids.contains(&id) =>
            {
                ids.push(id);
                installations.insert(login, id);
            }
            _ => reader.problem(VARIABLE, &format!("has the entry {entry:?}"), remedy),
        }
    }
    installations
}

fn read_enterprise_token(reader: &mut Reader<'_>) -> Option<SecretString> {
    const VARIABLE: &str = "GITHUB_ENTERPRISE_TOKEN";
    let remedy = "set it to a classic personal access token of an enterprise owner, with the scope \
                  manage_runners:enterprise";
    let token = reader.get(VARIABLE)?;
    if !token.chars().all(|each| each.is_ascii_graphic()) {
        reader.problem(VARIABLE, "holds no token", remedy);
        return None;
    }
    // GitHub's endpoints for enterprises refuse these kinds, whatever they may do elsewhere.
    if token.starts_with("github_pat_") || token.starts_with("ghs_") {
        reader.problem(VARIABLE, "holds a fine-grained or an App's token, which enterprises don't take", remedy);
        return None;
    }
    Some(SecretString::from(token))
}

fn read_url(reader: &mut Reader<'_>, variable: &'static str) -> Option<String> {
    let text = reader.or_preset(variable)?;
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
    use secrecy::ExposeSecret as _;

    /// What is read of some variables, and the variables with problems.
    fn reading<T>(variables: &[(&str, &str)], read: impl Fn(&mut Reader<'_>) -> T) -> (T, Vec<(&'static str, String)>) {
        let environment = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let mut reader = Reader::new(&environment);
        let value = read(&mut reader);
        let problems = reader.finish(None::<()>).unwrap_err().problems;
        (value, problems.into_iter().map(|problem| (problem.variable, problem.what)).collect())
    }

    #[test]
    fn every_wrong_entry_among_the_installations_is_told() {
        let text = "Partners=2, , acme=3,a b=4,labs=0x5,labs,more=1,partners=6,twice=2,users-too=7,";
        let (installations, problems) =
            reading(&[("GITHUB_INSTALLATIONS", text)], |reader| read_installations(reader, Some("acme"), Some(1)));
        assert_eq!(installations, BTreeMap::from([("partners".to_owned(), 2), ("users-too".to_owned(), 7)]));
        let wrong = ["acme=3", "a b=4", "labs=0x5", "labs", "more=1", "partners=6", "twice=2"];
        assert_eq!(problems, wrong.map(|entry| ("GITHUB_INSTALLATIONS", format!("has the entry {entry:?}"))));
        assert_eq!(reading(&[], |reader| read_installations(reader, Some("acme"), Some(1))).1, []);
    }

    #[test]
    fn an_enterprise_token_comes_from_one_place_and_is_of_the_right_kind() {
        let token = |variables: &[(&str, &str)]| {
            let (token, problems) = reading(variables, read_enterprise_token);
            assert!(!format!("{problems:?}").contains("0123"), "no token in a problem");
            (token.map(|token| token.expose_secret().to_owned()), problems.len())
        };
        assert_eq!(token(&[]), (None, 0));
        assert_eq!(token(&[("GITHUB_ENTERPRISE_TOKEN", "ghp_0123")]), (Some("ghp_0123".to_owned()), 0));
        for wrong in ["github_pat_0123", "ghs_0123", "ghp_0123 4"] {
            assert_eq!(token(&[("GITHUB_ENTERPRISE_TOKEN", wrong)]), (None, 1), "{wrong}");
        }
        let both = [("GITHUB_ENTERPRISE_TOKEN", "ghp_0123"), ("GITHUB_ENTERPRISE_TOKEN_FILE", "/x")];
        assert_eq!(token(&both), (None, 1));
        assert_eq!(token(&[("GITHUB_ENTERPRISE_TOKEN_FILE", "/does/not/exist")]), (None, 1));
    }

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
