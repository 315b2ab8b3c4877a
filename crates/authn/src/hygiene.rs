//! Which request headers belong to the filter, and what may stand in them.

use std::collections::BTreeSet;

/// The headers that the filter alone may set. A client's own are removed on every route, in every spelling.
#[derive(Debug, Default)]
pub(crate) struct OwnedHeaders {
    names: BTreeSet<String>,
}

impl OwnedHeaders {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().map(|name| canonical(&name)).collect() }
    }

    /// Names, as they stand in the request, of the headers to remove. `Connection` goes too when it names an owned
    /// header, or a proxy behind the filter would drop what the filter sets (RFC 9110 section 7.6.1).
    pub(crate) fn forged<'h>(&self, headers: &'h [(String, Vec<u8>)]) -> Vec<&'h str> {
        let owned = |name: &str| self.names.contains(&canonical(name));
        let names_owned = |value: &[u8]| value.split(|byte| *byte == b',').any(|one| owned(&text(one)));
        headers
            .iter()
            .filter(|(name, value)| owned(name) || name.eq_ignore_ascii_case("connection") && names_owned(value))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

/// One spelling for all: servers behind CGI-like interfaces read `X_Auth_Name` as `x-auth-name`.
fn canonical(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('_', "-")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether this text can stand in a header and be read back as it is (RFC 9110 section 5.5): no control
/// characters, and no white space at either end, which a recipient would cut off and so read another value.
pub(crate) fn is_header_value(value: &str) -> bool {
    !value.chars().any(char::is_control) && value.trim() == value
}

/// Whether this is a header name that the filter may own (RFC 9110 section 5.6.2). Pseudo-headers, and those that
/// direct the request, are not.
pub(crate) fn check_header_name(name: &str) -> Result<(), &'static str> {
    const DIRECTING: [&str; 12] = [
        "host",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
        "keep-alive",
    ];
    check_header_syntax(name)?;
    if DIRECTING.contains(&canonical(name).as_str()) {
        return Err("this header directs the request; choose a name of your own, such as x-claim-…");
    }
    Ok(())
}

/// Whether this is a header name at all.
pub(crate) fn check_header_syntax(name: &str) -> Result<(), &'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) { Err("not a header name") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_owned_header_is_found() {
        let owned = OwnedHeaders::new(["x-auth-subject".to_owned(), "X-Claim-Team".to_owned()]);
        let headers: Vec<(String, Vec<u8>)> = [
            ("x-auth-subject", &b"admin"[..]),
            ("X-Auth-Subject", b"admin"),
            ("x_auth_subject", b"admin"),
            ("x-auth_Subject", b"\xff"),
            ("x-claim-team", b""),
            ("connection", b"close, X-Auth-Subject"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_vec()))
        .into();
        assert_eq!(owned.forged(&headers).len(), headers.len());
    }

    #[test]
    fn other_headers_stay() {
        let owned = OwnedHeaders::new(["x-auth-subject".to_owned()]);
        let headers: Vec<(String, Vec<u8>)> =
            [("x-auth-subjects", &b"a"[..]), ("connection", b"close"), ("accept", b"x-auth-subject")]
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .into();
        assert!(owned.forged(&headers).is_empty());
    }

    #[test]
    fn values_that_would_be_read_as_others_are_refused() {
        for good in ["", "a b", "Jörg", "repo:acme/app:ref:refs/heads/main"] {
            assert!(is_header_value(good), "{good:?}");
        }
        for bad in ["a\r\nx-auth-subject: b", "a\0", "a\u{7f}", "\tb", " b", "b ", "a\u{85}"] {
            assert!(!is_header_value(bad), "{bad:?}");
        }
    }

    #[test]
    fn unsafe_names_are_refused() {
        for bad in ["", ":path", "host", "Host", "authorization", "transfer_encoding", "x y", "x:y", "ä"] {
            assert!(check_header_name(bad).is_err(), "{bad}");
        }
        assert_eq!(check_header_name("x-claim-team"), Ok(()));
    }
}
