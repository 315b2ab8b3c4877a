//! Ed25519 keys of the assertion as PEM text: PKCS#8 private keys, SPKI public keys (RFC 8410).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
#[cfg(feature = "upstream")]
use jwt_simple::prelude::{Ed25519KeyPair, Ed25519PublicKey};
use sha2::{Digest as _, Sha256};

const PRIVATE_LABEL: &str = "PRIVATE KEY";
#[cfg(feature = "upstream")]
const PUBLIC_LABEL: &str = "PUBLIC KEY";

/// A PEM text that holds no usable key. Never quotes the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a PKCS#8 Ed25519 private key.
    #[error("not a PKCS#8 PEM with an Ed25519 private key; make one with `runner-tokens identity-keygen`")]
    Private,
    /// The key at this position (counted from 1) is not an SPKI Ed25519 public key.
    #[error("key {0} is not a PEM with an Ed25519 public key; `runner-tokens identity-keygen` prints one")]
    Public(usize),
    /// No PEM block at all.
    #[error("no PEM block with a public key found")]
    Empty,
}

/// A new signing key with its public half, both as PEM.
#[cfg(feature = "upstream")]
pub struct KeyPair {
    /// PKCS#8; for the edge alone (`IDENTITY_SIGNING_KEY`).
    pub private_pem: String,
    /// SPKI; for every upstream (`IDENTITY_PUBLIC_KEYS`).
    pub public_pem: String,
    /// RFC 7638 thumbprint: the `kid` of assertions signed with it.
    pub key_id: String,
}

#[cfg(feature = "upstream")]
impl KeyPair {
    /// Makes a key from the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate();
        let both = pair.to_pem();
        Ok(Self {
            private_pem: blocks(&both, PRIVATE_LABEL).into_iter().next().ok_or(KeyError::Private)?,
            public_pem: blocks(&both, PUBLIC_LABEL).into_iter().next().ok_or(KeyError::Private)?,
            key_id: pair.jwk_thumbprint(),
        })
    }
}

pub(crate) fn private_key(pem: &str) -> Result<SigningKey, KeyError> {
    let block = blocks(pem, PRIVATE_LABEL).into_iter().next().ok_or(KeyError::Private)?;
    SigningKey::from_pkcs8_pem(&block).map_err(|_| KeyError::Private)
}

/// The `kid` of assertions: SHA-256 of the public key as a JWK with its required members alone, in their order
/// (RFC 7638 section 3, RFC 8037 section 2).
pub(crate) fn thumbprint(public_key: &[u8; 32]) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public_key);
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
}

/// Every public key of a text of concatenated PEM blocks, each with its thumbprint.
#[cfg(feature = "upstream")]
pub(crate) fn public_keys(pems: &str) -> Result<Vec<(String, Ed25519PublicKey)>, KeyError> {
    let keys = blocks(pems, PUBLIC_LABEL)
        .iter()
        .enumerate()
        .map(|(index, pem)| {
            let key = Ed25519PublicKey::from_pem(pem).map_err(|_| KeyError::Public(index.saturating_add(1)))?;
            Ok((key.jwk_thumbprint(), key))
        })
        .collect::<Result<Vec<_>, KeyError>>()?;
    if keys.is_empty() { Err(KeyError::Empty) } else { Ok(keys) }
}

/// The PEM blocks with this label. Environment files often hold a PEM on one line with `\n` written out.
fn blocks(text: &str, label: &str) -> Vec<String> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let text = text.replace("\\n", "\n");
    text.split(begin.as_str())
        .skip(1)
        .filter_map(|rest| rest.split_once(end.as_str()))
        .map(|(body, _)| format!("{begin}\n{}\n{end}\n", body.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_survives_its_pem_and_gives_the_private_half_to_one_side_only() {
        let pair = KeyPair::generate().unwrap();
        assert!(!pair.private_pem.contains("PUBLIC") && !pair.public_pem.contains("PRIVATE"));
        assert_eq!(thumbprint(private_key(&pair.private_pem).unwrap().verifying_key().as_bytes()), pair.key_id);
        assert_eq!(public_keys(&pair.public_pem).unwrap()[0].0, pair.key_id);
    }

    #[test]
    fn a_pem_written_on_one_line_is_read() {
        let pair = KeyPair::generate().unwrap();
        assert!(private_key(&pair.private_pem.replace('\n', "\\n")).is_ok());
    }

    #[test]
    fn an_openssl_key_is_read() {
        // `openssl genpkey -algorithm ed25519`, made for this test alone.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        assert!(private_key(pem).is_ok());
    }

    #[test]
    fn a_broken_key_among_several_is_named_and_none_is_an_error() {
        let good = KeyPair::generate().unwrap().public_pem;
        let bad = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        assert_eq!(public_keys(&format!("{good}{bad}")).unwrap_err(), KeyError::Public(2));
        assert_eq!(public_keys("").unwrap_err(), KeyError::Empty);
        assert_eq!(public_keys(&good.replace("PUBLIC", "PRIVATE")).unwrap_err(), KeyError::Empty);
    }
}
