//! RSA signatures (RFC 8017): the arithmetic is crypto-bigint's, the paddings are written here.
//!
//! The public exponent is 65537, whose chain is sixteen squarings and a multiplication; a general `pow` in constant time
//! takes ten times as long, and there is no secret here to hide.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use p521::pkcs8::der::asn1::{BitString, Null, UintRef};
use p521::pkcs8::der::{Encode as _, Error as DerError};
use p521::pkcs8::spki::{AlgorithmIdentifier, ObjectIdentifier, SubjectPublicKeyInfo};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// `rsaEncryption` (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The exponent of every key that is in use; others are refused.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A public key with an odd modulus of 2048 to 4096 bits (RFC 7518 section 3.3 asks for the lower bound).
#[derive(Debug)]
pub(crate) struct RsaKey {
    /// Made ready for multiplications once a key.
    modulus: BoxedMontyParams,
    /// The length of the modulus in bits.
    bits: usize,
}

/// A hash with the start of its `DigestInfo` (RFC 8017 section 9.2, note 1).
pub(crate) trait Hash: Digest {
    const DIGEST_INFO: [u8; 19];
}

impl Hash for Sha256 {
    const DIGEST_INFO: [u8; 19] = digest_info(1, 32);
}

impl Hash for Sha384 {
    const DIGEST_INFO: [u8; 19] = digest_info(2, 48);
}

impl Hash for Sha512 {
    const DIGEST_INFO: [u8; 19] = digest_info(3, 64);
}

/// The sequence of `id-sha2` number `hash` without parameters but NULL, and the head of a digest of so many bytes.
const fn digest_info(hash: u8, length: u8) -> [u8; 19] {
    let (all, algorithm, oid) = (0x11 + length, 0x0d, 0x09);
    [0x30, all, 0x30, algorithm, 0x06, oid, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, hash, 0x05, 0, 0x04, length]
}

impl RsaKey {
    /// A key of these components (big-endian, leading zeros allowed); nothing when it is not one that is used.
    pub(crate) fn new(n: &[u8], e: &[u8]) -> Option<Self> {
        let n = without_zeros(n);
        let first = n.first()?;
        let bits = n.len().checked_mul(8)?.checked_sub(usize::try_from(first.leading_zeros()).ok()?)?;
        if without_zeros(e) != EXPONENT {
            return None;
        }
        if !(2048..=4096).contains(&bits) {
            return None;
        }
        let modulus = Odd::new(BoxedUint::from_be_slice_vartime(n)).into_option()?;
        Some(Self { modulus: BoxedMontyParams::new_vartime(modulus), bits })
    }

    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.2): the encoded message is made again and compared whole.
    pub(crate) fn pkcs1_holds<H: Hash>(&self, message: &[u8], signature: &[u8]) -> bool {
        let Some(encoded) = self.recover(signature) else { return false };
        let digest = H::digest(message);
        let end = [&H::DIGEST_INFO[..], &digest].concat();
        let Some(padding) = encoded.len().checked_sub(end.len().saturating_add(3)) else { return false };
        let expected = [&[0, 1][..], &vec![0xff; padding], &[0], &end].concat();
        encoded == expected
    }

    /// RSASSA-PSS with MGF1 of the same hash and a salt as long as it (RFC 8017 sections 8.1.2 and 9.1.2, RFC 7518
    /// section 3.5).
    pub(crate) fn pss_holds<H: Hash>(&self, message: &[u8], signature: &[u8]) -> bool {
        self.recover(signature).is_some_and(|encoded| pss_holds::<H>(&encoded, self.bits, message))
    }

    /// DER `SubjectPublicKeyInfo` (RFC 8017 appendix A.1, RFC 5280 section 4.1).
    pub(crate) fn spki(&self) -> Option<Vec<u8>> {
        let encode = || -> Result<Vec<u8>, DerError> {
            let n = self.modulus.modulus().to_be_bytes();
            let key = vec![UintRef::new(&n)?, UintRef::new(&EXPONENT)?];
            let algorithm = AlgorithmIdentifier { oid: RSA_ENCRYPTION, parameters: Some(Null) };
            let subject_public_key = BitString::from_bytes(&key.to_der()?)?;
            SubjectPublicKeyInfo { algorithm, subject_public_key }.to_der()
        };
        encode().ok()
    }

    /// RSAVP1 (RFC 8017 section 5.2.2), as long as the modulus. A signature of another length, or one that is not
    /// below the modulus, is none (section 8.2.2, steps 1 and 2).
    fn recover(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let length = self.bits.div_ceil(8);
        let base = BoxedUint::from_be_slice(signature, self.modulus.bits_precision()).ok()?;
        if signature.len() != length || base >= **self.modulus.modulus() {
            return None;
        }
        let mut power = BoxedMontyForm::new(base.clone(), &self.modulus);
        for _ in 0..16 {
            power = power.square();
        }
        // A product with a number that is not in Montgomery form has left it.
        let message = power.mul(&BoxedMontyForm::from_montgomery(base, &self.modulus));
        let message = message.as_montgomery().to_be_bytes();
        message.get(message.len().checked_sub(length)?..).map(<[u8]>::to_vec)
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// EMSA-PSS-VERIFY (RFC 8017 section 9.1.2); `bits` is the length of the modulus.
fn pss_holds<H: Hash>(encoded: &[u8], bits: usize, message: &[u8]) -> bool {
    let hash_length = <H as Digest>::output_size();
    let em_bits = bits.saturating_sub(1);
    // One byte shorter than the modulus when that begins a new byte.
    let Some((over, encoded)) = encoded.split_at_checked(encoded.len().saturating_sub(em_bits.div_ceil(8))) else {
        return false;
    };
    let parts = encoded.split_last().and_then(|(last, rest)| {
        let (masked, hash) = rest.split_at_checked(rest.len().checked_sub(hash_length)?)?;
        (*last == 0xbc && over.iter().all(|byte| *byte == 0)).then_some((masked, hash))
    });
    let Some((masked, hash)) = parts else { return false };
    let unused = encoded.len().saturating_mul(8).saturating_sub(em_bits);
    let mask = u8::MAX.checked_shr(u32::try_from(unused).unwrap_or(u32::MAX)).unwrap_or_default();
    if masked.first().is_none_or(|first| first & !mask != 0) {
        return false;
    }
    let mut data = masked.to_vec();
    unmask::<H>(&mut data, hash);
    if let Some(first) = data.first_mut() {
        *first &= mask;
    }
    let Some((padding, salt)) = data.split_at_checked(data.len().saturating_sub(hash_length)) else { return false };
    let padded = padding.split_last().is_some_and(|(one, zeros)| *one == 1 && zeros.iter().all(|byte| *byte == 0));
    let again = H::new().chain_update([0; 8]).chain_update(H::digest(message)).chain_update(salt).finalize();
    padded && salt.len() == hash_length && *again == *hash
}

/// Takes the mask of MGF1 (RFC 8017 appendix B.2.1) off.
fn unmask<H: Hash>(data: &mut [u8], seed: &[u8]) {
    for (counter, block) in (0_u32..).zip(data.chunks_mut(<H as Digest>::output_size())) {
        let mask = H::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}
