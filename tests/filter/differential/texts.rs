//! What may happen to a signed token on its way.

use testkit::choices::Random;

use super::stricter::Stricter::{self, *};

/// One change of the token's text.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    pub(crate) apply: fn(&str, &mut Random) -> String,
    pub(crate) stricter: Option<Stricter>,
}

const fn change(name: &'static str, apply: fn(&str, &mut Random) -> String, stricter: Option<Stricter>) -> Change {
    Change { name, apply, stricter }
}

/// Every change. Both filters must agree about one without a category.
pub(crate) const CHANGES: &[Change] = &[
    change("a bit of the header flipped", |token, random| flipped(token, 0, random), None),
    change("a bit of the payload flipped", |token, random| flipped(token, 1, random), None),
    change("a bit of the signature flipped", |token, random| flipped(token, 2, random), Some(CanonicalBase64)),
    change("stray bits after the signature", |token, _| stray_bits(token), Some(CanonicalBase64)),
    change("padding at the end", |token, _| format!("{token}="), Some(CanonicalBase64)),
    change("the right padding everywhere", |token, _| parts(token, padded), Some(CanonicalBase64)),
    change("the standard alphabet", |token, _| token.replace('-', "+").replace('_', "/"), Some(CanonicalBase64)),
    change("a letter of the signature missing", dropped, None),
    change("signature cut", cut, None),
    change("no signature", |token, _| parts_but_last(token), None),
    // With a fourth part before, jwt_authn passes over the empty one.
    change("an empty signature", |token, _| format!("{}.", parts_but_last(token)), Some(ThreeParts)),
    change("a fourth part", |token, _| format!("{token}.AAAA"), None),
    change("five parts", |token, _| format!("{token}.AAAA.AAAA"), None),
    change("a dot at the end", |token, _| format!("{token}."), Some(ThreeParts)),
    change("a dot at the start", |token, _| format!(".{token}"), Some(ThreeParts)),
    change("two dots", |token, _| token.replacen('.', "..", 1), Some(ThreeParts)),
    change("white space inside", |token, random| inserted(token, ' ', random), Some(CanonicalBase64)),
    change("a tab inside", |token, random| inserted(token, '\t', random), Some(CanonicalBase64)),
    change("a letter too many", |token, random| inserted(token, 'A', random), Some(CanonicalBase64)),
    change("a percent sign inside", |token, random| inserted(token, '%', random), Some(OnlyTheToken)),
    change("more after a semicolon", |token, _| format!("{token};x"), Some(OnlyTheToken)),
    change("more after a comma", |token, _| format!("{token},x"), Some(OnlyTheToken)),
    change("more after a space", |token, _| format!("{token} x"), Some(OnlyTheToken)),
    change("quotes around", |token, _| format!("\"{token}\""), Some(OnlyTheToken)),
    change("brackets around", |token, _| format!("<{token}>"), Some(OnlyTheToken)),
    change("upper case", |token, _| token.to_ascii_uppercase(), None),
    change("reversed", |token, _| token.chars().rev().collect(), None),
    change("twice", |token, _| format!("{token}{token}"), None),
    change("header and payload swapped", |token, _| swapped(token), None),
    change("nothing left", |_, _| String::new(), None),
    change("dots alone", |_, _| "..".to_owned(), None),
    change("some other text", |_, random| format!("opaque-{}", random.number()), None),
];

/// Applies a function to each part.
fn parts(token: &str, each: fn(&str) -> String) -> String {
    token.split('.').map(each).collect::<Vec<_>>().join(".")
}

fn padded(part: &str) -> String {
    let missing = (4_usize.saturating_sub(part.len() % 4)) % 4;
    format!("{part}{}", "=".repeat(missing))
}

fn parts_but_last(token: &str) -> String {
    token.rsplit_once('.').map_or(token, |(before, _)| before).to_owned()
}

fn swapped(token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    match parts.as_slice() {
        [header, payload, signature] => format!("{payload}.{header}.{signature}"),
        _ => token.to_owned(),
    }
}

fn dropped(token: &str, random: &mut Random) -> String {
    let at = token.len().saturating_sub(random.below(60).saturating_add(1));
    token.chars().enumerate().filter(|(index, _)| *index != at).map(|(_, one)| one).collect()
}

fn cut(token: &str, random: &mut Random) -> String {
    token.chars().take(token.len().saturating_sub(random.below(40).saturating_add(4))).collect()
}

fn inserted(token: &str, what: char, random: &mut Random) -> String {
    let at = random.below(token.len());
    let mut text: String = token.chars().take(at).collect();
    text.push(what);
    text.extend(token.chars().skip(at));
    text
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The letter whose six bits differ in the given ones.
fn other_letter(letter: char, bits: usize) -> char {
    let value = ALPHABET.chars().position(|one| one == letter).unwrap_or(0);
    ALPHABET.chars().nth(value ^ bits).unwrap_or('A')
}

fn replaced(token: &str, at: usize, bits: usize) -> String {
    let changed = |(index, one)| if index == at { other_letter(one, bits) } else { one };
    token.chars().enumerate().map(changed).collect()
}

fn flipped(token: &str, part: usize, random: &mut Random) -> String {
    let before: usize = token.split('.').take(part).map(|one| one.len().saturating_add(1)).sum();
    let length = token.split('.').nth(part).map_or(0, str::len);
    replaced(token, before.saturating_add(random.below(length)), 1 << random.below(6))
}

/// The last letter of most signatures holds two or four bits that mean nothing.
fn stray_bits(token: &str) -> String {
    replaced(token, token.len().saturating_sub(1), 1)
}
