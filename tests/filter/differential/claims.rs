//! What a properly signed token may say: one line a change, with the category in which the filter may be stricter.

use super::draft::{Draft, Object};
use super::stricter::Stricter::{self, *};

/// One change of header or payload.
pub(crate) struct Change {
    part: Part,
    how: How,
    pub(crate) stricter: Option<Stricter>,
}

#[derive(Clone, Copy)]
enum Part {
    Header,
    Payload,
}

#[derive(Clone, Copy)]
enum How {
    Set(&'static str, &'static str),
    Add(&'static str, &'static str),
    Remove(&'static str),
    Surround(&'static str, &'static str),
    /// A member of so many bytes.
    Pad(usize),
}

impl Change {
    pub(crate) fn name(&self) -> String {
        let part = match self.part {
            Part::Header => "header",
            Part::Payload => "payload",
        };
        match self.how {
            How::Set(member, value) => format!("{part}: {member} = {value}"),
            How::Add(member, value) => format!("{part}: one more {member} = {value}"),
            How::Remove(member) => format!("{part}: no {member}"),
            How::Surround(before, after) => format!("{part}: {before:?} {{…}} {after:?}"),
            How::Pad(length) => format!("{part}: {length} bytes more"),
        }
    }

    pub(crate) fn apply(&self, draft: &mut Draft, now: i64) {
        let object: &mut Object = match self.part {
            Part::Header => &mut draft.header,
            Part::Payload => &mut draft.payload,
        };
        match self.how {
            How::Set(member, value) => object.set(member, &at(value, now)),
            How::Add(member, value) => object.add(member, &at(value, now)),
            How::Remove(member) => object.remove(member),
            How::Surround(before, after) => object.surround(before, after),
            How::Pad(length) => object.set("pad", &format!("\"{}\"", "a".repeat(length))),
        }
    }
}

/// The text with `@30` replaced by the time in 30 seconds.
fn at(value: &str, now: i64) -> String {
    let Some((before, rest)) = value.split_once('@') else {
        return value.to_owned();
    };
    let end = rest.find(|one: char| !one.is_ascii_digit() && one != '-').unwrap_or(rest.len());
    let (offset, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let time = now.saturating_add(offset.parse().unwrap_or(0));
    format!("{before}{time}{after}")
}

const fn header(member: &'static str, value: &'static str, stricter: Option<Stricter>) -> Change {
    Change { part: Part::Header, how: How::Set(member, value), stricter }
}

const fn claim(member: &'static str, value: &'static str, stricter: Option<Stricter>) -> Change {
    Change { part: Part::Payload, how: How::Set(member, value), stricter }
}

const fn twice(part: Part, member: &'static str, value: &'static str) -> Change {
    Change { part, how: How::Add(member, value), stricter: Some(DuplicateMember) }
}

const fn without(part: Part, member: &'static str, stricter: Option<Stricter>) -> Change {
    Change { part, how: How::Remove(member), stricter }
}

const fn around(part: Part, before: &'static str, after: &'static str, stricter: Option<Stricter>) -> Change {
    Change { part, how: How::Surround(before, after), stricter }
}

const fn longer(part: Part, length: usize, stricter: Option<Stricter>) -> Change {
    Change { part, how: How::Pad(length), stricter }
}

/// Every change. Both filters must agree about one without a category.
pub(crate) const CHANGES: &[Change] = &[
    // Issuer (RFC 7519 section 4.1.1).
    without(Part::Payload, "iss", None),
    claim("iss", r#""https://open.example""#, None),
    claim("iss", r#""https://main.example""#, None),
    claim("iss", r#""https://nobody.example""#, None),
    claim("iss", r#""https://main.example/""#, None),
    claim("iss", r#""HTTPS://MAIN.EXAMPLE""#, None),
    claim("iss", r#""main.example""#, None),
    claim("iss", r#""\u0068ttps://main.example""#, None),
    claim("iss", r#"["https://main.example"]"#, None),
    claim("iss", "null", None),
    claim("iss", "7", None),
    claim("iss", r#""""#, None),
    // Audience (section 4.1.3).
    without(Part::Payload, "aud", None),
    claim("aud", r#""also-ours""#, None),
    claim("aud", r#""special""#, None),
    claim("aud", r#""other""#, None),
    claim("aud", r#""Runners""#, None),
    claim("aud", r#""runners ""#, None),
    claim("aud", r#""runners/""#, Some(AudienceExact)),
    claim("aud", r#""https://runners""#, Some(AudienceExact)),
    claim("aud", r#""http://runners/""#, Some(AudienceExact)),
    claim("aud", r#""https://https://runners""#, Some(AudienceExact)),
    claim("aud", r#"["other","runners"]"#, None),
    claim("aud", r#"["other"]"#, None),
    claim("aud", "[]", None),
    claim("aud", r#"["runners",7]"#, None),
    claim("aud", r#"["runners",null]"#, None),
    claim("aud", r#"[["runners"]]"#, None),
    claim("aud", r#"{"0":"runners"}"#, None),
    claim("aud", "null", None),
    claim("aud", "7", None),
    claim("aud", r#""""#, None),
    // Expiry (section 4.1.4). Edges stay a few seconds clear of the leeway of 60 s (5 s for `bounded`).
    without(Part::Payload, "exp", Some(ExpiryRequired)),
    claim("exp", "0", Some(ExpiryRequired)),
    claim("exp", "0.5", Some(ExpiryRequired)),
    claim("exp", "1", None),
    claim("exp", "@-3", None),
    claim("exp", "@-50", None),
    claim("exp", "@-70", None),
    claim("exp", "@1150", None),
    claim("exp", "@1195", None),
    claim("exp", "@1198", None),
    claim("exp", "@1203", None),
    claim("exp", "@1220", None),
    claim("exp", "@100000", None),
    claim("exp", "@30.75", None),
    claim("exp", "@30.0", None),
    claim("exp", "@-70.9", None),
    claim("exp", "4e9", None),
    claim("exp", "9007199254740993", None),
    claim("exp", "9223372036854775807", Some(FarExpiry)),
    claim("exp", "9223372036854775808", Some(FarExpiry)),
    claim("exp", "18446744073709551614", None),
    claim("exp", "18446744073709551615", None),
    claim("exp", "18446744073709551616", None),
    claim("exp", "1e19", Some(FarExpiry)),
    claim("exp", "1e300", None),
    claim("exp", "1e400", None),
    claim("exp", "-1", None),
    claim("exp", "-0", Some(ExpiryRequired)),
    claim("exp", "-0.5", None),
    claim("exp", r#""@600""#, None),
    claim("exp", "[@600]", None),
    claim("exp", "null", None),
    claim("exp", "true", None),
    claim("exp", "NaN", None),
    claim("exp", "01", None),
    claim("exp", "+1", None),
    // Not before (section 4.1.5).
    claim("nbf", "0", None),
    claim("nbf", "@-10", None),
    claim("nbf", "@3", None),
    claim("nbf", "@50", None),
    claim("nbf", "@70", None),
    claim("nbf", "@50.5", None),
    claim("nbf", "@100000", None),
    claim("nbf", "-1", None),
    claim("nbf", "1e300", None),
    claim("nbf", "18446744073709551615", None),
    claim("nbf", r#""0""#, None),
    claim("nbf", "null", None),
    claim("nbf", "{}", None),
    // Issued at (section 4.1.6).
    without(Part::Payload, "iat", None),
    claim("iat", "@1000", None),
    claim("iat", "-1", None),
    claim("iat", "0.1", None),
    claim("iat", r#""@0""#, None),
    claim("iat", "null", None),
    claim("iat", "1e300", None),
    claim("iat", "18446744073709551615", None),
    // Subject (section 4.1.2).
    without(Part::Payload, "sub", Some(SubjectRequired)),
    claim("sub", r#""""#, Some(SubjectRequired)),
    claim("sub", r#""somebody""#, None),
    claim("sub", r#""team-""#, None),
    claim("sub", "7", None),
    claim("sub", "null", None),
    claim("sub", r#"["team-blue"]"#, None),
    claim("sub", r#""team-bl\u00fce""#, None),
    claim("sub", r#""team-a\nb""#, Some(ClaimAsHeader)),
    claim("sub", r#""team-a\u0000b""#, Some(ClaimAsHeader)),
    claim("sub", r#""team-a\r\nx-other-sub: b""#, Some(ClaimAsHeader)),
    claim("sub", r#""team-a ""#, Some(ClaimAsHeader)),
    claim("sub", r#""team-a\ud800""#, Some(StrictJson)),
    claim("sub", r#""team-a\ud83d\ude00""#, None),
    // Token id (section 4.1.7).
    without(Part::Payload, "jti", None),
    claim("jti", "7", None),
    claim("jti", "null", None),
    claim("jti", "{}", None),
    // Other claims.
    claim("cnf", r#"{"jkt":"x"}"#, Some(BoundToken)),
    claim("cnf", "null", Some(BoundToken)),
    claim("scope", r#""a b""#, None),
    claim("x", "[[[[[[[[[[1]]]]]]]]]]", None),
    claim("x", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", Some(StrictJson)),
    claim("x", "1e999", Some(StrictJson)),
    claim("x", "-", None),
    claim("x", "tru", None),
    claim("x", r#""\x""#, None),
    claim("x", "\"a\tb\"", Some(StrictJson)),
    claim("x", "[1,]", Some(StrictJson)),
    claim("x", "'a'", Some(StrictJson)),
    claim("x", r#"{"a":1,"a":2}"#, Some(DuplicateMember)),
    claim("", "1", None),
    longer(Part::Payload, 8_000, None),
    longer(Part::Payload, 20_000, Some(TokenSize)),
    longer(Part::Header, 2_000, None),
    longer(Part::Header, 5_000, Some(TokenSize)),
    twice(Part::Payload, "iss", r#""https://main.example""#),
    twice(Part::Payload, "iss", r#""https://open.example""#),
    twice(Part::Payload, "aud", r#""runners""#),
    twice(Part::Payload, "exp", "@600"),
    twice(Part::Payload, "sub", r#""team-red""#),
    twice(Part::Payload, "\\u0073ub", r#""team-red""#),
    around(Part::Payload, " \n", " \t", None),
    around(Part::Payload, "", " {}", None),
    around(Part::Payload, "", "x", None),
    around(Part::Payload, "", "\u{0}", None),
    around(Part::Payload, "[", "]", None),
    around(Part::Payload, "\u{feff}", "", Some(StrictJson)),
    around(Part::Payload, "/**/", "", None),
    // Header: algorithm (RFC 7515 section 4.1.1).
    without(Part::Header, "alg", None),
    header("alg", r#""none""#, None),
    header("alg", r#""HS256""#, None),
    header("alg", r#""RS256""#, None),
    header("alg", r#""RS512""#, None),
    header("alg", r#""PS256""#, None),
    header("alg", r#""ES256""#, None),
    header("alg", r#""ES384""#, None),
    header("alg", r#""EdDSA""#, None),
    header("alg", r#""rs256""#, None),
    header("alg", r#""ES256 ""#, None),
    header("alg", r#""ES256K""#, None),
    header("alg", r#""""#, None),
    header("alg", "null", None),
    header("alg", "256", None),
    header("alg", r#"["RS256"]"#, None),
    // Header: key (section 4.1.4).
    without(Part::Header, "kid", None),
    header("kid", r#""unknown""#, None),
    header("kid", r#""""#, Some(EmptyKeyId)),
    header("kid", "7", None),
    header("kid", "null", None),
    header("kid", r#"["a"]"#, None),
    header("jku", r#""https://evil.example/jwks""#, None),
    header("jwk", r#"{"kty":"oct","k":"AAAA"}"#, None),
    header("x5c", r#"["AAAA"]"#, None),
    header("x5u", r#""https://evil.example/""#, None),
    // Header: type (section 4.1.9).
    without(Part::Header, "typ", None),
    header("typ", r#""JWT""#, None),
    header("typ", r#""jwt""#, None),
    header("typ", r#""application/at+jwt""#, None),
    header("typ", r#""JOSE""#, Some(TypeAccepted)),
    header("typ", r#""dpop+jwt""#, Some(TypeAccepted)),
    header("typ", r#""logout+jwt""#, Some(TypeAccepted)),
    header("typ", r#""""#, Some(TypeAccepted)),
    header("typ", "7", Some(TypeAccepted)),
    header("typ", "null", Some(TypeAccepted)),
    // Header: what changes the meaning (section 4.1.11, RFC 7797).
    header("crit", r#"["exp"]"#, Some(HeaderExtension)),
    header("crit", "[]", Some(HeaderExtension)),
    header("crit", "null", Some(HeaderExtension)),
    header("b64", "false", Some(HeaderExtension)),
    header("b64", "true", Some(HeaderExtension)),
    header("zip", r#""DEF""#, Some(HeaderExtension)),
    header("enc", r#""A256GCM""#, Some(HeaderExtension)),
    header("cty", r#""JWT""#, None),
    header("x", r#"{"a":[1,2]}"#, None),
    twice(Part::Header, "alg", r#""none""#),
    twice(Part::Header, "kid", r#""unknown""#),
    twice(Part::Header, "x", "1"),
    twice(Part::Header, "typ", r#""JWT""#),
    around(Part::Header, " ", "\n", None),
    around(Part::Header, "", "x", None),
    around(Part::Header, "[", "]", None),
];
