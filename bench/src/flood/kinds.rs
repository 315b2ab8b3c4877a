//! Bad tokens, no two of them the same.

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::json;
use testkit::issuer::{DevIssuer, Mint, SignWith};
use testkit::system::AUDIENCE;

/// What is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Garbage,
    BadSignature,
    UnknownKey,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Garbage, Self::BadSignature, Self::UnknownKey];

    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::BadSignature => "bad signature under a known key",
            Self::UnknownKey => "unknown keys, each another",
        }
    }
}

/// A forged token in its parts, from which the others are made.
#[derive(Clone)]
pub(crate) struct Bad {
    header: String,
    payload: String,
    signature: String,
}

impl Bad {
    /// In everything but its signature it is one of this issuer's.
    pub(crate) fn new(issuer: &DevIssuer) -> anyhow::Result<Self> {
        let mint = Mint::new("team-blue", AUDIENCE).claim("email", "machine-7@partners.example.com");
        let token = issuer.mint(&Mint { sign_with: SignWith::Stranger, ..mint })?;
        let mut parts = token.split('.').map(str::to_owned);
        let mut part = || parts.next().context("a token has three parts");
        Ok(Self { header: part()?, payload: part()?, signature: part()? })
    }

    /// Number so and so of a kind.
    pub(crate) fn token(&self, kind: Kind, number: u64) -> String {
        let Self { header, payload, signature } = self;
        match kind {
            Kind::Garbage => format!("garbage{number}.{payload}.{signature}"),
            Kind::BadSignature => {
                let start = BASE64_URL_SAFE_NO_PAD.encode(format!("{number:012}"));
                format!("{header}.{payload}.{start}{}", signature.get(start.len()..).unwrap_or_default())
            }
            Kind::UnknownKey => {
                let header = json!({"alg": "RS256", "typ": "JWT", "kid": format!("unknown-{number}")});
                format!("{}.{payload}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()))
            }
        }
    }
}
