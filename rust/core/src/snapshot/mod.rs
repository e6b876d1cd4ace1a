//! The codec: a snapshot is a *shape* (types, keys, lengths) and its *values* (the leaves).
//!
//! Training information keeps its structure while its numbers change. So the two are stored separately: the shape as a byte
//! string that both sides cache under an id, the values as 64-bit words, and everything without a fixed size (strings, big
//! integers, arrays) as *blobs* behind them:
//!
//! ```text
//! info = {"steps": 7, "lr": 0.5, "tag": "ab", "w": array([1.0, 2.0])}
//!
//! shape    dict 4 │ "steps" int │ "lr" float │ "tag" str │ "w" array "<f8" 1-d
//! values   7      │ 0.5 (bits)  │ 2 (bytes)  │ 2 (length of axis 0)
//! blobs    "ab" at word 0, the array's 16 bytes at word 8 (64-byte aligned)
//! ```
//!
//! A blob's place follows from the lengths in the values, so no offset is ever read from a file. The module knows nothing about
//! Python: events drive [`encode::Encoder`], and [`decode::decode`] drives a visitor.

pub mod blobs;
pub mod cache;
pub mod decode;
pub mod diff;
pub mod encode;
pub mod held;
pub mod history;
mod keys;
pub mod lookup;
pub mod merge;
pub mod nesting;
pub mod payload;
pub mod recent;
pub mod shape;
pub mod view;
pub mod wire;

pub use held::{SegmentKey, SlotMeta, Snapshot};
pub use payload::{Payload, PlacedBlob};

/// Deepest nesting of containers; the root dictionary is at depth 1.
pub const MAX_DEPTH: usize = 64;

/// Alignment of array blobs, in words: 64 bytes, a cache line, enough for any dtype and for SIMD.
pub const ARRAY_ALIGN_WORDS: usize = 8;

/// Number of words that `bytes` bytes take.
#[inline]
pub const fn words_for(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

/// `bytes` as little-endian words, the last one zero-padded.
pub fn to_words(bytes: &[u8]) -> Vec<u64> {
    let mut out = Vec::new();
    put_words(&mut out, bytes);
    out
}

/// The same, into `out`, whose content is replaced.
fn put_words(out: &mut Vec<u64>, bytes: &[u8]) {
    let (words, tail) = bytes.as_chunks::<8>();
    out.clear();
    out.reserve(words_for(bytes.len()));
    out.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        out.push(u64::from_le_bytes(last));
    }
}

/// The first `len` bytes of `words`, or all of them if they are fewer.
pub fn to_bytes(words: &[u64], len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    extend_bytes(&mut bytes, words, len);
    bytes
}

/// Appends the first `len` bytes of `words`, as [`to_bytes`] does.
fn extend_bytes(bytes: &mut Vec<u8>, words: &[u64], len: usize) {
    let words = &words[..words_for(len).min(words.len())];
    let end = bytes.len() + len;
    bytes.reserve(words.len() * 8);
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(end);
}
