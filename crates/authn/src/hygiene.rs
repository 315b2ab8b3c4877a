//! Which request headers belong to the filter, and what may stand in them.

use crate::headers::Headers;

/// The headers that the filter alone may set. A client's own are removed on every route, in every spelling.
#[derive(Debug, Default)]
pub(crate) struct OwnedHeaders {
    names: Vec<Box<[u8]>>,
    /// One bit a length, so that most headers are seen to be others' at a glance.
    lengths: u64,
}

impl OwnedHeaders {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut owned = Self::default();
        for name in names {
            let name: Box<[u8]> = name.trim().bytes().map(canonical).collect();
            owned.lengths |= bit(name.len());
            if !owned.names.contains(&name) {
                owned.names.push(name);
            }
        }
        owned
    }

    /// Names, as they stand in the request, of the headers to remove. `Connection` goes too when it names an owned
    /// header, or a proxy behind the filter would drop what the filter sets (RFC 9110 section 7.6.1).
    pub(crate) fn forged<'h>(&self, headers: &Headers<'h>) -> Vec<&'h str> {
        let names_owned = |value: &[u8]| value.split(|byte| *byte == b',').any(|one| self.holds(one));
        headers
            .iter()
            .filter(|(name, value)| self.holds(name) || name.eq_ignore_ascii_case(b"connection") && names_owned(value))
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
            .collect()
    }

    fn holds(&self, name: &[u8]) -> bool {
        let name = name.trim_ascii();
        self.lengths & bit(name.len()) != 0
            && self.names.iter().any(|owned| {
                owned.len() == name.len() && owned.iter().zip(name).all(|(mine, other)| *mine == canonical(*other))
            })
    }
}

fn bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// One spelling for all: servers behind CGI-like interfaces read `X_Auth_Name` as `x-auth-name`.
fn canonical(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// Whether this text can stand in a header and be read back as it is (RFC 9110 section 5.5): no control
/// characters, and no white space at either end, which a recipient would cut off and so read another value.
pub(crate) fn is_header_value(value: &str) -> bool {
    !value.chars().any(char::is_control) && value.trim() == value
}

/// Whether this is a header name that the filter may own (RFC 9110 section 5.6.2). Pseudo-headers, and those that
/// direct the request, are not.
pub(crate) fn check_header_name(name: &str) -> Result<(), &'static str> {
    const DIRECTING: [&str; 22] = [
        "host",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-request-id",
    ];
    check_header_syntax(name)?;
    let name: String = name.bytes().map(canonical).map(char::from).collect();
    // Envoy's own say how it is to treat a request.
    if DIRECTING.contains(&name.as_str()) || name.starts_with("x-envoy-") {
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

    /// `Connection` too, by which a proxy behind would drop what the filter sets: RFC 9110 section 7.6.1.
    #[test]
    fn every_spelling_of_an_owned_header_is_found() {
        let owned = OwnedHeaders::new(["x-auth-subject".to_owned(), "X-Claim-Team".to_owned()]);
        let headers: [(&[u8], &[u8]); 6] = [
            (b"x-auth-subject", b"admin"),
            (b"X-Auth-Subject", b"admin"),
            (b"x_auth_subject", b"admin"),
            (b"x-auth_Subject", b"\xff"),
            (b"x-claim-team", b""),
            (b"connection", b"close, X-Auth-Subject"),
        ];
        assert_eq!(owned.forged(&headers.into_iter().collect()).len(), headers.len());
    }

    #[test]
    fn other_headers_stay() {
        let owned = OwnedHeaders::new(["x-auth-subject".to_owned()]);
        let headers: [(&[u8], &[u8]); 4] =
            [(b"x-auth-subjects", b"a"), (b"connection", b"close"), (b"accept", b"x-auth-subject"), (b"\xff", b"")];
        assert!(owned.forged(&headers.into_iter().collect()).is_empty());
    }

    /// RFC 9110 section 5.5.
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
        for bad in [
            "",
            ":path",
            "host",
            "Host",
            "authorization",
            "transfer_encoding",
            "X-Forwarded_For",
            "x-envoy-retry-on",
            "X_Envoy-Original-Path",
            "x y",
            "x:y",
            "ä",
        ] {
            assert!(check_header_name(bad).is_err(), "{bad}");
        }
        for good in ["x-claim-team", "x-forwarded-user", "x-envoy"] {
            assert_eq!(check_header_name(good), Ok(()), "{good}");
        }
    }
}
