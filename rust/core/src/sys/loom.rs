//! The replacement of `sys` under loom, which knows neither files nor assembly.

use crate::layout::WORD;
use crate::sync::{AtomicU64, Ordering};

/// Small enough for a model to reach the bulk copy, and large enough for it to reach the other two paths: rows of eight, and
/// single words.
pub const BULK_WORDS: usize = 10;

/// Like the string instruction: each word as a whole, relaxed, in no particular order. Here, the last word first.
pub fn store_words(to: &[AtomicU64], from: &[[u8; WORD]]) {
    for (to, from) in to.iter().zip(from).rev() {
        to.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
    }
}
