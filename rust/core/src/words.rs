//! Words that stand alone: no memory ordering ties them to others.

use crate::sync::{AtomicU64, Ordering, relaxed};

/// Stores a word that stands alone, relaxed: for information only, or in a file that has no name yet.
#[inline]
pub fn store_relaxed(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Relaxed);
}

/// Loads words in lines of eight, relaxed. Also returns the words that are left over at the end.
#[inline]
pub(crate) fn load_lines(
    words: &[AtomicU64],
) -> (impl ExactSizeIterator<Item = [u64; 8]> + '_, &[AtomicU64]) {
    let chunks = words.chunks_exact(8);
    let rest = chunks.remainder();
    let line = |words: &[AtomicU64]| std::array::from_fn(|i| relaxed(&words[i]));
    (chunks.map(line), rest)
}

/// A process-wide counter that only grows. Relaxed: it publishes no other memory.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Starts at zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Its value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one and returns the new value.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}
