//! Signature checks in pure Rust, through jwt-simple.

use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, EdDSAPublicKeyLike, NoCustomClaims, RSAPublicKeyLike,
    UnixTimeStamp, VerificationOptions,
};

use crate::jwk::PublicKey;
use crate::token::{MAX_TOKEN_LENGTH, UnverifiedToken};

/// Whether this key made the token's signature. Claims are judged elsewhere, once, for every kind of key.
pub(crate) fn holds(key: &PublicKey, token: &UnverifiedToken<'_>) -> bool {
    let options = Some(signature_only());
    let raw = token.raw;
    let checked = match key {
        PublicKey::Rs256(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::Rs384(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::Rs512(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::Ps256(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::Ps384(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::Ps512(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::Es256(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::Es384(key) => key.verify_token::<NoCustomClaims>(raw, options),
        PublicKey::EdDsa(key) => key.verify_token::<NoCustomClaims>(raw, options),
    };
    checked.is_ok()
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
