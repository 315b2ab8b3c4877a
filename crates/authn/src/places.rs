//! Where a request may carry a provider's token (RFC 6750 section 2), and how it is taken out of there.

use std::borrow::Cow;

use crate::config::{self, ConfigError};
use crate::headers::Headers;
use crate::hygiene::check_header_syntax;
use crate::path::decode;
use crate::refusal::Refusal;

/// The places in which one provider's token may stand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    places: Vec<Place>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `Authorization: Bearer TOKEN` (RFC 6750 section 2.1). The query parameter `access_token`, which jwt_authn reads
    /// too, is refused: tokens in URLs end up in logs (RFC 9700 section 4.3.2), and passing over it would let a bad one
    /// through.
    Bearer,
    Header {
        name: String,
        prefix: String,
    },
    Parameter(String),
    Cookie(String),
}

/// A token, and where it stood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'p, 'h> {
    pub(crate) token: Cow<'h, str>,
    pub(crate) place: &'p Place,
}

/// A token, or what stood in its place.
type Token<'h> = Result<Cow<'h, str>, Refusal>;

impl Places {
    pub(crate) fn new(
        at: &str,
        headers: Vec<config::JwtHeader>,
        parameters: Vec<String>,
        cookies: Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut places = Vec::new();
        for (index, header) in headers.into_iter().enumerate() {
            check_header_syntax(&header.name)
                .map_err(|problem| ConfigError::new(format!("{at}.from_headers[{index}].name"), problem))?;
            places.push(Place::Header { name: header.name.to_ascii_lowercase(), prefix: header.value_prefix });
        }
        for (field, names) in [("from_params", &parameters), ("from_cookies", &cookies)] {
            if let Some(index) = names.iter().position(String::is_empty) {
                return Err(ConfigError::new(format!("{at}.{field}[{index}]"), "empty"));
            }
        }
        places.extend(parameters.into_iter().map(Place::Parameter));
        places.extend(cookies.into_iter().map(Place::Cookie));
        if places.is_empty() {
            places.push(Place::Bearer);
        }
        Ok(Self { places })
    }

    /// The one token; two of them, even equal ones, are refused (RFC 6750 section 2: "Clients MUST NOT use more than
    /// one method to transmit the token in each request").
    pub(crate) fn find<'h>(&self, headers: &Headers<'h>) -> Result<Found<'_, 'h>, Refusal> {
        let mut found = None;
        for place in &self.places {
            place.tokens(headers, &mut |token| match &found {
                None => found = Some(token.map(|token| Found { token, place })),
                Some(Ok(_)) => found = Some(Err(Refusal::Ambiguous)),
                Some(Err(_)) => {}
            });
        }
        found.ok_or(Refusal::Missing)?
    }
}

impl Place {
    /// Shows each token that stands there.
    fn tokens<'h>(&self, headers: &Headers<'h>, show: &mut dyn FnMut(Token<'h>)) {
        match self {
            Self::Bearer => {
                headers.all("authorization").filter_map(bearer).for_each(&mut *show);
                let query = headers.all(":path").flat_map(parameters);
                query.filter(|pair| pair.is_named("access_token")).for_each(|_| show(Err(Refusal::Ambiguous)));
            }
            Self::Header { name, prefix } => {
                headers.all(name).filter_map(|value| after(value, prefix)).for_each(show);
            }
            Self::Parameter(name) => {
                let pairs = headers.all(":path").flat_map(parameters);
                pairs.filter(|pair| pair.is_named(name)).for_each(|pair| show(pair.value().map(Cow::Owned)));
            }
            Self::Cookie(name) => {
                let cookies = headers.all("cookie").flat_map(cookies);
                let values = cookies.filter(|(cookie, _)| *cookie == name.as_bytes()).map(|(_, value)| text(value));
                values.for_each(|value| show(value.map(|value| Cow::Borrowed(unquoted(value)))));
            }
        }
    }
}

fn text(value: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(value).map_err(|_| Refusal::Malformed)
}

/// Nothing for another scheme. A second `Authorization` header of any scheme is refused elsewhere.
///
/// jwt_authn takes a token for one wherever `Bearer ` stands, and only in this spelling. What it would take for none,
/// or for one where this filter sees none, is refused: otherwise `allow_missing` would let a bad token through.
fn bearer(value: &[u8]) -> Option<Token<'_>> {
    let scheme = |text: &str| text.split(' ').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"));
    match after(value, "Bearer ") {
        None if text(value).is_ok_and(|text| text.contains(' ') && scheme(text)) => Some(Err(Refusal::Malformed)),
        found => found,
    }
}

