//! What may happen to a request around its token.

use testkit::choices::Random;

use super::case::Placed;
use super::stricter::Stricter::{self, *};

/// One change of a request.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    pub(crate) apply: fn(&mut Placed, &mut Random),
    pub(crate) stricter: &'static [Stricter],
}

const fn change(name: &'static str, apply: fn(&mut Placed, &mut Random), stricter: &'static [Stricter]) -> Change {
    Change { name, apply, stricter }
}

/// Every change. Both filters must agree about one without a category.
pub(crate) const CHANGES: &[Change] = &[
    // The scheme (RFC 9110 section 11.1, RFC 6750 section 2.1).
    change("scheme in lower case", |placed, _| placed.authorize("bearer "), &[SchemeSpelling]),
    change("scheme in upper case", |placed, _| placed.authorize("BEARER "), &[SchemeSpelling]),
    change("two spaces after the scheme", |placed, _| placed.authorize("Bearer  "), &[]),
    change("a tab after the scheme", |placed, _| placed.authorize("Bearer\t"), &[]),
    change("a space and a tab after the scheme", |placed, _| placed.authorize("Bearer \t"), &[OnlyTheToken]),
    change("no scheme", |placed, _| placed.authorize(""), &[]),
    change("another scheme", |placed, _| placed.authorize("Token "), &[]),
    change("the scheme inside a word", |placed, _| placed.authorize("XBearer "), &[OnlyTheToken]),
    change("the scheme after another", |placed, _| placed.authorize("Basic QQ== Bearer "), &[OnlyTheToken]),
    change("the scheme twice", |placed, _| placed.authorize("Bearer Bearer "), &[OnlyTheToken]),
    change("a colon after the scheme", |placed, _| placed.authorize("Bearer: "), &[]),
    change("no authorization", |placed, _| placed.remove("authorization"), &[]),
    change("authorization under another name", |placed, _| placed.rename("authorization", "x-authorization"), &[]),
    change("authorization in capitals", |placed, _| placed.rename("authorization", "AUTHORIZATION"), &[]),
    change("authorization with an underscore", |placed, _| placed.rename("x-jwt", "x_jwt"), &[]),
    // More than one (RFC 6750 section 2).
    change("the same again", |placed, _| placed.again("authorization"), &[OneToken]),
    change("a bad one before", |placed, _| placed.before("authorization", "Bearer a.b.c"), &[OneToken]),
    change("a bad one after", |placed, _| placed.after("authorization", "Bearer a.b.c"), &[OneToken]),
    change("another scheme before", |placed, _| placed.before("authorization", "Basic QQ=="), &[OneToken]),
    change("another scheme after", |placed, _| placed.after("authorization", "Basic QQ=="), &[OneToken]),
    change("an empty one before", |placed, _| placed.before("authorization", ""), &[OneToken]),
    change("two in one header", |placed, _| placed.authorize("Bearer a.b.c, Bearer "), &[OneToken, OnlyTheToken]),
    change("a raw one too", |placed, _| placed.copy_to("x-raw", ""), &[OneToken]),
    change("a prefixed one too", |placed, _| placed.copy_to("x-jwt", "jwt="), &[OneToken]),
    change("a bad raw one too", |placed, _| placed.after("x-raw", "a.b.c"), &[OneToken]),
    change("a cookie too", |placed, _| placed.copy_to("cookie", "a=b; session="), &[OneToken]),
    change("a bad cookie too", |placed, _| placed.after("cookie", "session=a.b.c"), &[OneToken]),
    change("another's token too", |placed, _| placed.other_too(), &[OneToken]),
    change("a bad token of another too", |placed, _| placed.after("x-other", "a.b.c"), &[OneToken]),
    // The query (section 2.3).
    change("in access_token too", |placed, _| placed.also_in_query("access_token"), &[TokenInQuery]),
    change("in access_token alone", |placed, _| placed.move_to_query("access_token"), &[TokenInQuery]),
    change("a bad access_token too", |placed, _| placed.query("access_token=a.b.c"), &[TokenInQuery]),
    change("an empty access_token too", |placed, _| placed.query("access_token="), &[TokenInQuery]),
    change("in jwt too", |placed, _| placed.also_in_query("jwt"), &[OneToken]),
    change("in jwt alone", |placed, _| placed.move_to_query("jwt"), &[]),
    change("in jwt alone, the name encoded", |placed, _| placed.move_to_query("%6awt"), &[]),
    change("in JWT alone", |placed, _| placed.move_to_query("JWT"), &[]),
    change("a bad jwt before", |placed, _| placed.query("jwt=a.b.c"), &[OneToken]),
    change("an empty jwt too", |placed, _| placed.query("jwt="), &[OneToken]),
    change("jwt without a value", |placed, _| placed.query("jwt"), &[OneToken]),
    change("another parameter", |placed, _| placed.query("a=b&c"), &[]),
    change("a parameter with a path", |placed, _| placed.query("next=/../public//x%2f"), &[]),
    // Headers that mean something (Fetch standard, "CORS-preflight request").
    change("OPTIONS", |placed, _| placed.method("OPTIONS"), &[]),
    change("a preflight", |placed, _| preflight(placed, "https://a.example", "GET"), &[]),
    change("a preflight without an origin", |placed, _| preflight(placed, "", "GET"), &[]),
    change("a preflight without a method", |placed, _| preflight(placed, "https://a.example", ""), &[]),
    change(
        "a preflight that is a GET",
        |placed, _| {
            preflight(placed, "https://a.example", "GET");
            placed.method("GET");
        },
        &[],
    ),
    change(
        "a preflight in lower case",
        |placed, _| {
            preflight(placed, "https://a.example", "GET");
            placed.method("options");
        },
        &[],
    ),
    change("DELETE", |placed, _| placed.method("DELETE"), &[]),
    change("an unknown method", |placed, _| placed.method("PURGE"), &[]),
    change("a forged claim header", |placed, _| placed.after("x-main-sub", "admin"), &[]),
    change("a forged claim header with underscores", |placed, _| placed.after("x_main_sub", "admin"), &[]),
    change("connection names a claim header", |placed, _| placed.after("connection", "x-main-sub"), &[]),
    change("connection names authorization", |placed, _| placed.after("connection", "authorization"), &[]),
    change(
        "another path in x-envoy-original-path",
        |placed, _| {
            placed.after("x-envoy-original-path", "/public/x");
            placed.after("x-original-url", "/public/x");
        },
        &[],
    ),
    // The path.
    change("a path that no rule has", |placed, _| placed.path("/nowhere"), &[UnmatchedPath]),
    change("a public path", |placed, _| placed.path("/public/x"), &[]),
    change("a public path that is exact", |placed, _| placed.path("/health"), &[]),
    change(
        "more after the exact path",
        |placed, random| placed.one_of(random, &["/health/", "/healthz", "/health;a"]),
        &[UnmatchedPath],
    ),
    change("upper case in the path", |placed, _| placed.map_path(str::to_ascii_uppercase), &[UnmatchedPath]),
    change("two slashes", |placed, _| placed.map_path(|path| format!("/{path}")), &[UnmatchedPath]),
    change("a slash at the end", |placed, _| placed.map_path(|path| format!("{path}/")), &[UnmatchedPath]),
    change("a parameter in the path", |placed, _| placed.map_path(|path| format!("{path};a=b")), &[UnmatchedPath]),
    change("an encoded letter", |placed, _| placed.map_path(|path| encoded(path, 1)), &[UnmatchedPath]),
    change(
        "a public path, a letter encoded",
        |placed, random| {
            placed.one_of(random, &["/%70ublic/x", "/publi%63/x", "/he%61lth", "/public/%41", "/publi%43/x"]);
        },
        &[DoubtfulPath, UnmatchedPath],
    ),
    change(
        "a public path, a sign encoded",
        |placed, random| {
            placed.one_of(random, &["/public/a%20b", "/public/%3f", "/public/%23", "/public/%3b/x", "/public/%c3%bc"]);
        },
        &[DoubtfulPath],
    ),
    change(
        "no token but a nearly public path",
        |placed, random| {
            placed.remove("authorization");
            placed.one_of(random, &["/%70ublic/x", "/Public", "/he%61lth", "/health%20", "/public%2fx", "/ public"]);
        },
        &[DoubtfulPath, UnmatchedPath],
    ),
    change(
        "a broken escape",
        |placed, random| placed.one_of(random, &["/public/%", "/public/%zz", "/public/%ff"]),
        &[DoubtfulPath],
    ),
    change(
        "from public to the path",
        |placed, random| {
            let climb = random.pick(&["/public/..", "/public/%2e%2e", "/public/.%2e", "/public/x/../.."]);
            let climb = climb.copied().unwrap_or_default();
            placed.map_path(|path| format!("{climb}{path}"));
        },
        &[DoubtfulPath],
    ),
    change(
        "from public to the path, with a sign",
        |placed, random| {
            let climb =
                random.pick(&["/public/..%2f", "/public/..%5c", "/public/..\\", "/public/%252e%252e", "/public/..;"]);
            let climb = climb.copied().unwrap_or_default();
            placed.map_path(|path| format!("{climb}{path}"));
        },
        &[DoubtfulPath],
    ),
    change(
        "from the path to public",
        |placed, random| {
            let climb = random.pick(&["/../../public/x", "/%2e%2e/../public", "/..%2f..%2fpublic", "/../../health"]);
            let climb = climb.copied().unwrap_or_default();
            placed.map_path(|path| format!("{path}{climb}"));
        },
        &[DoubtfulPath, UnmatchedPath],
    ),
    change(
        "a dot segment",
        |placed, random| {
            let dots = random.pick(&["/.", "/%2e", "/x/..", "/./."]).copied().unwrap_or_default();
            placed.map_path(|path| format!("{dots}{path}"));
        },
        &[DoubtfulPath, UnmatchedPath],
    ),
    change("a fragment", |placed, _| placed.map_path(|path| format!("{path}#x")), &[]),
    change("an absolute URL", |placed, _| placed.map_path(|path| format!("http://edge{path}")), &[]),
    change("a star", |placed, _| placed.path("*"), &[]),
    change("a space in the path", |placed, _| placed.map_path(|path| format!("{path}%20")), &[UnmatchedPath]),
    change("an encoded null", |placed, _| placed.map_path(|path| format!("{path}%00")), &[DoubtfulPath, UnmatchedPath]),
];

fn preflight(placed: &mut Placed, origin: &str, method: &str) {
    placed.method("OPTIONS");
    placed.remove("authorization");
    placed.after("origin", origin);
    placed.after("access-control-request-method", method);
}

/// The path with its letter at this place percent-encoded.
fn encoded(path: &str, at: usize) -> String {
    let one = |(index, one): (usize, char)| {
        if index == at { format!("%{:02x}", u32::from(one)) } else { one.to_string() }
    };
    path.chars().enumerate().map(one).collect()
}
