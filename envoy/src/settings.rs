//! What the places of the configuration mean.

use crate::variables::{Kind, TLS_FILE, VARIABLES, Variable};

type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The value of a place, or what is wrong with the variable behind it.
pub(crate) fn value(place: &str, environment: Environment<'_>) -> Result<String, String> {
    match place {
        "EDGE_TRANSPORT_SOCKET" => transport_socket(environment),
        "OIDC_JWKS_CLUSTER" => Ok(jwks(environment)?.cluster.to_owned()),
        "OIDC_JWKS_HOST" => Ok(jwks(environment)?.host),
        "OIDC_JWKS_PORT" => Ok(jwks(environment)?.port.to_string()),
        name => match VARIABLES.iter().find(|variable| variable.name == name && variable.has_place()) {
            Some(variable) => variable.read(environment)?.ok_or_else(|| format!("{name} is not set")),
            None => Err(format!("the template has a place for {name}, which is unknown")),
        },
    }
}

impl Variable {
    fn has_place(&self) -> bool {
        !matches!(self.kind, Kind::Program)
    }

    /// An empty value counts as not set.
    fn read(&self, environment: Environment<'_>) -> Result<Option<String>, String> {
        let set = environment(self.name).filter(|value| !value.is_empty());
        let Some(value) = set.or_else(|| self.default.map(str::to_owned)) else { return Ok(None) };
        match self.kind {
            // What could end the quotes around the place, or begin something else within them.
            Kind::Text if value.contains(['"', '\\']) || value.contains(char::is_control) => {
                Err(format!("{} holds a quote, a backslash or a control character", self.name))
            }
            Kind::Text | Kind::Program => Ok(Some(value)),
            Kind::Number(from, to) => match value.parse::<u64>() {
                Ok(number) if (from..=to).contains(&number) => Ok(Some(number.to_string())),
                _ => Err(format!("{} is not a number from {from} to {to}", self.name)),
            },
        }
    }
}

/// The way to the issuer's keys, which follows from their URL.
struct Jwks {
    cluster: &'static str,
    host: String,
    port: u16,
}

fn jwks(environment: Environment<'_>) -> Result<Jwks, String> {
    let url = value("OIDC_JWKS_URL", environment)?;
    let (cluster, usual, rest) = if let Some(rest) = url.strip_prefix("https://") {
        ("jwks_https", 443, rest)
    } else if let Some(rest) = url.strip_prefix("http://") {
        ("jwks_http", 80, rest)
    } else {
        return Err("OIDC_JWKS_URL must begin with https:// (or http:// for a test issuer)".to_owned());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let unusable = || "OIDC_JWKS_URL must name a host, and a port where it is not the usual one".to_owned();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| unusable())?),
        None => (authority, usual),
    };
    let is_host = !host.is_empty() && !host.contains(['@', '[', ']', ':', ' ']);
    if is_host { Ok(Jwks { cluster, host: host.to_owned(), port }) } else { Err(unusable()) }
}

/// How bytes of clients are read: TLS 1.2 or newer with a certificate that Envoy reads again when it is renewed, or as
/// they are.
fn transport_socket(environment: Environment<'_>) -> Result<String, String> {
    const SOCKETS: &str = "type.googleapis.com/envoy.extensions.transport_sockets";
    let Some(file) = TLS_FILE.read(environment)? else {
        return Ok(format!(
            r#"{{"name": "envoy.transport_sockets.raw_buffer", "typed_config": {{"@type": "{SOCKETS}.raw_buffer.v3.RawBuffer"}}}}"#
        ));
    };
    Ok(format!(
        r#"{{"name": "envoy.transport_sockets.tls", "typed_config": {{"@type": "{SOCKETS}.tls.v3.DownstreamTlsContext", "common_tls_context": {{"alpn_protocols": ["h2", "http/1.1"], "tls_params": {{"tls_minimum_protocol_version": "TLSv1_2"}}, "tls_certificate_sds_secret_configs": [{{"name": "edge", "sds_config": {{"resource_api_version": "V3", "path_config_source": {{"path": "{file}"}}}}}}]}}}}}}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TEMPLATE, configuration};

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "OIDC_ISSUER" => "https://idp.example.com",
            "OIDC_AUDIENCE" => "runner-tokens",
            "OIDC_JWKS_URL" => "https://idp.example.com:8443/keys?all=1",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn with(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |asked| if asked == name { Some(value.to_owned()) } else { environment(asked) }
    }

    #[test]
    fn what_has_a_default_need_not_be_set_and_the_way_to_the_keys_follows_from_their_url() {
        let text = configuration(TEMPLATE, &environment).unwrap();
        assert!(!text.contains("${"));
        for part in ["address: \"idp.example.com\", port_value: 8443", "\"cluster\": \"jwks_https\"", "raw_buffer"] {
            assert!(text.contains(part), "{part}");
        }
        let usual = configuration("${OIDC_JWKS_HOST}:${OIDC_JWKS_PORT}", &with("OIDC_JWKS_URL", "http://idp"));
        assert_eq!(usual.unwrap(), "idp:80");
    }

    #[test]
    fn all_that_is_missing_is_said_at_once_and_empty_is_missing() {
        let error = configuration(TEMPLATE, &|_| Some(String::new())).unwrap_err().to_string();
        assert_eq!(error, "OIDC_ISSUER is not set\nOIDC_AUDIENCE is not set\nOIDC_JWKS_URL is not set");
    }

    #[test]
    fn no_value_can_say_more_than_itself() {
        for (name, value) in [
            ("OIDC_ISSUER", "https://idp\", \"audiences\": [\"any"),
            ("OIDC_AUDIENCE", "a\\"),
            ("EDGE_TLS_FILE", "/tls\"}"),
            ("EDGE_PORT", "80 } }"),
            ("EDGE_PORT", "65536"),
            ("EDGE_TRUSTED_HOPS", "-1"),
            ("OIDC_JWKS_URL", "file:///keys"),
            ("OIDC_JWKS_URL", "https://user@idp/keys"),
            ("OIDC_JWKS_URL", "https://:443/keys"),
        ] {
            let error = configuration(TEMPLATE, &with(name, value)).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains('\n'), "{name}={value}: {error}");
        }
    }

    #[test]
    fn tls_is_on_when_it_is_asked_for() {
        let text = configuration("${EDGE_TRANSPORT_SOCKET}", &with("EDGE_TLS_FILE", "/etc/envoy/tls.yaml")).unwrap();
        assert!(text.contains("DownstreamTlsContext") && text.contains("\"/etc/envoy/tls.yaml\""), "{text}");
    }

    /// The key may not come into the configuration, which `edge config` prints.
    #[test]
    fn what_the_program_reads_itself_has_no_place() {
        for name in ["IDENTITY_SIGNING_KEY", "IDENTITY_SIGNING_KEY_FILE", "ENVOY_BIN", "PATH"] {
            let error = configuration(&format!("${{{name}}}"), &|_| Some("x".to_owned())).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}, which is unknown")), "{error}");
        }
    }

    /// The page has a row for each, with its default.
    #[test]
    fn the_page_names_every_variable() {
        let page = include_str!("../README.md");
        for variable in VARIABLES {
            let row = page.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{}`", variable.name)));
            let row = row.unwrap_or_else(|| panic!("no row for {}", variable.name));
            assert!(variable.default.is_none_or(|default| row.contains(&format!("`{default}`"))), "{row}");
        }
    }
}
