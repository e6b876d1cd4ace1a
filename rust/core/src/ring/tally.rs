//! A row of counters with one writer, who may be killed at any moment, and any number of readers, who never wait.
//!
//! A row is a *seq* word and two copies of the counters. The seq says how often the row was written, and its lowest bit which
//! copy counts; the other one is the writer's to prepare.
//!
//! Writing, by the one writer:
//!
//! 1. fence, Release;
//! 2. the copy that does not count: relaxed;
//! 3. `seq + 1`, Release.
//!
//! Reading, by anyone:
//!
//! 1. `s = seq`, Acquire;
//! 2. copy `s & 1`, relaxed;
//! 3. fence, Acquire;
//! 4. `seq`, relaxed: still `s` means that the copy is that of write `s`, whole.
//!
//! The cases:
//!
//! * **A. Nothing older.** R1 synchronises with W3 of write s, so R2 returns its words or later ones.
//! * **B. Nothing newer is taken for it.** The same copy is next stored to by write s+2, in W2, after the fence W1, which comes
//!   after W3 of write s+1. If R2 returned such a word, fence W1 and fence R3 make `seq = s+1` visible to R4: not `s`.
//! * **C. The writer is killed, or stopped, after any step before W3.** The seq says s, whose copy it has not touched. What it was
//!   about to add is absent as a whole, and a reader does not wait for it.
//! * **D. Another writer goes on in the row of a dead one.** The kernel tells it of the death, after all stores of the dead one. It
//!   goes on from the copy that counts; half a copy beside it is overwritten.
//! * **E. The seq never comes back**: it only grows.

use crate::sync::{AtomicU64, Ordering, fence};

/// How often a reader tries again while the writer writes this very row: each time is two writes of the writer's.
const MAX_TRIES: u32 = 1 << 16;

/// One row, with copies of so many words.
#[derive(Clone, Copy)]
pub struct Row<'a, const WORDS: usize> {
    seq: &'a AtomicU64,
    copies: &'a [AtomicU64],
}

impl<'a, const WORDS: usize> Row<'a, WORDS> {
    /// A row over its seq and its two copies, one behind the other.
    #[inline]
    pub fn new(seq: &'a AtomicU64, copies: &'a [AtomicU64]) -> Self {
        debug_assert!(copies.len() == 2 * WORDS);
        Self { seq, copies }
    }

    /// How often it was written. Relaxed, for who only wants to know whether to read: what [`Row::read`] finds is ordered by
    /// itself.
    #[inline]
    pub fn written(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    #[inline]
    fn copy(&self, seq: u64) -> &'a [AtomicU64] {
        let start = (seq & 1) as usize * WORDS;
        &self.copies[start..start + WORDS]
    }

    /// The counters after a whole number of writes, and that number. `None` if the writer overtook every attempt.
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

    /// How often it was written and its counters, for the one writer, which alone changes the row: its own loads need no ordering.
    #[inline]
    pub fn own(&self) -> (u64, [u64; WORDS]) {
        let seq = self.seq.load(Ordering::Relaxed);
        let copy = self.copy(seq);
        (seq, std::array::from_fn(|i| copy[i].load(Ordering::Relaxed)))
    }

    /// Prepares other counters, which [`Prepared::count`] then makes those of the row, as one step for all readers. `seq` is what
    /// [`Row::own`] says. It does not load that itself: of a word that one thread loads and stores, loom tries too few orders.
    #[inline]
    pub fn prepare(&self, seq: u64, words: &[u64; WORDS]) -> Prepared<'a> {
        // W1. Partner: R3. It orders the seq of the write before, which a reader must see that meets one of these words.
        fence(Ordering::Release);
        let next = seq.wrapping_add(1);
        for (word, value) in self.copy(next).iter().zip(words) {
            word.store(*value, Ordering::Relaxed);
        }
        Prepared { seq: self.seq, next }
    }
}

/// Counters that lie in the file, and do not count yet.
#[must_use]
pub struct Prepared<'a> {
    seq: &'a AtomicU64,
    next: u64,
}

impl Prepared<'_> {
    /// Makes them count.
    #[inline]
    pub fn count(self) {
        // W3. Partner: R1.
        self.seq.store(self.next, Ordering::Release);
    }
}
