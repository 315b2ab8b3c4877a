//! The issuer's keys: made at start, published as JWKs, able to sign any bytes.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use jsonwebtoken::EncodingKey;
use jwt_simple::prelude::{ES256KeyPair, ES384KeyPair, Ed25519KeyPair, RS256KeyPair};
use serde_json::{Map, Value, json};

use super::es512;

/// RSA keys below 2048 bits are refused by every current verifier (RFC 7518 section 3.3).
const RSA_BITS: usize = 2048;

/// Signature algorithms that the issuer can sign with (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the RFCs")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The `alg` value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The name that jsonwebtoken has for it, if it does.
    fn signature_algorithm(self) -> Option<jsonwebtoken::Algorithm> {
        self.name().parse().ok()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        known.ok_or_else(|| anyhow!("no such signature algorithm: {name}"))
    }
}

/// One key pair, bound to one algorithm. Its id is its RFC 7638 thumbprint.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: String,
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
    pub(crate) jwk: Value,
    signer: Signer,
}

#[derive(Clone)]
enum Signer {
    Any(EncodingKey),
    Es512(Box<p521::ecdsa::SigningKey>),
}

impl Signer {
    fn from_pem(algorithm: Algorithm, private_pem: &str) -> anyhow::Result<Self> {
        let pem = private_pem.as_bytes();
        Ok(Self::Any(match algorithm {
            Algorithm::Es512 => return Ok(Self::Es512(Box::new(es512::read(private_pem)?))),
            Algorithm::Es256 | Algorithm::Es384 => EncodingKey::from_ec_pem(pem)?,
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem)?,
            _ => EncodingKey::from_rsa_pem(pem)?,
        }))
    }
}

impl SigningKey {
    pub(crate) fn generate(algorithm: Algorithm) -> anyhow::Result<Self> {
        let pem = match algorithm {
            Algorithm::Es256 => ES256KeyPair::generate().to_pem(),
            Algorithm::Es384 => ES384KeyPair::generate().to_pem(),
            Algorithm::Es512 => es512::generate(),
            Algorithm::EdDsa => Ok(Ed25519KeyPair::generate().to_pem()),
            _ => RS256KeyPair::generate(RSA_BITS).and_then(|pair| pair.to_pem()),
        };
        Self::from_pem(algorithm, &private_block(&pem.map_err(|error| anyhow!("key generation: {error}"))?)?)
    }

    /// Reads a PKCS#8 private key of the kind that the algorithm needs.
    pub(crate) fn from_pem(algorithm: Algorithm, private_pem: &str) -> anyhow::Result<Self> {
        let public = PublicHalf::of(algorithm, private_pem)
            .map_err(|error| anyhow!("not a private key for {algorithm}: {error}"))?;
        let signer = Signer::from_pem(algorithm, private_pem);
        let mut jwk: Map<String, Value> = serde_json::from_str(&public.jwk).context("the key's JWK")?;
        jwk.insert("alg".to_owned(), json!(algorithm.name()));
        jwk.insert("use".to_owned(), json!("sig"));
        jwk.insert("kid".to_owned(), json!(public.thumbprint));
        Ok(Self {
            algorithm,
            key_id: public.thumbprint,
            private_pem: private_pem.to_owned(),
            public_pem: public.pem,
            jwk: Value::Object(jwk),
            signer: signer.context("the key can't sign")?,
        })
    }

    /// The signature over these bytes in unpadded base64url, as a compact JWS carries it.
    pub(crate) fn sign(&self, message: &str) -> anyhow::Result<String> {
        match &self.signer {
            Signer::Es512(key) => Ok(es512::sign(key, message)),
            Signer::Any(key) => {
                let algorithm = self.algorithm.signature_algorithm().context("an algorithm of jsonwebtoken")?;
                jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).context("signing")
            }
        }
    }
}

/// What of a key may be known.
pub(crate) struct PublicHalf {
    pub(crate) jwk: String,
    pub(crate) thumbprint: String,
    pub(crate) pem: String,
}

impl PublicHalf {
    fn of(algorithm: Algorithm, private_pem: &str) -> Result<Self, jwt_simple::Error> {
        Ok(match algorithm {
            Algorithm::Es256 => {
                let key = ES256KeyPair::from_pem(private_pem)?.public_key();
                Self { jwk: key.to_jwk(), thumbprint: key.jwk_thumbprint(), pem: key.to_pem()? }
            }
            Algorithm::Es384 => {
                let key = ES384KeyPair::from_pem(private_pem)?.public_key();
                Self { jwk: key.to_jwk(), thumbprint: key.jwk_thumbprint(), pem: key.to_pem()? }
            }
            Algorithm::Es512 => es512::public_half(&es512::read(private_pem)?)?,
            Algorithm::EdDsa => {
                let key = Ed25519KeyPair::from_pem(private_pem)?.public_key();
                Self { jwk: key.to_jwk(), thumbprint: key.jwk_thumbprint(), pem: key.to_pem() }
            }
            _ => {
                let key = RS256KeyPair::from_pem(private_pem)?.public_key();
                Self { jwk: key.to_jwk(), thumbprint: key.jwk_thumbprint(), pem: key.to_pem()? }
            }
        })
    }
}

/// The private block alone: for Ed25519 the library writes the public one after it.
fn private_block(pem: &str) -> anyhow::Result<String> {
    const END: &str = "-----END PRIVATE KEY-----";
    match pem.split_once(END) {
        Some((block, _)) => Ok(format!("{block}{END}\n")),
        None => bail!("the generated key is not in PKCS#8 form"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem_and_is_bound_to_its_algorithm() {
        for algorithm in Algorithm::ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pem(algorithm, &key.private_pem).unwrap();
            assert_eq!(again.jwk, key.jwk);
            assert_eq!(key.jwk["alg"], algorithm.name());
            assert!(key.jwk.get("d").is_none());
            assert!(!key.sign("a.b").unwrap().contains('='));
        }
    }

    #[test]
    fn names_are_read_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse::<Algorithm>().unwrap(), algorithm);
        }
        assert!("HS256".parse::<Algorithm>().is_err());
    }
}
