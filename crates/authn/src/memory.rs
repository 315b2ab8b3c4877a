//! What a worker remembers of the tokens that it verified. Only verified ones enter, so filling it up takes valid
//! tokens; each is found by its whole text, so no two are taken for one another.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::statement::Set;
use crate::verify::VerifiedClaims;

/// The verified tokens of one worker, by provider.
pub struct Memory {
    caches: Vec<Option<LruCache<Box<str>, Entry>>>,
    hits: i64,
    misses: i64,
}

struct Entry {
    known: Rc<Known>,
    /// The provider's keys as of the verification.
    epoch: u64,
}

/// A verified token, and what the upstream was last told about it.
pub(crate) struct Known {
    pub(crate) verified: VerifiedClaims,
    pub(crate) statement: RefCell<Option<Statement>>,
}

/// What the upstream is told, until it has to be signed anew.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) set: Rc<Set>,
    /// Unix seconds.
    pub(crate) renew_at: u64,
}

impl Known {
    pub(crate) fn new(verified: VerifiedClaims) -> Rc<Self> {
        Rc::new(Self { verified, statement: RefCell::new(None) })
    }
}

impl Memory {
    /// An empty memory for these providers.
    pub fn new(providers: &[Provider]) -> Self {
        let cache = |provider: &Provider| NonZeroUsize::new(provider.remembered).map(LruCache::new);
        Self { caches: providers.iter().map(cache).collect(), hits: 0, misses: 0 }
    }

    /// The token, if it was verified with the keys of this epoch. One that has expired is forgotten and refused.
    pub(crate) fn recall(
        &mut self,
        provider: usize,
        token: &str,
        epoch: u64,
        expired: impl Fn(&VerifiedClaims) -> bool,
    ) -> Option<Result<Rc<Known>, Refusal>> {
        let cache = self.caches.get_mut(provider)?.as_mut()?;
        let Some(entry) = cache.get(token) else {
            self.misses = self.misses.saturating_add(1);
            return None;
        };
        if entry.epoch != epoch {
            cache.pop(token);
            self.misses = self.misses.saturating_add(1);
            return None;
        }
        self.hits = self.hits.saturating_add(1);
        if expired(&entry.known.verified) {
            cache.pop(token);
            return Some(Err(Refusal::Expired));
        }
        Some(Ok(Rc::clone(&entry.known)))
    }

    pub(crate) fn remember(&mut self, provider: usize, token: &str, epoch: u64, known: &Rc<Known>) {
        if let Some(Some(cache)) = self.caches.get_mut(provider) {
            cache.put(token.into(), Entry { known: Rc::clone(known), epoch });
        }
    }

    /// How many look-ups found a token and how many did not, since the last call.
    pub fn take_counts(&mut self) -> (i64, i64) {
        (std::mem::take(&mut self.hits), std::mem::take(&mut self.misses))
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.caches.iter().flatten().map(LruCache::len).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
