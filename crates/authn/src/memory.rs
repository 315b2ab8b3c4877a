//! What a worker remembers of the tokens that it verified. Only verified ones enter, so filling it up takes valid
//! tokens; each is compared whole, so no two are taken for one another.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use serde_json::{Map, Value};

use crate::keys::KeySource;
use crate::provider::Provider;
use crate::refusal::Refusal;

/// The verified tokens of one worker: as many as all providers together may have, the least recently used going first.
pub struct Memory {
    tokens: Option<LruCache<Tail, Entry>>,
    hits: i64,
    misses: i64,
}

struct Entry {
    token: Box<str>,
    known: Rc<Known>,
    /// The provider's keys as of the verification.
    epoch: u64,
}

/// Where a token is looked for: its last bytes. They are of the signature, which nobody but the issuer can choose, so
/// they tell verified tokens apart as well as a hash of all would, at once. Of two that agree the newer one is kept.
type Tail = [u8; 24];

fn tail(token: &str) -> Option<Tail> {
    token.as_bytes().last_chunk().copied()
}

/// Whether two texts are equal, word by word: `memcmp` goes byte by byte in wasm.
fn same(one: &str, other: &str) -> bool {
    let (words, rest) = one.as_bytes().as_chunks::<8>();
    let (other_words, other_rest) = other.as_bytes().as_chunks::<8>();
    let equal = |(one, other): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other);
    one.len() == other.len() && words.iter().zip(other_words).all(equal) && rest == other_rest
}

/// What is kept of a verified token: enough to judge it again and to say again who called. The claims themselves stand
/// in the token.
pub(crate) struct Known {
    /// Whose token it is.
    pub(crate) provider: usize,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    /// `aud`.
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) subject: Rc<str>,
    /// The name to show.
    pub(crate) name: Rc<str>,
    /// Whether issuer, subject and name can be headers.
    pub(crate) sayable: bool,
    /// A value for each header that the provider's claims are stated in, or why they can't be.
    pub(crate) stated: Result<Box<[Option<Rc<str>>]>, Refusal>,
    /// All claims, when a rule asks for some.
    pub(crate) claims: Option<Box<Map<String, Value>>>,
    pub(crate) assertion: RefCell<Option<Assertion>>,
}

/// A signed assertion, until it has to be signed anew.
#[derive(Clone)]
pub(crate) struct Assertion {
    pub(crate) text: Rc<str>,
    /// Unix seconds.
    pub(crate) renew_at: u64,
}

impl Memory {
    /// An empty memory for these providers.
    pub fn new(providers: &[Provider]) -> Self {
        let all = providers.iter().fold(0, |sum: usize, provider| sum.saturating_add(provider.remembered));
        // Grows with what is in it.
        let cache = |most| {
            let mut cache = LruCache::unbounded();
            cache.resize(most);
            cache
        };
        Self { tokens: NonZeroUsize::new(all).map(cache), hits: 0, misses: 0 }
    }

    /// What is known of the token, if it was verified with the keys that its provider has now.
    pub(crate) fn recall(&mut self, token: &str, sources: &[KeySource]) -> Option<Rc<Known>> {
        let tokens = self.tokens.as_mut()?;
        let known = tail(token)
            .and_then(|tail| tokens.get(&tail))
            .filter(|entry| same(&entry.token, token))
            .filter(|entry| sources.get(entry.known.provider).is_some_and(|source| source.epoch() == entry.epoch));
        let counter = if known.is_some() { &mut self.hits } else { &mut self.misses };
        *counter = counter.saturating_add(1);
        known.map(|entry| Rc::clone(&entry.known))
    }

    pub(crate) fn remember(&mut self, token: &str, epoch: u64, known: &Rc<Known>) {
        if let (Some(tokens), Some(tail)) = (&mut self.tokens, tail(token)) {
            tokens.put(tail, Entry { token: token.into(), known: Rc::clone(known), epoch });
        }
    }

    pub(crate) fn forget(&mut self, token: &str) {
        if let (Some(tokens), Some(tail)) = (&mut self.tokens, tail(token)) {
            tokens.pop(&tail);
        }
    }

    /// How many look-ups found a token and how many did not, since the last call.
    pub fn take_counts(&mut self) -> (i64, i64) {
        (std::mem::take(&mut self.hits), std::mem::take(&mut self.misses))
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.tokens.as_ref().map_or(0, LruCache::len)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
impl Known {
    pub(crate) fn of_nobody(provider: usize) -> Rc<Self> {
        Rc::new(Self {
            provider,
            expires_at: 0,
            audiences: Box::default(),
            subject: "s".into(),
            name: "s".into(),
            sayable: true,
            stated: Ok(Box::default()),
            claims: None,
            assertion: RefCell::default(),
        })
    }
}
