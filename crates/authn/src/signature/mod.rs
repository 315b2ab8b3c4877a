//! Who checks signatures: the host where it can, pure Rust everywhere. Both decide alike.

mod host;
pub(crate) mod rsa;
mod vectors;

#[cfg(test)]
mod reference;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod wycheproof;

use p256::ecdsa::signature::Verifier as _;
use sha2::{Sha256, Sha384, Sha512};

pub use self::host::{Host, VERIFY_SIGNATURE};

use crate::algorithm::Algorithm;
use crate::jwk::{Material, PublicKey};

/// Checks signatures.
pub trait Backend {
    /// Whether this key made this signature of the message, with the algorithm to which the key is bound.
    fn holds(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool;
}

/// Pure Rust, on any host. The tests hold it to jwt-simple and to Wycheproof's vectors.
pub struct PureRust;

impl Backend for PureRust {
    fn holds(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        match &*key.material {
            Material::Rsa(rsa) => match key.algorithm {
                Algorithm::RS256 => rsa.pkcs1_holds::<Sha256>(message, signature),
                Algorithm::RS384 => rsa.pkcs1_holds::<Sha384>(message, signature),
                Algorithm::RS512 => rsa.pkcs1_holds::<Sha512>(message, signature),
                Algorithm::PS256 => rsa.pss_holds::<Sha256>(message, signature),
                Algorithm::PS384 => rsa.pss_holds::<Sha384>(message, signature),
                Algorithm::PS512 => rsa.pss_holds::<Sha512>(message, signature),
                Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512 | Algorithm::EdDSA => false,
            },
            Material::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Material::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Material::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Material::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}
