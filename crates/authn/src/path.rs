//! What a request's path means, whichever way the upstream may read it.

use std::borrow::Cow;

/// A path without its query, in the form in which rules compare it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path<'p> {
    /// As it came.
    pub(crate) raw: &'p str,
    /// Percent-encoding undone once, dot segments resolved, slashes merged.
    pub(crate) normalised: Cow<'p, str>,
    /// Whether the path came in a form that two readers may understand differently: a dot segment, an encoded or
    /// double slash, a backslash, an encoded control character. It then never matches a rule without requirements.
    pub(crate) doubtful: bool,
}

impl<'p> Path<'p> {
    /// Reads `:path`. Nothing, when it is no path at all (not UTF-8, not starting with a slash, a broken escape).
    pub(crate) fn parse(raw: &'p [u8]) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        let path = text.split(['?', '#']).next().unwrap_or_default();
        if is_plain(path) {
            return Some(Self { raw: path, normalised: Cow::Borrowed(path), doubtful: false });
        }
        Self::normalise(path)
    }

    fn normalise(path: &'p str) -> Option<Self> {
        let decoded = decode(path)?;
        let unified = decoded.replace('\\', "/");
        let inner = unified.strip_prefix('/')?;
        let last = inner.matches('/').count();
        let odd_segment = |(index, segment): (usize, &str)| {
            // Some upstreams cut a segment off at a semicolon, and so read `..;` as a dot segment.
            let name = segment.split(';').next().unwrap_or_default();
            matches!(name, "." | "..") || name.is_empty() && (index != last || !segment.is_empty())
        };
        let doubtful = unified != decoded
            || decoded.contains(|char: char| char.is_control())
            || decoded.contains('%')
            || path.matches('/').count() != decoded.matches('/').count()
            || inner.split('/').enumerate().any(odd_segment);
        Some(Self { raw: path, normalised: Cow::Owned(resolve(inner)), doubtful })
    }
}

/// Whether there is but one way to read it: nothing encoded, no segment that is empty or starts with a dot, and no
/// character with which any server does something special.
fn is_plain(path: &str) -> bool {
    let mut after_slash = false;
    path.starts_with('/')
        && path.bytes().all(|byte| {
            let plain = match byte {
                b'/' | b'.' => !after_slash,
                b'-' | b'_' | b'~' | b':' | b'@' => true,
                other => other.is_ascii_alphanumeric(),
            };
            after_slash = byte == b'/';
            plain
        })
}

/// Undoes percent-encoding once (RFC 3986 section 2.1). What is left of a `%` afterwards was encoded twice.
pub(crate) fn decode(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Resolves dot segments (RFC 3986 section 5.2.4) and merges slashes.
fn resolve(inner: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in inner.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let directory = matches!(inner.rsplit('/').next(), Some("" | "." | "..")) && !segments.is_empty();
    format!("/{}{}", segments.join("/"), if directory { "/" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> (String, bool) {
        let path = Path::parse(raw.as_bytes()).unwrap();
        (path.normalised.into_owned(), path.doubtful)
    }

    /// The short way and the long way agree.
    #[test]
    fn a_plain_path_is_one_that_normalising_leaves_alone() {
        for raw in ["/", "/api/v1/runners", "/api/v1/runners/", "/a.b/c..d/e.", "/@a/b:c/~d_e-f"] {
            assert!(is_plain(raw), "{raw}");
            assert_eq!(Path::normalise(raw), Path::parse(raw.as_bytes()), "{raw}");
        }
        for raw in ["", "a", "//", "/a//b", "/.", "/a/./b", "/a/../b", "/.a", "/a%20", "/a;b", "/a\\b", "/a b", "/ä"] {
            assert!(!is_plain(raw), "{raw}");
        }
    }

    #[test]
    fn ordinary_paths_mean_what_they_say() {
        for (raw, normalised) in [
            ("/", "/"),
            ("/api/v1/runners", "/api/v1/runners"),
            ("/api/v1/runners/", "/api/v1/runners/"),
            ("/api?x=/../y", "/api"),
            ("/api#f", "/api"),
            ("/%61pi/a%20b", "/api/a b"),
            ("/...", "/..."),
            ("/a/..b", "/a/..b"),
        ] {
            assert_eq!(parse(raw), (normalised.to_owned(), false), "{raw}");
        }
    }

    /// RFC 3986 sections 2.1 and 5.2.4.
    #[test]
    fn paths_with_two_readings_are_doubtful() {
        for (raw, normalised) in [
            ("/public/../api/v1", "/api/v1"),
            ("/public/%2e%2e/api", "/api"),
            ("/public/%2E./api", "/api"),
            ("/public/..%2fapi", "/api"),
            ("/public/..%5Capi", "/api"),
            ("/public/..\\api", "/api"),
            ("/./health", "/health"),
            ("//health", "/health"),
            ("/health//", "/health/"),
            ("/health/.", "/health/"),
            ("/health/..", "/"),
            ("/../../x", "/x"),
            ("/a%2fb", "/a/b"),
            ("/health%00", "/health\0"),
            ("/public/..;/api", "/public/..;/api"),
            ("/public/..;x=y/api", "/public/..;x=y/api"),
            ("/public/;/api", "/public/;/api"),
            ("/%252e%252e/api", "/%2e%2e/api"),
        ] {
            assert_eq!(parse(raw), (normalised.to_owned(), true), "{raw}");
        }
    }

    #[test]
    fn what_is_no_path_is_nothing() {
        for raw in [&b""[..], b"api", b"*", b"http://h/api", b"/%", b"/%2", b"/%zz", b"/\xff", b"/%ff", b"/%c0%ae"] {
            assert_eq!(Path::parse(raw), None, "{raw:?}");
        }
    }
}
