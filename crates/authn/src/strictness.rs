//! Rules on keys and tokens that hold across several modules, each with the section that says so. The others stand
//! beside the code that is about them; tests/strictness.rs lists all.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use crate::algorithm::Algorithm;
use crate::jwk::{DEFAULT_LIMITS, KeySet, KeySetError};
use crate::refusal::Refusal;
use crate::signature::{Backend as _, PureRust};
use crate::testing::{Issuer, NOW, claims, expectations, issuers};
use crate::token::UnverifiedToken;

/// The order of the group of RFC 8032 section 5.1, as little-endian octets.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn encode(octets: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// A signer of any header and claims.
struct Signer {
    pair: SigningKey,
}

impl Signer {
    fn new(seed: u8) -> Self {
        Self { pair: SigningKey::from_bytes(&[seed; 32]) }
    }

    fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": encode(self.pair.verifying_key().as_bytes())})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{signed}.{}", encode(self.pair.sign(signed.as_bytes()).to_bytes()))
    }
}

/// A set of this key alone, or why it was passed over.
fn set(jwk: &Value) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes(), DEFAULT_LIMITS)
}

fn verify(token: &str, keys: &KeySet) -> Result<(), Refusal> {
    let expected = expectations();
    UnverifiedToken::parse(token)?.verify(Some(keys), &PureRust, &expected, &expected.audiences, NOW).map(drop)
}

/// RFC 8725 section 3.10. With the honest key's `kid` and with one of its own.
#[test]
fn a_token_does_not_choose_its_key() {
    let (honest, attacker) = (Signer::new(1), Signer::new(2));
    let mut jwk = honest.jwk();
    jwk["kid"] = json!("honest");
    let keys = set(&jwk).unwrap();
    let header = |key_id: &str| {
        json!({
            "alg": "EdDSA", "kid": key_id, "jwk": attacker.jwk(), "jku": "https://evil.example/jwks",
            "x5u": "https://evil.example/cert", "x5c": ["AAAA"], "x5t": "AAAA",
        })
    };
    assert_eq!(verify(&attacker.sign(&header("honest"), &claims()), &keys), Err(Refusal::Signature));
    assert_eq!(verify(&attacker.sign(&header("attacker"), &claims()), &keys), Err(Refusal::UnknownKey));
    assert_eq!(verify(&honest.sign(&header("honest"), &claims()), &keys), Ok(()));
}

/// RFC 7515 section 2: in each of the three parts.
#[test]
fn a_part_has_one_spelling() {
    let signer = Signer::new(1);
    let keys = set(&signer.jwk()).unwrap();
    // Both parts end with a letter that has stray bits.
    let mut all = claims();
    let stray = (0..).find_map(|length| {
        all["x"] = json!("x".repeat(length));
        (all.to_string().len() % 3 == 1).then(|| all.clone())
    });
    let token = signer.sign(&json!({"alg": "EdDSA"}), &stray.unwrap());
    assert_eq!(verify(&token, &keys), Ok(()));
    let parts: Vec<&str> = token.split('.').collect();
    for part in 0..3 {
        let text = parts[part];
        let (before, last) = text.split_at(text.len() - 1);
        let next = char::from(last.as_bytes()[0] + 1);
        for spelling in [format!("{before}{next}"), format!("{text}="), format!("{text}=="), format!("{text}\n")] {
            // Where the letter has no stray bits, another one is another value.
            if text.len().is_multiple_of(4) && spelling.len() == text.len() {
                continue;
            }
            let mut altered = parts.clone();
            altered[part] = &spelling;
            assert_eq!(verify(&altered.join("."), &keys), Err(Refusal::Malformed), "part {part}: {spelling}");
        }
    }
}

/// RFC 8725 section 3.1, RFC 7518 section 3.1: also where the key names no `alg`, as RFC 7517 section 4.4 allows.
#[test]
fn a_key_serves_the_algorithms_of_its_kind_alone() {
    const RSA: &[&str] = &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    for issuer in issuers() {
        let name = issuer.jwk["alg"].as_str().unwrap().to_owned();
        let serves = |jwk: &Value| {
            let keys = set(jwk).unwrap();
            let fits = |algorithm: &Algorithm| keys.candidates(None, *algorithm).count() == 1;
            Algorithm::ALL.iter().filter(|algorithm| fits(algorithm)).map(|one| one.name()).collect::<Vec<_>>()
        };
        assert_eq!(serves(&issuer.jwk), [name.as_str()]);
        let mut silent = issuer.jwk.clone();
        silent.as_object_mut().unwrap().remove("alg");
        let family = if RSA.contains(&name.as_str()) { RSA } else { &[name.as_str()] };
        assert_eq!(serves(&silent), family, "{name}");
    }
}

/// RFC 7517 sections 4.2 and 4.3.
#[test]
fn a_key_for_another_purpose_is_passed_over() {
    let jwk = Signer::new(1).jwk();
    let with = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        set(&jwk)
    };
    for (name, value) in [("use", json!("sig")), ("key_ops", json!(["verify"])), ("key_ops", json!(["sign", "verify"]))]
    {
        assert!(with(name, value.clone()).is_ok(), "{name} {value}");
    }
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("use", json!(7)),
        ("key_ops", json!([])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("d", json!("AAAA")),
        ("k", json!("AAAA")),
    ] {
        assert_eq!(with(name, value.clone()).err(), Some(KeySetError::Unusable), "{name} {value}");
    }
}

