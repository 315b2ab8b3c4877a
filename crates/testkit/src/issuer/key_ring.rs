//! The set of keys over time: current ones sign, old ones are still published, retired ones are not.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::keys::{Algorithm, SigningKey};
use super::mint::SignWith;

pub(crate) struct KeyRing {
    current: Vec<SigningKey>,
    old: Vec<SigningKey>,
    retired: Vec<SigningKey>,
    /// One an algorithm, made when first asked for: an RSA key takes a while.
    strangers: Vec<SigningKey>,
}

impl KeyRing {
    pub(crate) fn generate(algorithms: &[Algorithm]) -> anyhow::Result<Self> {
        generate(algorithms).map(Self::of)
    }

    fn of(current: Vec<SigningKey>) -> Self {
        Self { current, old: Vec::new(), retired: Vec::new(), strangers: Vec::new() }
    }

    /// Keys from PEM files named after their algorithm; a missing file is made, so that a restart keeps the keys.
    pub(crate) fn in_directory(algorithms: &[Algorithm], directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
        algorithms.iter().map(|algorithm| kept_key(*algorithm, directory)).collect::<Result<_, _>>().map(Self::of)
    }

    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        self.current.iter().map(|key| key.algorithm).collect()
    }

    pub(crate) fn rotate(&mut self) -> anyhow::Result<()> {
        let fresh = generate(&self.algorithms())?;
        self.old.append(&mut std::mem::replace(&mut self.current, fresh));
        Ok(())
    }

    pub(crate) fn retire_old(&mut self) {
        self.retired.append(&mut self.old);
    }

    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<&Value> = self.current.iter().chain(&self.old).map(|key| &key.jwk).collect();
        json!({ "keys": keys })
    }

    pub(crate) fn current(&self, algorithm: Algorithm) -> anyhow::Result<&SigningKey> {
        let found = self.current.iter().find(|key| key.algorithm == algorithm);
        found.with_context(|| format!("the issuer was started without a key for {algorithm}"))
    }

    /// The key to sign with, and the id that it goes by.
    pub(crate) fn signer(&mut self, algorithm: Algorithm, which: SignWith) -> anyhow::Result<(SigningKey, String)> {
        match which {
            SignWith::Current => self.current(algorithm).map(|key| (key.clone(), key.key_id.clone())),
            SignWith::Previous => {
                let mut past = self.old.iter().rev().chain(self.retired.iter().rev());
                let key = past.find(|key| key.algorithm == algorithm).context("no key was rotated out yet")?;
                Ok((key.clone(), key.key_id.clone()))
            }
            SignWith::Stranger => {
                let stranger = self.stranger(algorithm)?;
                Ok((stranger, self.current(algorithm)?.key_id.clone()))
            }
        }
    }

    fn stranger(&mut self, algorithm: Algorithm) -> anyhow::Result<SigningKey> {
        if let Some(known) = self.strangers.iter().find(|key| key.algorithm == algorithm) {
            return Ok(known.clone());
        }
        let stranger = SigningKey::generate(algorithm)?;
        self.strangers.push(stranger.clone());
        Ok(stranger)
    }
}

fn generate(algorithms: &[Algorithm]) -> anyhow::Result<Vec<SigningKey>> {
    algorithms.iter().map(|algorithm| SigningKey::generate(*algorithm)).collect()
}

fn kept_key(algorithm: Algorithm, directory: &Path) -> anyhow::Result<SigningKey> {
    let path = directory.join(format!("{algorithm}.pem"));
    let context = || format!("key file {}", path.display());
    if path.exists() {
        let pem = fs::read_to_string(&path).with_context(context)?;
        return SigningKey::from_pem(algorithm, &pem).with_context(context);
    }
    let key = SigningKey::generate(algorithm)?;
    crate::secret_file::write(&path, &key.private_pem).with_context(context)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_ids(ring: &KeyRing) -> Vec<String> {
        let jwks = ring.jwks();
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn rotation_keeps_old_keys_published_until_they_are_retired() {
        let mut ring = KeyRing::generate(&[Algorithm::Es256]).unwrap();
        let first = key_ids(&ring);
        assert!(ring.signer(Algorithm::Es256, SignWith::Previous).is_err());
        ring.rotate().unwrap();
        let both = key_ids(&ring);
        assert!(both.len() == 2 && both.contains(&first[0]));
        ring.retire_old();
        assert!(!key_ids(&ring).contains(&first[0]));
        assert_eq!(ring.signer(Algorithm::Es256, SignWith::Previous).unwrap().1, first[0]);
    }

    #[test]
    fn a_stranger_goes_by_the_published_id() {
        let mut ring = KeyRing::generate(&[Algorithm::EdDsa]).unwrap();
        let (stranger, key_id) = ring.signer(Algorithm::EdDsa, SignWith::Stranger).unwrap();
        assert_eq!(key_id, key_ids(&ring)[0]);
        assert_ne!(stranger.key_id, key_id);
    }

    #[test]
    fn keys_in_a_directory_survive_a_restart() {
        let directory = std::env::temp_dir().join(format!("testkit-keys-{}", std::process::id()));
        let first = KeyRing::in_directory(&[Algorithm::Es256], &directory).unwrap();
        let second = KeyRing::in_directory(&[Algorithm::Es256], &directory).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(key_ids(&first), key_ids(&second));
    }
}
