//! Who checks signatures: the host where it can, pure Rust everywhere. Both decide alike.

mod host;
mod vectors;

use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, EdDSAPublicKeyLike, NoCustomClaims, RSAPublicKeyLike,
    UnixTimeStamp, VerificationOptions,
};
use p521::ecdsa::signature::Verifier as _;

pub use self::host::{Host, VERIFY_SIGNATURE};

use crate::jwk::{Material, PublicKey};
use crate::token::{MAX_TOKEN_LENGTH, UnverifiedToken};

/// Checks signatures.
pub trait Backend {
    /// Whether this key made the token's signature. Key and token are of the same algorithm.
    fn holds(&self, key: &PublicKey, token: &UnverifiedToken<'_>) -> bool;
}

/// Pure Rust, through jwt-simple; on any host.
pub struct PureRust;

impl Backend for PureRust {
    fn holds(&self, key: &PublicKey, token: &UnverifiedToken<'_>) -> bool {
        let options = Some(signature_only());
        let raw = token.raw;
        let checked = match &key.material {
            Material::Rs256(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::Rs384(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::Rs512(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::Ps256(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::Ps384(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::Ps512(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::Es256(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::Es384(key) => key.verify_token::<NoCustomClaims>(raw, options),
            Material::EdDsa(key) => key.verify_token::<NoCustomClaims>(raw, options),
            // jwt-simple has no P-521.
            Material::Es512(key) => {
                let signature = p521::ecdsa::Signature::from_slice(&token.signature);
                return signature.is_ok_and(|signature| key.verify(token.signed().as_bytes(), &signature).is_ok());
            }
        };
        checked.is_ok()
    }
}

/// Puts jwt-simple's own judgement of the claims out of the way: at the epoch nothing has expired yet.
fn signature_only() -> VerificationOptions {
    VerificationOptions {
        accept_future: true,
        artificial_time: Some(UnixTimeStamp::from_secs(0)),
        time_tolerance: None,
        max_token_length: Some(MAX_TOKEN_LENGTH),
        ..VerificationOptions::default()
    }
}
