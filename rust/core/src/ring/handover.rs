//! How a writer that lost its lock unnoticed finds out that another one has taken its channel.
//!
//! The kernel's lock decides who writes, but a process can lose it without a word: any close of the lock file in the
//! process drops it. Then, for a moment, two processes hold the file for theirs. The newcomer never stores a snapshot
//! into it. It sets one word, *taken*, and goes on in a file of its own.
//!
//! The old writer, at each publish: (T1) `taken`, relaxed: set? then it asks the kernel who the owner is, instead of
//! publishing; W1 to W5 of [`super::seqlock`]; (T2) fence, SeqCst. The newcomer, once: (N1) `taken = 1`, relaxed; (N2)
//! fence, SeqCst; (N3) the head.
//!
//! * **At most one snapshot comes after N3.** Say N3 found position p, and the old writer announces k > p. Of the fences
//!   N2 and T2 of k one is first. It is N2, since otherwise N3 would have found k or a later one. So T1 of the next
//!   publish, which comes after T2 of k, sees `taken`: k is the last.
//! * **Nothing the old writer does wipes the word out**: only newcomers write it.

use crate::sync::{AtomicU64, Ordering, fence};

use super::seqlock::{Head, load_head};

/// T1: whether another writer has taken the file.
#[inline]
pub fn is_taken(taken: &AtomicU64) -> bool {
    taken.load(Ordering::Relaxed) != 0
}

/// T2, after each head that was stored.
#[inline]
pub fn settle() {
    fence(Ordering::SeqCst); // partner: `take`
}

/// N1 to N3: takes the file, and gives the newest position in it. The writer that was there stores at most one more.
pub fn take(taken: &AtomicU64, head: &AtomicU64) -> Head {
    taken.store(1, Ordering::Relaxed);
    fence(Ordering::SeqCst); // partner: `settle`
    load_head(head)
}