/// What follows the prefix. One that stands further behind is refused: jwt_authn would take what follows it.
fn after<'h>(value: &'h [u8], prefix: &str) -> Option<Token<'h>> {
    let text = match text(value) {
        Ok(text) => text,
        Err(refusal) => return Some(Err(refusal)),
    };
    match text.strip_prefix(prefix) {
        Some(token) => Some(Ok(Cow::Borrowed(token.trim_matches(' ')))),
        None => text.contains(prefix).then_some(Err(Refusal::Malformed)),
    }
}

/// One `name=value` of a query, as it came.
struct Pair<'q> {
    raw: &'q str,
}

impl Pair<'_> {
    fn is_named(&self, name: &str) -> bool {
        let raw = self.raw.split('=').next().unwrap_or_default();
        raw == name || raw.contains('%') && decode(raw).is_some_and(|decoded| decoded == name)
    }

    fn value(&self) -> Result<String, Refusal> {
        self.raw.split_once('=').and_then(|(_, value)| decode(value)).ok_or(Refusal::Malformed)
    }
}

fn parameters(path: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let query = std::str::from_utf8(path).ok().and_then(|path| path.split_once('?')).map(|(_, query)| query);
    let query = query.and_then(|query| query.split('#').next()).unwrap_or_default();
    query.split('&').filter(|raw| !raw.is_empty()).map(|raw| Pair { raw })
}

/// The one pair of quotes that may stand around a cookie's value (RFC 6265 section 4.1.1) is no part of it.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// RFC 6265 section 4.2.1, as bytes: a cookie that is no text must not hide the others.
fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').filter_map(|one| {
        let at = one.iter().position(|byte| *byte == b'=')?;
        let (name, value) = one.split_at_checked(at)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

/// What becomes of the request's headers when the tokens in these places are taken out: names to remove, and
/// headers to set anew.
pub(crate) fn take_out<'p>(places: &[&'p Place], headers: &Headers<'_>) -> (Vec<&'p str>, Vec<(&'p str, Vec<u8>)>) {
    let mut remove = Vec::new();
    let mut set = Vec::new();
    for place in places {
        match place {
            Place::Bearer => remove.push("authorization"),
            Place::Header { name, .. } => remove.push(name.as_str()),
            Place::Parameter(_) | Place::Cookie(_) => {}
        }
    }
    if places.iter().any(|place| matches!(place, Place::Parameter(_))) {
        let path = headers.first(":path").and_then(|path| without_parameters(path, places));
        set.extend(path.map(|path| (":path", path.into_bytes())));
    }
    if places.iter().any(|place| matches!(place, Place::Cookie(_))) {
        match without_cookies(headers, places) {
            Some(rest) => set.push(("cookie", rest)),
            None => remove.push("cookie"),
        }
    }
    (remove, set)
}

fn without_parameters(path: &[u8], places: &[&Place]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let (before, _) = text.split_once('?')?;
    let taken =
        |pair: &Pair<'_>| places.iter().any(|place| matches!(place, Place::Parameter(name) if pair.is_named(name)));
    let rest: Vec<&str> = parameters(path).filter(|pair| !taken(pair)).map(|pair| pair.raw).collect();
    let query = rest.join("&");
    Some(if query.is_empty() { before.to_owned() } else { format!("{before}?{query}") })
}

