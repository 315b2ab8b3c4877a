//! Who checks signatures: the host where it can, pure Rust everywhere. Both decide alike.

mod host;
mod vectors;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod wycheproof;

use jwt_simple::prelude::{ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, EdDSAPublicKeyLike, RSAPublicKeyLike};
use p521::ecdsa::signature::Verifier as _;
use superboring::error::ErrorStack;
use superboring::pkey::PKey;
use superboring::sign::Verifier;

pub use self::host::{Host, VERIFY_SIGNATURE};

use crate::jwk::{Material, PublicKey};

/// Checks signatures.
pub trait Backend {
    /// Whether this key made this signature of the message, with the algorithm to which the key is bound.
    fn holds(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool;
}

/// Pure Rust, on any host.
///
/// With jwt-simple's keys and the crates on which it builds, but not by its `verify_token`: that reads the token once
/// more, by rules of its own.
pub struct PureRust;

impl Backend for PureRust {
    fn holds(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        match &key.material {
            Material::Rs256(key) => rsa_holds(key, message, signature),
            Material::Rs384(key) => rsa_holds(key, message, signature),
            Material::Rs512(key) => rsa_holds(key, message, signature),
            Material::Ps256(key) => rsa_holds(key, message, signature),
            Material::Ps384(key) => rsa_holds(key, message, signature),
            Material::Ps512(key) => rsa_holds(key, message, signature),
            Material::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(message, &signature).is_ok()),
            Material::Es384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(message, &signature).is_ok()),
            // jwt-simple has no P-521.
            Material::Es512(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Material::EdDsa(key) => ed25519_compact::Signature::from_slice(signature)
                .is_ok_and(|signature| key.public_key().as_ref().verify(message, &signature).is_ok()),
        }
    }
}

/// PKCS #1 v1.5 or PSS, as the key's algorithm has it.
fn rsa_holds<K: RSAPublicKeyLike>(key: &K, message: &[u8], signature: &[u8]) -> bool {
    let checked = || -> Result<bool, ErrorStack> {
        let public = PKey::from_rsa(key.public_key().as_ref().clone())?;
        let mut verifier = Verifier::new(K::hash(), &public)?;
        verifier.set_rsa_padding(key.padding_scheme())?;
        verifier.update(message)?;
        verifier.verify(signature)
    };
    checked().unwrap_or(false)
}
