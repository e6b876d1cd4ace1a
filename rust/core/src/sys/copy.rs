//! Long copies to and from shared memory.
#![allow(unsafe_code, reason = "one instruction that copies words, and vectors that it fills")]

use crate::layout::WORD;
use crate::sync::{AtomicU64, relaxed};
use crate::words::load_lines;

/// From how many words on a copy to or from shared memory is left to [`copy_words`]: below, its start costs
/// more than it saves.
pub const BULK_WORDS: usize = if cfg!(all(target_arch = "x86_64", not(miri))) { 256 } else { usize::MAX };

/// Copies words by one string instruction, several times as fast as one word at a time, which is how the
/// compiler translates atomics.
///
/// The compiler takes the instruction for an opaque block, which may do whatever such a block can do: a row of relaxed atomic
/// loads or stores of words, for example. That is what x86 makes of it: each aligned word is loaded or stored at once, in any
/// order within the instruction, and before what follows it in the program (Intel SDM vol. 3, "Memory-Ordering Model for String
/// Operations on Write-Back Memory": data by string operations, then a discrete semaphore).
///
/// # Safety
/// `words` words must be readable at `from` and writable at `to`, and not overlap.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_words(from: *const u64, to: *mut u64, words: usize) {
    // SAFETY: the caller's; the direction flag is clear, as the ABI has it.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn copy_words(_from: *const u64, _to: *mut u64, _words: usize) {
    unreachable!("BULK_WORDS is out of reach");
}

/// Stores at least [`BULK_WORDS`] words, relaxed.
pub fn store_words(to: &[AtomicU64], from: &[[u8; WORD]]) {
    assert!(to.len() >= from.len());
    // SAFETY: checked above; shared memory is only ever borrowed as atomics, so `from` is other memory.
    unsafe { copy_words(from.as_ptr().cast(), to.as_ptr().cast_mut().cast(), from.len()) }
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// The copied blobs of a snapshot, 64-byte-aligned, so that arrays can be views on it.
#[derive(Clone, Debug, Default)]
pub struct BlobBuffer {
    lines: Vec<Line>,
    words: usize,
}

impl BlobBuffer {
    /// Replaces the content by a copy of words that others may be changing: what they hold is for the caller
    /// to check.
    #[inline]
    pub fn refill(&mut self, words: &[AtomicU64]) {
        self.words = words.len();
        self.lines.clear();
        self.lines.reserve_exact(words.len().div_ceil(8));
        let (whole, rest) = words.split_at(words.len() / 8 * 8);
        if whole.len() >= BULK_WORDS {
            // SAFETY: room for all lines was reserved, and a Line is eight words; the copy fills the whole
            // ones.
            unsafe {
                copy_words(whole.as_ptr().cast(), self.lines.as_mut_ptr().cast(), whole.len());
                self.lines.set_len(whole.len() / 8);
            }
        } else {
            self.lines.extend(load_lines(whole).0.map(Line));
        }
        if !rest.is_empty() {
            let mut last = Line([0; 8]);
            for (to, from) in last.0.iter_mut().zip(rest) {
                *to = relaxed(from);
            }
            self.lines.push(last);
        }
    }

    /// Words that can be held without allocating.
    pub fn capacity(&self) -> usize {
        self.lines.capacity() * 8
    }

    /// The content.
    #[inline]
    pub fn words(&self) -> &[u64] {
        // SAFETY: a Line is eight words without padding; there are at least self.words / 8 lines, rounded up.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.words) }
    }

    /// The content as bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the same memory as `words`; any byte is a u8.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.words * WORD) }
    }
}
