//! What takes the place of `sys` under loom, which knows neither files nor assembly.

use crate::layout::WORD;
use crate::sync::{AtomicU64, Ordering};

/// So few that a model takes the long way too, and so many that it takes the others: rows of eight, and single words.
pub const BULK_WORDS: usize = 10;

/// As the string instruction does it: each word at once, relaxed, in no order that one may count on. Last to first.
pub fn store_words(to: &[AtomicU64], from: &[[u8; WORD]]) {
    for (to, from) in to.iter().zip(from).rev() {
        to.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
    }
}
