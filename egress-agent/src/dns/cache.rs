//! Filtered answers, by name and type, while their TTL lasts.
//!
//! It belongs to one guard and one policy: what it holds was filtered by that policy, and is
//! thrown away with it.

use std::{num::NonZeroUsize, rc::Rc};

use egress_common::Address;
use lru::LruCache;

use super::{engine::Judged, question::Key, reply::Template};

const ENTRIES: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
const BYTES: usize = 8 << 20;

/// An answer that may be given again.
#[derive(Debug)]
pub(super) struct Cached {
    /// The record type that was asked.
    pub(super) kind: u16,
    pub(super) template: Template,
    pub(super) judged: Rc<Judged>,
    pub(super) addresses: Vec<Address>,
    /// Boot time in nanoseconds.
    pub(super) expires: u64,
    /// The policy only observes; it would have refused this answer for its addresses.
    pub(super) is_private: bool,
}

impl Cached {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.template.weight() + self.addresses.len() * size_of::<Address>()
    }
}

/// The answers, the least recently used first to go.
#[derive(Debug)]
pub(super) struct Cache {
    entries: LruCache<Box<[u8]>, Rc<Cached>, std::hash::RandomState>,
    bytes: usize,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            entries: LruCache::with_hasher(ENTRIES, std::hash::RandomState::new()),
            bytes: 0,
        }
    }

    /// An answer that is not too old.
    pub(super) fn get(&mut self, key: &Key, now: u64) -> Option<Rc<Cached>> {
        let cached = self.entries.get(key.as_bytes())?;
        if now < cached.expires {
            return Some(Rc::clone(cached));
        }
        if let Some(old) = self.entries.pop(key.as_bytes()) {
            self.bytes -= old.weight();
        }
        None
    }

    pub(super) fn insert(&mut self, key: &Key, cached: &Rc<Cached>) {
        self.bytes += cached.weight();
        if let Some((_, old)) = self.entries.push(key.as_bytes().into(), Rc::clone(cached)) {
            self.bytes -= old.weight();
        }
        while self.bytes > BYTES
            && let Some((_, old)) = self.entries.pop_lru()
        {
            self.bytes -= old.weight();
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
