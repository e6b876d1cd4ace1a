//! Long copies to and from shared memory.
#![allow(unsafe_code, reason = "a few instructions that copy words, and vectors that they fill")]

use crate::layout::WORD;
use crate::sync::{AtomicU64, relaxed};
use crate::words::load_lines;

/// Copies to or from shared memory use [`copy_words`] from this many words on: below, its start-up costs more than it saves.
pub const BULK_WORDS: usize =
    if cfg!(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))) { 256 } else { usize::MAX };

/// Copies words several times as fast as one atomic access after the other, which is what the compiler makes of a loop.
///
/// To the compiler, the assembly is an opaque block. We may think of it as a sequence of relaxed atomic loads and stores of
/// words, in any order, because that is what the processors make of it:
///
/// - x86-64, one string instruction: each aligned word is loaded or stored as a whole, in any order within the instruction, and
///   before the accesses that follow it in the program (Intel SDM vol. 3, "Memory-Ordering Model for String Operations on
///   Write-Back Memory": data by string operations, then a discrete semaphore).
/// - AArch64, pairs of general registers: each half of a pair is an access of its own, single-copy atomic because it is aligned
///   to eight bytes, and unordered with the others (Arm ARM, B2.2 "Atomicity in the Arm architecture": loads and stores of a pair
///   are two such accesses). These are plain loads and stores, so the barriers on both sides order them: the writer's `DMB ISH`
///   and `STLR`, the reader's `DMB ISHLD`. libc's `memcpy` would not do: it may use the memory-copy instructions (FEAT_MOPS),
///   which promise nothing about words, or overlapping and unaligned accesses at the ends. Nor would pairs with the non-temporal
///   hint (`LDNP`), which have weaker ordering.
///
/// # Safety
/// `words` words must be readable at `from` and writable at `to`. The two ranges must not overlap.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_words(from: *const u64, to: *mut u64, words: usize) {
    // SAFETY: as the caller guarantees; the ABI keeps the direction flag clear.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
}

/// # Safety
/// As above.
#[cfg(all(target_arch = "aarch64", not(miri)))]
unsafe fn copy_words(mut from: *const u64, mut to: *mut u64, words: usize) {
    let (lines, rest) = (words / 8, words % 8);
    if lines > 0 {
        // SAFETY: as the caller guarantees; the loop copies `lines` lines of eight words, which are no more than `words`.
        unsafe {
            std::arch::asm!(
                "2:",
                "ldp {a}, {b}, [{from}]",
                "ldp {c}, {d}, [{from}, #16]",
                "ldp {e}, {f}, [{from}, #32]",
                "ldp {g}, {h}, [{from}, #48]",
                "add {from}, {from}, #64",
                "stp {a}, {b}, [{to}]",
                "stp {c}, {d}, [{to}, #16]",
                "stp {e}, {f}, [{to}, #32]",
                "stp {g}, {h}, [{to}, #48]",
                "add {to}, {to}, #64",
                "sub {lines}, {lines}, #1",
                "cbnz {lines}, 2b",
                from = inout(reg) from, to = inout(reg) to, lines = inout(reg) lines => _,
                a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
                e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
                options(nostack, preserves_flags)
            );
        }
    }
    for _ in 0..rest {
        // SAFETY: as the caller guarantees; `rest` words are left.
        unsafe {
            std::arch::asm!(
                "ldr {word}, [{from}], #8",
                "str {word}, [{to}], #8",
                from = inout(reg) from, to = inout(reg) to, word = out(reg) _,
                options(nostack, preserves_flags)
            );
        }
    }
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
unsafe fn copy_words(_from: *const u64, _to: *mut u64, _words: usize) {
    unreachable!("BULK_WORDS is out of reach");
}

/// Stores at least [`BULK_WORDS`] words, relaxed.
pub fn store_words(to: &[AtomicU64], from: &[[u8; WORD]]) {
    assert!(to.len() >= from.len());
    // SAFETY: the length is checked above. Shared memory is only ever borrowed as atomics, so `from` is other memory.
    unsafe { copy_words(from.as_ptr().cast(), to.as_ptr().cast_mut().cast(), from.len()) }
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// The copied blobs of a snapshot, 64-byte-aligned, so that arrays can be views into it.
#[derive(Clone, Debug, Default)]
pub struct BlobBuffer {
    lines: Vec<Line>,
    words: usize,
}

impl BlobBuffer {
    /// Replaces the content with a copy of words that others may be changing: the caller has to check the copy.
    #[inline]
    pub fn refill(&mut self, words: &[AtomicU64]) {
        self.words = words.len();
        self.lines.clear();
        self.lines.reserve_exact(words.len().div_ceil(8));
        let (whole, rest) = words.split_at(words.len() / 8 * 8);
        if whole.len() >= BULK_WORDS {
            // SAFETY: there is room for all lines, and a Line is eight words. The copy initializes the whole lines, and only they
            // count after `set_len`.
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
        // SAFETY: a Line is eight words without padding, and `refill` has stored `self.words / 8` lines, rounded up.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.words) }
    }

    /// The content as bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the same memory as `words`; any byte is a u8.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.words * WORD) }
    }
}
