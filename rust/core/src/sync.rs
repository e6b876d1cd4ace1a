//! The atomics that the protocol is written with: std's, or loom's when the protocol is model-checked.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Loads a word that stands alone, relaxed.
#[inline]
pub fn relaxed(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}