/// RFC 7518 sections 3.3 and 3.5 have the lower bound; the upper one bounds what an issuer can make the filter compute.
#[test]
fn rsa_keys_are_neither_short_nor_long_nor_odd() {
    let modulus = |bits: usize| {
        let mut octets = vec![0xff; bits.div_ceil(8)];
        octets[0] = u8::try_from((1_u32 << ((bits - 1) % 8 + 1)) - 1).unwrap();
        octets
    };
    let key = |n: &[u8], e: &[u8]| set(&json!({"kty": "RSA", "n": encode(n), "e": encode(e)}));
    let usual = &[1, 0, 1][..];
    for bits in [2048, 3072, 4096] {
        assert!(key(&modulus(bits), usual).is_ok(), "{bits}");
    }
    for bits in [8, 512, 1024, 2047, 4097, 8192] {
        assert_eq!(key(&modulus(bits), usual).err(), Some(KeySetError::Unusable), "{bits}");
    }
    for exponent in [&[][..], &[0], &[1], &[3], &[17], &[1, 0, 3], &[1, 0, 0, 0, 1]] {
        assert_eq!(key(&modulus(2048), exponent).err(), Some(KeySetError::Unusable), "{exponent:?}");
    }
    let mut even = modulus(2048);
    even[255] = 0xfe;
    assert_eq!(key(&even, usual).err(), Some(KeySetError::Unusable));
}

/// RFC 7518 section 6.2.1: coordinates of exactly the curve's length, of a point on it.
#[test]
fn points_lie_on_their_curve_and_are_written_in_full() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512] {
        let jwk = Issuer::new(algorithm, "k").jwk;
        let octets = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let (x, y) = (octets("x"), octets("y"));
        let key = |x: &[u8], y: &[u8]| {
            let mut jwk = jwk.clone();
            (jwk["x"], jwk["y"]) = (json!(encode(x)), json!(encode(y)));
            set(&jwk)
        };
        assert!(key(&x, &y).is_ok());
        let zeros = vec![0; x.len()];
        let mut off = y.clone();
        *off.last_mut().unwrap() ^= 1;
        let longer = [&[0][..], &x].concat();
        for (x, y) in
            [(&x, &off), (&y, &x), (&zeros, &zeros), (&longer, &y), (&x[1..].to_vec(), &y), (&vec![0xff; x.len()], &y)]
        {
            assert_eq!(key(x, y).err(), Some(KeySetError::Unusable), "{}", algorithm.name());
        }
    }
}

/// RFC 8032 section 5.1.7, RFC 8037 section 3.1. A key of small order would make signatures hold that nobody made.
#[test]
fn ed25519_keys_of_small_order_or_in_another_encoding_are_passed_over() {
    let key = |octets: &[u8]| set(&json!({"kty": "OKP", "crv": "Ed25519", "x": encode(octets)}));
    let numbers = |first: u8, rest: u8, last: u8| {
        let mut octets = [rest; 32];
        (octets[0], octets[31]) = (first, last);
        octets
    };
    let eighths = [
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ];
    let mut bad = vec![numbers(0, 0, 0), numbers(0, 0, 0x80), numbers(1, 0, 0), numbers(0xec, 0xff, 0x7f)];
    for text in eighths {
        let mut octets: [u8; 32] = hex::decode(text).unwrap().try_into().unwrap();
        bad.push(octets);
        octets[31] ^= 0x80;
        bad.push(octets);
    }
    // Coordinates of the field's order and above, and a zero with a sign.
    bad.extend((0xed..=0xff).map(|first| numbers(first, 0xff, 0x7f)));
    bad.extend([numbers(1, 0, 0x80), numbers(0xec, 0xff, 0xff)]);
    for octets in bad {
        assert_eq!(key(&octets).err(), Some(KeySetError::Unusable), "{}", hex::encode(octets));
    }
    let good = Signer::new(1).pair.verifying_key().to_bytes();
    assert!(key(&good).is_ok());
    for octets in [&good[..31], &[&good[..], &[0]].concat(), &[]] {
        assert_eq!(key(octets).err(), Some(KeySetError::Unusable), "{octets:?}");
    }
}

/// RFC 8032 section 5.1.7: a second signature can't be made of a first one by adding the group's order.
#[test]
fn an_ed25519_signature_has_one_form() {
    let signer = Signer::new(1);
    let keys = set(&signer.jwk()).unwrap();
    let key = keys.candidates(None, Algorithm::EdDSA).next().unwrap();
    let signature = signer.pair.sign(b"text").to_bytes();
    assert!(PureRust.holds(key, b"text", &signature));
    let (mut added, mut carry) = (signature, 0);
    for (octet, order) in added[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*octet) + u16::from(order) + carry;
        *octet = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!PureRust.holds(key, b"text", &added));
    assert!(!PureRust.holds(key, b"text", &signature[..63]));
}
