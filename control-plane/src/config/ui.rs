//! How the page at `/ui` signs people in.

use std::str::FromStr;

use serde::Serialize;

use super::reader::Reader;

/// How the page at `/ui` signs people in. Nothing of it is secret: every browser is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UiConfig {
    /// `UI_ISSUER`: where people sign in.
    pub issuer: IssuerUrl,
    /// `UI_CLIENT_ID`: how the issuer knows the page.
    pub client_id: String,
    /// `UI_SCOPE`, `openid` unless set.
    pub scope: String,
    /// `UI_RESOURCE`: what the access token is asked for (RFC 8707).
    pub resource: Option<String>,
}

/// The URL of an issuer: `https`, or `http` on this machine alone, with neither a user nor a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// Scheme, host and port: all of it that a browser's policy goes by.
    pub fn origin(&self) -> &str {
        let path = self.0.match_indices('/').nth(2).map_or(self.0.len(), |(at, _)| at);
        self.0.get(..path).unwrap_or_default()
    }
}

impl FromStr for IssuerUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url: http::Uri = text.parse().map_err(|_| ())?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else { return Err(()) };
        let here = matches!(authority.host(), "127.0.0.1" | "[::1]" | "localhost");
        // The origin becomes a part of a header, in which other characters would have a meaning.
        let plain = |each: char| each.is_ascii_alphanumeric() || matches!(each, '.' | '-' | ':' | '[' | ']');
        let known = scheme == "https" || (scheme == "http" && here);
        if known && authority.as_str().chars().all(plain) && !text.contains(['?', '#']) {
            return Ok(Self(text.to_owned()));
        }
        Err(())
    }
}

/// None: the page is off.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<UiConfig> {
    let issuer = reader.get("UI_ISSUER");
    let client_id = reader.get("UI_CLIENT_ID");
    let (scope, resource) = (reader.or_preset("UI_SCOPE"), reader.get("UI_RESOURCE"));
    let alone = match (&issuer, &client_id) {
        (Some(_), None) => Some(("UI_ISSUER", "is set, but UI_CLIENT_ID is not")),
        (None, Some(_)) => Some(("UI_CLIENT_ID", "is set, but UI_ISSUER is not")),
        _ => None,
    };
    if let Some((variable, what)) = alone {
        reader.problem(variable, what, "set both, or unset both to turn the page off");
        return None;
    }
    let issuer =
        reader.or_unset("UI_ISSUER", "the issuer's URL, such as https://idp.example.com; http only for localhost")?;
    Some(UiConfig { issuer, client_id: client_id?, scope: scope?, resource })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;

    fn read_from(variables: &[(&str, &str)]) -> Result<UiConfig, ConfigError> {
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let mut reader = Reader::new(&environment);
        let config = read(&mut reader);
        reader.finish(config)
    }

    #[test]
    fn the_page_needs_an_issuer_and_a_client() {
        let config = read_from(&[("UI_ISSUER", "https://idp.example.com:8443/realms/a"), ("UI_CLIENT_ID", "page")]);
        let config = config.unwrap();
        assert_eq!(config.issuer.origin(), "https://idp.example.com:8443");
        assert_eq!((config.scope.as_str(), config.resource), ("openid", None));
        assert_eq!(read_from(&[]).unwrap_err().problems, []);
        for (variable, value) in [("UI_ISSUER", "https://idp.example.com"), ("UI_CLIENT_ID", "page")] {
            let error = read_from(&[(variable, value)]).unwrap_err();
            assert_eq!(error.problems.iter().map(|problem| problem.variable).collect::<Vec<_>>(), [variable]);
        }
    }

    #[test]
    fn an_issuer_is_reached_by_tls_and_can_not_widen_the_pages_policy() {
        for good in ["https://idp.example.com", "http://127.0.0.1:4000", "http://localhost/", "http://[::1]:80/a"] {
            assert!(good.parse::<IssuerUrl>().is_ok(), "{good}");
        }
        for bad in [
            "http://idp.example.com",
            "https://idp.example.com;script-src",
            "https://*",
            "https://user@idp.example.com",
            "https://idp.example.com/?a",
            "https://idp.example.com/#a",
            "http://localhost.evil.example",
            "/idp",
            "idp.example.com",
        ] {
            assert!(bad.parse::<IssuerUrl>().is_err(), "{bad}");
        }
        assert_eq!("http://127.0.0.1:4000/a/b".parse::<IssuerUrl>().unwrap().origin(), "http://127.0.0.1:4000");
    }
}
