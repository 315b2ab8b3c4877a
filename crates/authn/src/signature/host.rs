//! The host's `verify_signature` foreign function (Envoy since 1.31: BoringSSL), used for the algorithms for which it
//! has just told good signatures from bad ones, and for no others.

use super::vectors::{TEXT, VECTORS, Vector};
use super::{Backend, PureRust};
use crate::algorithm::Algorithm;
use crate::jwk::PublicKey;

/// The name of the foreign function.
pub const VERIFY_SIGNATURE: &str = "verify_signature";

/// Field numbers of the request and the answer (`envoy.source.extensions.common.wasm.VerifySignatureArguments` and
/// `…Result`); both messages are flat, so a few lines do for a protobuf library.
const HASH_FUNCTION: u8 = 1;
const PUBLIC_KEY: u8 = 2;
const SIGNATURE: u8 = 3;
const TEXT_FIELD: u8 = 4;
const RESULT: u64 = 1;
const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// Calls the host with a request and gives its answer, if there was one.
type Call = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;

/// The host, with pure Rust for what it can't do.
pub struct Host {
    call: Call,
    usable: Vec<Algorithm>,
}

impl Host {
    /// Finds out what a host can do: for each algorithm it must accept a good signature, and refuse an altered one
    /// and a good one of another text. `call` is its foreign function [`VERIFY_SIGNATURE`].
    pub fn probe(call: impl Fn(&[u8]) -> Option<Vec<u8>> + 'static) -> Self {
        let mut host = Self { call: Box::new(call), usable: Vec::new() };
        host.usable = VECTORS.iter().filter(|vector| host.passes(vector)).map(|vector| vector.algorithm).collect();
        host
    }

    /// The algorithms that the host does.
    pub fn usable(&self) -> &[Algorithm] {
        &self.usable
    }

    fn passes(&self, vector: &Vector) -> bool {
        let (Ok(key), Ok(good)) = (hex::decode(vector.spki), hex::decode(vector.signature)) else {
            return false;
        };
        let mut bad = good.clone();
        if let Some(last) = bad.last_mut() {
            *last ^= 1;
        }
        let says = |signature: &[u8], text: &[u8]| self.says(vector.algorithm, &key, signature, text);
        says(&good, TEXT) == Some(true)
            && says(&bad, TEXT) == Some(false)
            && says(&good, &TEXT.to_ascii_uppercase()) == Some(false)
    }

    /// What the host says about a signature (PKCS #1 v1.5, or ECDSA in DER); nothing when it does not say.
    fn says(&self, algorithm: Algorithm, spki: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        let fields = [
            (HASH_FUNCTION, hash(algorithm)?.as_bytes()),
            (PUBLIC_KEY, spki),
            (SIGNATURE, signature),
            (TEXT_FIELD, text),
        ];
        let length = fields.iter().map(|(_, value)| value.len().saturating_add(6)).sum();
        let mut request = Vec::with_capacity(length);
        for (number, value) in fields {
            request.push(number << 3 | 2);
            push_varint(&mut request, value.len());
            request.extend_from_slice(value);
        }
        result(&(self.call)(&request)?)
    }
}

impl Backend for Host {
    fn holds(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let algorithm = key.algorithm;
        if !self.usable.contains(&algorithm) {
            return PureRust.holds(key, message, signature);
        }
        let Some(signature) = der_signature(algorithm, signature) else {
            return false;
        };
        // A host that passed the probe and now says nothing is broken: that is no reason to believe the token.
        self.says(algorithm, &key.spki, &signature, message).unwrap_or(false)
    }
}

fn hash(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::RS256 | Algorithm::ES256 => Some("sha256"),
        Algorithm::RS384 | Algorithm::ES384 => Some("sha384"),
        Algorithm::RS512 | Algorithm::ES512 => Some("sha512"),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 | Algorithm::EdDSA => None,
    }
}

/// A token's signature as the host reads it: JOSE's `r ‖ s` (RFC 7518 section 3.4) becomes DER (RFC 3279 section
/// 2.2.3). `r` and `s` out of range are refused here.
fn der_signature(algorithm: Algorithm, jose: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::ES256 => Some(p256::ecdsa::Signature::from_slice(jose).ok()?.to_der().as_bytes().to_vec()),
        Algorithm::ES384 => Some(p384::ecdsa::Signature::from_slice(jose).ok()?.to_der().as_bytes().to_vec()),
        Algorithm::ES512 => Some(p521::ecdsa::Signature::from_slice(jose).ok()?.to_der().as_bytes().to_vec()),
        _ => Some(jose.to_vec()),
    }
}

fn push_varint(out: &mut Vec<u8>, value: usize) {
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// The field `result` of an answer: false when absent, as protobuf has it. Nothing when it is no such message.
fn result(mut answer: &[u8]) -> Option<bool> {
    let mut result = false;
    while !answer.is_empty() {
        let tag = take_varint(&mut answer)?;
        let value = take_varint(&mut answer)?;
        match (tag >> 3, tag & 7) {
            (RESULT, VARINT) => result = value == 1,
            (_, VARINT) => {}
            (_, BYTES) => answer = answer.get(usize::try_from(value).ok()?..)?,
            _ => return None,
        }
    }
    Some(result)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::boring;

    #[test]
    fn a_host_that_tells_good_from_bad_is_used_for_all_that_it_can() {
        let all: Vec<_> = VECTORS.iter().map(|vector| vector.algorithm).collect();
        assert_eq!(Host::probe(boring).usable(), all);
    }

    #[test]
    fn a_host_that_says_yes_or_no_to_everything_or_nothing_at_all_is_not_used() {
        let yes: &[u8] = &[1 << 3, 1];
        let no: &[u8] = &[];
        let garbage: &[u8] = &[0xff; 20];
        for answer in [yes, no, garbage] {
            assert_eq!(Host::probe(move |_| Some(answer.to_vec())).usable(), []);
        }
        assert_eq!(Host::probe(|_| None).usable(), []);
    }

    #[test]
    fn an_answer_is_read_as_protobuf_has_it() {
        assert_eq!(result(&[]), Some(false));
        assert_eq!(result(&[0x08, 1]), Some(true));
        assert_eq!(result(&[0x08, 0]), Some(false));
        assert_eq!(result(&[0x12, 2, b'n', b'o']), Some(false));
        assert_eq!(result(&[0x12, 2, b'n', b'o', 0x08, 1]), Some(true));
        for bad in [&[0x08][..], &[0x12, 9, 1], &[0x0d, 1, 1, 1, 1], &[0xff; 12]] {
            assert_eq!(result(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_written_as_protobuf_has_them() {
        for (value, expected) in [(0, vec![0]), (127, vec![127]), (128, vec![0x80, 1]), (300, vec![0xac, 2])] {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            assert_eq!(out, expected);
        }
    }
}
