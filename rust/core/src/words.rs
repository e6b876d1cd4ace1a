//! Words that stand alone, which no ordering has to tie to others.

use crate::sync::{AtomicU64, Ordering, relaxed};

/// Stores a word that stands alone, relaxed: information, or a header that nobody can open yet.
#[inline]
pub fn store_relaxed(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Relaxed);
}

/// Words as lines of eight, and those that are left over at the end; relaxed.
#[inline]
pub(crate) fn load_lines(
    words: &[AtomicU64],
) -> (impl ExactSizeIterator<Item = [u64; 8]> + '_, &[AtomicU64]) {
    let chunks = words.chunks_exact(8);
    let rest = chunks.remainder();
    let line = |words: &[AtomicU64]| std::array::from_fn(|i| relaxed(&words[i]));
    (chunks.map(line), rest)
}

/// A number of this process that only grows. Relaxed: no other memory is reached through it.
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

    /// Adds one; the value after it.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}
