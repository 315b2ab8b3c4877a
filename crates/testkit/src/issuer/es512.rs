//! ES512, which neither jwt-simple nor jsonwebtoken does.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p521::ecdsa::signature::Signer as _;
use p521::ecdsa::{Signature, SigningKey};
use p521::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::keys::PublicHalf;
use crate::random::{self, Random};

/// A new private key, PKCS#8. Its number has 512 bits, 9 fewer than it could have.
pub(crate) fn generate() -> anyhow::Result<String> {
    let mut random = Random::new(random::seed());
    let number = [&[0, 0][..], &random.bytes(), &random.bytes()].concat();
    Ok(SigningKey::from_slice(&number)?.to_pkcs8_pem(LineEnding::LF)?.to_string())
}

pub(crate) fn read(private_pem: &str) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_pkcs8_pem(private_pem)?)
}

pub(crate) fn public_half(key: &SigningKey) -> anyhow::Result<PublicHalf> {
    let point = key.verifying_key().to_sec1_point(false);
    let coordinate = |bytes: Option<&_>| bytes.map(|bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let (x, y) = (coordinate(point.x().map(AsRef::as_ref)), coordinate(point.y().map(AsRef::as_ref)));
    // RFC 7638 section 3: these members, in this order, without white space.
    let jwk = json!({"crv": "P-521", "kty": "EC", "x": x, "y": y}).to_string();
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&jwk));
    Ok(PublicHalf { jwk, thumbprint, pem: key.verifying_key().to_public_key_pem(LineEnding::LF)? })
}

/// The signature in unpadded base64url.
pub(crate) fn sign(key: &SigningKey, message: &str) -> String {
    let signature: Signature = key.sign(message.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes())
}
