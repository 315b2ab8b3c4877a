//! base64url without padding (RFC 7515 section 2), in its one canonical form: no padding, no white space, and no
//! stray bits after the last full octet, so that one value has one spelling.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The decoded octets, or nothing when the text is not canonical base64url.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    /// RFC 7515 section 2.
    #[test]
    fn only_the_canonical_spelling_decodes() {
        assert_eq!(decode("_-8"), Some(vec![0xff, 0xef]));
        for other in ["_-8=", "_-9", "/+8", "_-8\n", " _-8", "_-8A8", "_"] {
            assert_eq!(decode(other), None, "{other:?}");
        }
    }
}