/// The other cookies, which need not be text.
fn without_cookies(headers: &Headers<'_>, places: &[&Place]) -> Option<Vec<u8>> {
    let taken =
        |name: &[u8]| places.iter().any(|place| matches!(place, Place::Cookie(cookie) if cookie.as_bytes() == name));
    let kept: Vec<&[u8]> = headers
        .all("cookie")
        .flat_map(|header| header.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|one| !one.is_empty() && !cookies(one).any(|(name, _)| taken(name)))
        .collect();
    if kept.is_empty() { None } else { Some(kept.join(&b"; "[..])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<'h>(list: &[(&'h str, &'h str)]) -> Headers<'h> {
        list.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    fn one<'h>(name: &'h str, value: &'h [u8]) -> Headers<'h> {
        [(name.as_bytes(), value)].into_iter().collect()
    }

    fn places(headers: &[(&str, &str)], parameters: &[&str], cookies: &[&str]) -> Places {
        let header =
            |(name, prefix): &(&str, &str)| config::JwtHeader { name: (*name).into(), value_prefix: (*prefix).into() };
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Places::new("at", headers.iter().map(header).collect(), owned(parameters), owned(cookies)).unwrap()
    }

    fn token(places: &Places, list: &[(&str, &str)]) -> Result<String, Refusal> {
        places.find(&headers(list)).map(|found| found.token.into_owned())
    }

    #[test]
    fn by_default_the_token_is_a_bearer() {
        let bearer = places(&[], &[], &[]);
        for spelling in ["Bearer t", "Bearer  t "] {
            assert_eq!(token(&bearer, &[("authorization", spelling)]), Ok("t".into()), "{spelling}");
        }
        for odd in ["bearer t", "BEARER t", "XBearer t", "Basic QQ== Bearer t"] {
            assert_eq!(token(&bearer, &[("authorization", odd)]), Err(Refusal::Malformed), "{odd}");
        }
        for none in ["Basic QQ==", "Bearer", "t"] {
            assert_eq!(token(&bearer, &[("authorization", none)]), Err(Refusal::Missing), "{none}");
        }
        assert_eq!(token(&bearer, &[(":path", "/x?access_token=t")]), Err(Refusal::Ambiguous));
        assert_eq!(bearer.find(&one("authorization", b"Bearer \xff")), Err(Refusal::Malformed));
    }

    #[test]
    fn a_cookie_that_is_no_text_does_not_hide_the_token() {
        let session = places(&[], &[], &["session"]);
        let found = |cookie: &[u8]| session.find(&one("cookie", cookie)).map(|found| found.token.into_owned());
        assert_eq!(found(b"a=\xff; session=t; b=\xff"), Ok("t".into()));
        assert_eq!(found(b"session=\xff"), Err(Refusal::Malformed));
        assert_eq!(found(b"a=\xff"), Err(Refusal::Missing));
    }

    #[test]
    fn named_places_replace_the_default() {
        let all = places(&[("X-Jwt", "jwt=")], &["jwt"], &["session"]);
        assert_eq!(token(&all, &[("authorization", "Bearer t")]), Err(Refusal::Missing));
        assert_eq!(token(&all, &[("x-jwt", "jwt=t")]), Ok("t".into()));
        assert_eq!(token(&all, &[("x-jwt", "t")]), Err(Refusal::Missing));
        assert_eq!(token(&all, &[(":path", "/x?a=b&jw%74=%74#f")]), Ok("t".into()));
        assert_eq!(token(&all, &[("cookie", "a=b; session=\"t\"")]), Ok("t".into()));
        for (odd, found) in [("\"\"t\"\"", "\"t\""), ("\"t", "\"t"), ("t\"", "t\""), ("\"", "\"")] {
            assert_eq!(token(&all, &[("cookie", &format!("session={odd}"))]), Ok(found.into()), "{odd}");
        }
        assert_eq!(token(&all, &[(":path", "/x?jwt")]), Err(Refusal::Malformed));
    }

    /// RFC 6750 section 2.
    #[test]
    fn two_tokens_are_refused_wherever_they_stand() {
        let all = places(&[("x-jwt", "")], &["jwt"], &["session"]);
        for list in [
            &[("x-jwt", "t"), ("x-jwt", "t")][..],
            &[("x-jwt", "t"), (":path", "/?jwt=t")],
            &[(":path", "/?jwt=t&jwt=u")],
            &[("cookie", "session=t; session=u")],
            &[("cookie", "session=t"), ("cookie", "session=u")],
        ] {
            assert_eq!(token(&all, list), Err(Refusal::Ambiguous), "{list:?}");
        }
        let bearer = places(&[], &[], &[]);
        assert_eq!(
            token(&bearer, &[("authorization", "Bearer a"), ("Authorization", "Bearer b")]),
            Err(Refusal::Ambiguous)
        );
    }

    #[test]
    fn taking_a_token_out_leaves_the_rest_as_it_was() {
        let request = headers(&[(":path", "/x?a=b&jwt=t&c=d%20e"), ("cookie", "a=b; session=t"), ("cookie", "c=d")]);
        let parameter = Place::Parameter("jwt".into());
        let cookie = Place::Cookie("session".into());
        let (remove, set) = take_out(&[&Place::Bearer, &parameter, &cookie], &request);
        assert_eq!(remove, ["authorization"]);
        assert_eq!(set, [(":path", b"/x?a=b&c=d%20e".to_vec()), ("cookie", b"a=b; c=d".to_vec())]);
    }

    #[test]
    fn cookies_that_are_no_text_stay_as_they_were() {
        let cookies: [(&[u8], &[u8]); 3] = [
            (b"cookie", b"a=\xff\x80; session=t ;\xc3=x"),
            (b"cookie", b"session=t"),
            (b"cookie", b"b=\xed\xa0\x80;;c"),
        ];
        let session = Place::Cookie("session".into());
        let (remove, set) = take_out(&[&session], &cookies.into_iter().collect());
        assert!(remove.is_empty());
        assert_eq!(set, [("cookie", b"a=\xff\x80; \xc3=x; b=\xed\xa0\x80; c".to_vec())]);
    }

    #[test]
    fn nothing_is_left_of_a_query_or_cookie_that_was_only_the_token() {
        let request = headers(&[(":path", "/x?jwt=t"), ("cookie", "session=t")]);
        let (parameter, cookie) = (Place::Parameter("jwt".into()), Place::Cookie("session".into()));
        let (remove, set) = take_out(&[&parameter, &cookie], &request);
        assert_eq!((remove, set), (vec!["cookie"], vec![(":path", b"/x".to_vec())]));
    }
}
