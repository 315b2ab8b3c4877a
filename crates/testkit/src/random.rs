//! Values that nobody can guess, from a seed that the caller gives: the worlds themselves stay repeatable.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A fresh seed from the system's randomness.
#[expect(
    clippy::disallowed_methods,
    reason = "the worlds' only source of randomness; everything else is derived from it"
)]
pub(crate) fn seed() -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(Uuid::new_v4());
    hash.update(Uuid::new_v4());
    hash.update(Uuid::new_v4());
    hash.finalize().into()
}

/// A sequence of unguessable values.
#[derive(Debug)]
pub(crate) struct Random {
    seed: [u8; 32],
    drawn: u64,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        self.drawn = self.drawn.saturating_add(1);
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.drawn.to_be_bytes());
        hash.finalize().into()
    }

    /// Lower-case hex, as long as asked, at most 64 characters.
    pub(crate) fn hex(&mut self, length: usize) -> String {
        hex::encode(self.bytes()).chars().take(length).collect()
    }

    /// Upper-case letters and digits, as GitHub's registration tokens have them, at most 32 characters.
    pub(crate) fn letters(&mut self, length: usize) -> String {
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letter = |byte: u8| ALPHABET.chars().nth(usize::from(byte % 32)).unwrap_or('A');
        self.bytes().into_iter().take(length).map(letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_values_and_none_twice() {
        let (mut one, mut two) = (Random::new([7; 32]), Random::new([7; 32]));
        let first = one.letters(29);
        assert_eq!(first, two.letters(29));
        assert_eq!(first.len(), 29);
        assert_ne!(first, one.letters(29));
        assert_eq!(one.hex(36).len(), 36);
    }
}
