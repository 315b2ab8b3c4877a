//! Signed statements about the chain, and the keys that they are signed with (Ed25519, RFC 8032).

use chrono::{DateTime, Utc};
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::DecodePublicKey as _;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::time;

/// How far the chain went at a time, and to which seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The last position.
    pub position: i64,
    /// The seal there, in hex.
    pub seal: String,
    /// When it was made, by the database's clock.
    #[serde(with = "time")]
    pub made_at: DateTime<Utc>,
    /// SHA-256 of the public key in hex; none if no key was configured.
    pub key_id: Option<String>,
    /// Of [`Checkpoint::message`], in hex.
    pub signature: Option<String>,
}

/// A partition that was exported and dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Its name.
    pub partition_name: String,
    /// How many entries it had.
    pub entries: i64,
    /// Of its first entry; none if it had none.
    pub first_position: Option<i64>,
    /// Of its last entry. Entries of other months may lie between.
    pub last_position: Option<i64>,
    /// The seal of its last entry, in hex.
    pub seal: Option<String>,
    /// Of the file that it was exported to.
    pub export_sha256: String,
    /// When it was dropped.
    #[serde(with = "time")]
    pub made_at: DateTime<Utc>,
    /// As that of a checkpoint.
    pub key_id: Option<String>,
    /// Of [`Dropped::message`], in hex.
    pub signature: Option<String>,
}

/// A text that is not a usable key. Never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a private key.
    #[error("not a PKCS#8 PEM with an Ed25519 private key")]
    Private,
    /// Not public keys.
    #[error("not one or more PEMs, each with an Ed25519 public key")]
    Public,
}

/// Signs statements.
pub struct AuditKey {
    key: SigningKey,
    id: String,
}

impl AuditKey {
    /// From a PKCS#8 PEM; environment files often hold one on a line with `\n` written out.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let pem = pem.replace("\\n", "\n");
        let key = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| KeyError::Private)?;
        let id = key_id(&key.verifying_key());
        Ok(Self { key, id })
    }

    fn sign(&self, message: &str) -> (Option<String>, Option<String>) {
        (Some(self.id.clone()), Some(hex::encode(self.key.sign(message.as_bytes()).to_bytes())))
    }
}

/// Checks statements.
pub struct AuditKeys(Vec<VerifyingKey>);

impl AuditKeys {
    /// From concatenated PEMs.
    pub fn from_pem(pems: &str) -> Result<Self, KeyError> {
        const END: &str = "-----END PUBLIC KEY-----";
        let blocks = pems.split_inclusive(END).map(str::trim).filter(|block| block.ends_with(END));
        let keys = blocks.map(|block| VerifyingKey::from_public_key_pem(block).map_err(|_| KeyError::Public));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeyError::Public) } else { Ok(Self(keys)) }
    }

    /// Why a signature does not hold, if it does not.
    fn check(&self, message: &str, key_id: Option<&str>, signature: Option<&str>) -> Result<(), String> {
        let (Some(id), Some(signature)) = (key_id, signature) else { return Err("it is not signed".to_owned()) };
        let key = self.0.iter().find(|key| self::key_id(key) == id).ok_or("it is signed with an unknown key")?;
        let bytes = hex::decode(signature).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        let signature = bytes.ok_or("its signature is malformed")?;
        key.verify_strict(message.as_bytes(), &signature).map_err(|_| "its signature is wrong".to_owned())
    }
}

fn key_id(key: &VerifyingKey) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

impl Checkpoint {
    /// Made now, signed if there is a key.
    pub fn new(position: i64, seal: String, made_at: DateTime<Utc>, key: Option<&AuditKey>) -> Self {
        let mut made = Self { position, seal, made_at, key_id: None, signature: None };
        if let Some(key) = key {
            (made.key_id, made.signature) = key.sign(&made.message());
        }
        made
    }

    /// What is signed.
    pub fn message(&self) -> String {
        format!("audit-checkpoint-v1\n{}\n{}\n{}\n", self.position, self.seal, time::text(self.made_at))
    }

    /// Why the signature does not hold, if it does not.
    pub fn check(&self, keys: &AuditKeys) -> Result<(), String> {
        keys.check(&self.message(), self.key_id.as_deref(), self.signature.as_deref())
    }
}

impl Dropped {
    /// The same, signed if there is a key.
    #[must_use]
    pub fn signed(mut self, key: Option<&AuditKey>) -> Self {
        if let Some(key) = key {
            (self.key_id, self.signature) = key.sign(&self.message());
        }
        self
    }

    /// What is signed.
    pub fn message(&self) -> String {
        let number = |position: Option<i64>| position.map(|position| position.to_string()).unwrap_or_default();
        let Self { partition_name, entries, export_sha256, .. } = self;
        let (first, last) = (number(self.first_position), number(self.last_position));
        let (seal, made_at) = (self.seal.as_deref().unwrap_or_default(), time::text(self.made_at));
        format!("audit-drop-v1\n{partition_name}\n{entries}\n{first}\n{last}\n{seal}\n{export_sha256}\n{made_at}\n")
    }

    /// Why the signature does not hold, if it does not.
    pub fn check(&self, keys: &AuditKeys) -> Result<(), String> {
        keys.check(&self.message(), self.key_id.as_deref(), self.signature.as_deref())
    }

    /// Whether an entry at this position may have been in it.
    pub fn covers(&self, position: i64) -> bool {
        self.first_position.is_some_and(|first| first <= position)
            && self.last_position.is_some_and(|last| position <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::KeyPair;

    #[test]
    fn a_checkpoint_holds_as_it_was_signed_and_not_otherwise() {
        let [pair, other] = [0, 1].map(|_| KeyPair::generate().unwrap());
        let key = AuditKey::from_pem(&pair.private_pem.replace('\n', "\\n")).unwrap();
        let keys = AuditKeys::from_pem(&format!("{}{}", other.public_pem, pair.public_pem)).unwrap();
        let good = Checkpoint::new(7, "ab".repeat(32), DateTime::UNIX_EPOCH, Some(&key));
        assert_eq!(good.check(&keys), Ok(()));
        let unknown = AuditKeys::from_pem(&other.public_pem).unwrap();
        for (bad, keys) in [
            (Checkpoint { position: 8, ..good.clone() }, &keys),
            (Checkpoint { seal: "cd".repeat(32), ..good.clone() }, &keys),
            (Checkpoint { made_at: DateTime::<Utc>::MAX_UTC, ..good.clone() }, &keys),
            (Checkpoint { signature: None, ..good.clone() }, &keys),
            (Checkpoint { signature: Some("ab".to_owned()), ..good.clone() }, &keys),
            (good.clone(), &unknown),
        ] {
            assert!(bad.check(keys).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_read_or_refused_without_being_quoted() {
        let pair = KeyPair::generate().unwrap();
        assert_eq!(AuditKey::from_pem(&pair.public_pem).err(), Some(KeyError::Private));
        assert_eq!(AuditKeys::from_pem(&pair.private_pem).err(), Some(KeyError::Public));
    }
}
