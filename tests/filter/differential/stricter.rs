//! Where the filter refuses what jwt_authn lets through: the whole list. Anything else that differs is a failure.

use std::collections::BTreeSet;

macro_rules! categories {
    ($($(#[$comment:meta])* $variant:ident = $name:literal,)*) => {
        /// A deliberate difference; docs/filter.md explains each under its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Stricter {
            $($(#[$comment])* $variant,)*
        }

        impl Stricter {
            /// Every category.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in docs/filter.md.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

categories! {
    /// `aud` compares as it is; jwt_authn cuts off `http://`, `https://` and a slash at the end.
    AudienceExact = "exact-audience",
    /// A claim that can't be a header value refuses the request; jwt_authn leaves the header out or alters it.
    ClaimAsHeader = "claim-as-header",
    /// A part that is not canonical base64url (RFC 7515 section 2).
    CanonicalBase64 = "canonical-base64url",
    /// `cnf`: bound to a key, so no plain bearer (RFC 7800).
    BoundToken = "bound-token",
    /// A path with two readings never matches a rule that passes without a token.
    DoubtfulPath = "doubtful-path",
    /// The same member twice in header or payload (RFC 7515 section 4).
    DuplicateMember = "duplicate-member",
    /// An empty `kid` names no key; jwt_authn tries all.
    EmptyKeyId = "empty-key-id",
    /// `exp` is required and more than zero (RFC 9068 section 2.2).
    ExpiryRequired = "expiry-required",
    /// With `max_lifetime`, an `exp` so far off that jwt_authn's arithmetic overflows.
    FarExpiry = "far-expiry",
    /// `crit`, `b64`, `zip`, `enc` in the header.
    HeaderExtension = "header-extension",
    /// Nothing but the token after the scheme (RFC 6750 section 2.1).
    OnlyTheToken = "only-the-token",
    /// One token in one place, one `Authorization` header (RFC 6750 section 2).
    OneToken = "one-token",
    /// The scheme is written `Bearer`; where a token may be missing, jwt_authn sees none in `bearer …`.
    SchemeSpelling = "scheme-spelling",
    /// JSON as RFC 8259 has it, and not deep.
    StrictJson = "strict-json",
    /// `sub` is required and not empty (RFC 9068 section 2.2).
    SubjectRequired = "subject-required",
    /// `access_token` in the query is refused; jwt_authn reads it by default (RFC 9700 section 4.3.2).
    TokenInQuery = "token-in-query",
    /// Longer than 16 KiB.
    TokenSize = "token-size",
    /// Exactly three parts; jwt_authn passes over empty ones (RFC 7515 section 7.1).
    ThreeParts = "three-parts",
    /// `typ` is one of the accepted types (RFC 8725 section 3.11).
    TypeAccepted = "accepted-type",
    /// No rule matches the path.
    UnmatchedPath = "unmatched-path",
}

/// Each reason stands in one row of the page's table, and the table has no others.
#[test]
fn the_page_has_every_reason_to_be_stricter_and_no_other() {
    let page = include_str!("../../../docs/filter.md");
    let section = page.split("\n### ").find(|section| section.starts_with("Stricter on purpose\n")).unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next());
    let reasons: Vec<&str> = rows.filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`')).collect();
    let known = Stricter::ALL.iter().map(|category| category.name());
    assert_eq!(reasons.iter().copied().collect::<BTreeSet<_>>(), known.collect());
    assert_eq!(reasons.len(), Stricter::ALL.len(), "a reason stands in one row");
}
