//! jwt-simple as the reference: whatever it lets pass, and nothing else, holds here too.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use serde_json::json;

use super::PureRust;
use crate::testing::{Issuer, NOW, claims, expectations, issuers};
use crate::token::UnverifiedToken;

/// The signature of a token with one bit of it changed, for every so manieth bit; shorter, longer, empty and zero.
fn variants(token: &str) -> Vec<String> {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let good = BASE64URL.decode(signature).unwrap();
    let flipped = (0..good.len() * 8).step_by(37).map(|bit| {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let lengths =
        [good[1..].to_vec(), [&[0], &good[..]].concat(), Vec::new(), vec![0; good.len()], vec![255; good.len()]];
    let all = flipped.chain(lengths).chain([good.clone()]);
    all.map(|signature| format!("{signed}.{}", BASE64URL.encode(signature))).collect()
}

fn holds(token: &str, issuer: &Issuer) -> bool {
    let (keys, expected) = (issuer.key_set(), expectations());
    let parsed = UnverifiedToken::parse(token);
    parsed.is_ok_and(|token| token.verify(Some(&keys), &PureRust, &expected, &expected.audiences, NOW).is_ok())
}

#[test]
fn jwt_simple_judges_every_signature_alike() {
    let mut held = 0;
    for issuer in issuers() {
        let stranger = issuer.same_id_other_key();
        let mut other = claims();
        other["sub"] = json!("machine-8");
        let (good, bad) = (issuer.sign(&claims()), stranger.sign(&claims()));
        let spliced =
            format!("{}.{}", issuer.sign(&other).rsplit_once('.').unwrap().0, good.rsplit_once('.').unwrap().1);
        for token in variants(&good).into_iter().chain([bad, spliced]) {
            let Some(reference) = issuer.reference_holds(&token) else { continue };
            assert_eq!(holds(&token, &issuer), reference, "{}: {token}", issuer.jwk);
            held += usize::from(reference);
        }
    }
    // Of every algorithm that jwt-simple has.
    assert_eq!(held, 9);
}
