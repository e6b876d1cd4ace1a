//! How a writer that lost its lock unnoticed finds out that another one has taken its channel.
//!
//! The kernel's lock decides who writes, but a process can lose it without a word: any close of the lock file in the
//! process drops it. Then, for a moment, two processes hold the file for theirs. The newcomer never stores a snapshot
//! into it. It counts one word up, *taken*, and goes on in a file of its own.
//!
//! The old writer, at each publish: (T1) `taken`, relaxed: another number than when it began? then it asks the kernel who the
//! owner is, instead of publishing; W1 to W5 of [`super::seqlock`]; (T2) fence, SeqCst; (T3) `taken` once more, relaxed: another
//! number? then it marks the file as superseded. The newcomer, once: (N1) `taken + 1`, relaxed; (N2) fence, SeqCst; (N3) the
//! head. When it has a file of its own: (N4) it marks the old one.
//!
//! * **At most one snapshot comes after N3.** Say N3 found position p, and the old writer announces k > p. Of the fences
//!   N2 and T2 of k one is first. It is N2, since otherwise N3 would have found k or a later one. So T1 of the next
//!   publish, which comes after T2 of k, sees `taken`: k is the last.
//! * **The mark stays.** W5 stores the head without marks, and may wipe out N4. Then N4 precedes W5 in the order of the head's
//!   values. T2 is not before N2, since then N3 and N4, which come after N2, would have found W5's value. So N2 is before T2, and
//!   T3 sees `taken`: the old writer sets the mark again.
//! * **Nothing the old writer does wipes `taken` out**: only newcomers write it, and each gets a number of its own. So one of
//!   several newcomers can tell that it was not the last, and no two number their snapshots alike.
//! * **One file, one writer, also without room for a second file.** A newcomer that would store into the file itself has N1 and
//!   N2 before it asks whether the writer of the file is dead; it signs the file, (T2), and then looks at `taken`. Of two of them,
//!   one's fence comes first: the other finds it signed by a living process, or the first finds that it was not the last.

use crate::sync::{AtomicU64, Ordering, fence};

use super::seqlock::{Head, load_head};

/// T1 and T3: whether another writer has taken the file since `own`, which is 0 for the writer that made it.
#[inline]
pub fn is_taken(taken: &AtomicU64, own: u64) -> bool {
    taken.load(Ordering::Relaxed) != own
}

/// T2, after each head that was stored.
#[inline]
pub fn settle() {
    fence(Ordering::SeqCst); // partner: `take`
}

/// N1 to N3: takes the file. Gives the number of this newcomer, from 1, and the newest position: the writer that was there
/// stores at most one more.
pub fn take(taken: &AtomicU64, head: &AtomicU64) -> (u64, Head) {
    let own = taken.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    fence(Ordering::SeqCst); // partner: `settle`
    (own, load_head(head))
}
