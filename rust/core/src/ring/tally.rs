//! A row of counters with one writer, which may be killed at any moment, and any number of readers, which never wait.
//!
//! A row is a *seq* word and two copies of the counters. The seq counts the writes; its lowest bit says which copy is current.
//! The writer prepares the other one.
//!
//! Writing, by the one writer:
//!
//! 1. fence, Release;
//! 2. the copy that is not current, relaxed;
//! 3. `seq + 1`, Release.
//!
//! Reading, by anyone:
//!
//! 1. `s = seq`, Acquire;
//! 2. copy `s & 1`, relaxed;
//! 3. fence, Acquire;
//! 4. `seq`, relaxed: if it is still `s`, the copy is that of write `s`, whole.
//!
//! The cases:
//!
//! * **A. Nothing older is read.** R1 synchronises with W3 of write s, so R2 returns its words or later ones.
//! * **B. Nothing newer is returned as s.** The next write to store into the same copy is s+2, in its W2, after its fence W1,
//!   which comes after W3 of write s+1. If R2 returned such a word, the fences W1 and R3 synchronise and R4 sees `seq = s+1` or
//!   later: not `s`.
//! * **C. The writer is killed, or stopped, after any step before W3.** The seq still says s, and the copy of s is untouched.
//!   What the writer was about to add is missing as a whole, and no reader waits for it.
//! * **D. Another writer goes on in the row of a dead one.** It gets the dead one's lock from the kernel, after all stores of the
//!   dead one. It goes on from the current copy and overwrites a half-written other copy.
//! * **E. The seq never comes back**: it only grows, so there is no ABA problem.

use crate::sync::{AtomicU64, Ordering, fence};

/// How often a reader tries while the writer keeps writing this row: each failure takes at least one write.
const MAX_TRIES: u32 = 1 << 16;

/// One row, whose copies have `WORDS` words each.
#[derive(Clone, Copy)]
pub struct Row<'a, const WORDS: usize> {
    seq: &'a AtomicU64,
    copies: &'a [AtomicU64],
}

impl<'a, const WORDS: usize> Row<'a, WORDS> {
    /// A row over its seq and its two copies, which are adjacent.
    #[inline]
    pub fn new(seq: &'a AtomicU64, copies: &'a [AtomicU64]) -> Self {
        debug_assert!(copies.len() == 2 * WORDS);
        Self { seq, copies }
    }

    /// How often it was written. Relaxed: it only tells a caller whether to read, and [`Row::read`] orders its own loads.
    #[inline]
    pub fn written(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    #[inline]
    fn copy(&self, seq: u64) -> &'a [AtomicU64] {
        let start = (seq & 1) as usize * WORDS;
        &self.copies[start..start + WORDS]
    }

    /// The number of writes, and the counters after them. `None` if the writer interfered with every attempt.
    #[inline]
    pub fn read(&self) -> Option<(u64, [u64; WORDS])> {
        for _ in 0..MAX_TRIES {
            // R1. Partner: W3.
            let seq = self.seq.load(Ordering::Acquire);
            let copy = self.copy(seq);
            let words = std::array::from_fn(|i| copy[i].load(Ordering::Relaxed));
            // R3. Partner: W1 (case B).
            fence(Ordering::Acquire);
            if self.seq.load(Ordering::Relaxed) == seq {
                return Some((seq, words));
            }
        }
        None
    }

    /// How often it was written, and its counters, for the one writer. Only the writer changes the row, so its own loads need no
    /// ordering.
    #[inline]
    pub fn own(&self) -> (u64, [u64; WORDS]) {
        let seq = self.seq.load(Ordering::Relaxed);
        let copy = self.copy(seq);
        (seq, std::array::from_fn(|i| copy[i].load(Ordering::Relaxed)))
    }

    /// Prepares new counters; [`Prepared::count`] then makes them current, in one step for all readers. `seq` comes from
    /// [`Row::own`]. This function does not load it itself: loom explores too few orders of a word that one thread both loads and
    /// stores.
    #[inline]
    pub fn prepare(&self, seq: u64, words: &[u64; WORDS]) -> Prepared<'a> {
        // W1. Partner: R3. A reader that sees one of the words below must also see the seq of the previous write.
        fence(Ordering::Release);
        let next = seq.wrapping_add(1);
        for (word, value) in self.copy(next).iter().zip(words) {
            word.store(*value, Ordering::Relaxed);
        }
        Prepared { seq: self.seq, next }
    }
}

/// Counters that are in the file but not current yet.
#[must_use]
pub struct Prepared<'a> {
    seq: &'a AtomicU64,
    next: u64,
}

impl Prepared<'_> {
    /// Makes them current.
    #[inline]
    pub fn count(self) {
        // W3. Partner: R1.
        self.seq.store(self.next, Ordering::Release);
    }
}
