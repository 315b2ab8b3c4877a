//! The tokens, good and bad, about as long as those of GitHub Actions or Entra ID: 1,050 bytes with RS256.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::issuer::{Algorithm, DevIssuer, IssuerConfig, Mint, SignWith, When};

use bench::load::Request;

pub(crate) const AUDIENCE: &str = "runner-tokens";
/// Longer than any run.
const LIFETIME: Duration = Duration::from_hours(3);
pub(crate) const ALGORITHMS: [Algorithm; 4] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ps256, Algorithm::EdDsa];

/// Signs all tokens.
pub(crate) struct Tokens {
    issuer: DevIssuer,
}

impl Tokens {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let config = IssuerConfig { algorithms: ALGORITHMS.into(), ..IssuerConfig::default() };
        Ok(Self { issuer: DevIssuer::start(config).await? })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.issuer.issuer()
    }

    /// The public keys, after so many others that sign nothing.
    pub(crate) fn keys(&self, more: usize) -> String {
        let set = self.issuer.jwks();
        let own = set.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let others = own.iter().cycle().take(more).cloned().enumerate().map(|(number, mut key)| {
            if let Some(key) = key.as_object_mut() {
                key.insert("kid".to_owned(), json!(format!("other-{number}")));
            }
            key
        });
        json!({"keys": others.chain(own.iter().cloned()).collect::<Vec<_>>()}).to_string()
    }

    /// Requests with distinct good tokens.
    pub(crate) fn good(&self, algorithm: Algorithm, count: usize) -> anyhow::Result<Vec<Request>> {
        (0..count)
            .map(|number| {
                let subject = format!("repo:acme/app-{number}:ref:refs/heads/main");
                Ok(Request::new(&self.issuer.mint(&mint(&subject, algorithm))?, Some(&subject)))
            })
            .collect()
    }

    /// Requests with distinct tokens whose signature is of another key.
    pub(crate) fn forged(&self, count: usize) -> anyhow::Result<Vec<Request>> {
        self.bad(count, |mint| Mint { sign_with: SignWith::Stranger, ..mint })
    }

    /// Requests with distinct tokens that were good once.
    pub(crate) fn expired(&self, count: usize) -> anyhow::Result<Vec<Request>> {
        self.bad(count, |mint| Mint { expires: When::Ago(LIFETIME), ..mint })
    }

    /// Requests with what has three parts and is no token.
    pub(crate) fn garbage(&self, count: usize) -> anyhow::Result<Vec<Request>> {
        let good = self.issuer.mint(&mint("nobody", Algorithm::Rs256))?;
        let (_, rest) = good.split_once('.').context("a token has parts")?;
        Ok((0..count).map(|number| Request::new(&format!("garbage{number}.{rest}"), None)).collect())
    }

    fn bad(&self, count: usize, change: impl Fn(Mint) -> Mint) -> anyhow::Result<Vec<Request>> {
        (0..count)
            .map(|number| {
                let mint = change(mint(&format!("repo:acme/app-{number}:ref:refs/heads/main"), Algorithm::Rs256));
                Ok(Request::new(&self.issuer.mint(&mint)?, None))
            })
            .collect()
    }
}

fn mint(subject: &str, algorithm: Algorithm) -> Mint {
    Mint { expires: When::In(LIFETIME), ..Mint::new(subject, AUDIENCE) }
        .algorithm(algorithm)
        .claim("email", "machine-7@partners.example.com")
        .claim("repository", "acme/app")
        .claim("repository_id", "123456789")
        .claim("repository_owner_id", "987654321")
        .claim("workflow_ref", "acme/app/.github/workflows/build.yml@refs/heads/main")
        .claim("runner_environment", "github-hosted")
        .claim("groups", json!(["platform", "builders"]))
}
