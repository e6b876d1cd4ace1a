//! How a writer that lost its lock without noticing finds out that another writer has taken its channel.
//!
//! The kernel's lock decides who writes, but a process can lose it silently: any close of the lock file in the process drops it.
//! Then, for a moment, two processes believe that they own the file. The newcomer never stores a snapshot into it. It increments
//! one word, *taken*, and goes on in a file of its own.
//!
//! The old writer, at each publish: (T1) load `taken`, relaxed: if it has changed since this writer began, give up the channel
//! instead of publishing; W1 to W5 of [`super::seqlock`]; (T2) fence, SeqCst; (T3) load `taken` again, relaxed: if it has
//! changed, mark the file as superseded. The newcomer, once: (N1) `taken + 1`, relaxed; (N2) fence, SeqCst; (N3) load the head.
//! Once it has a file of its own: (N4) mark the old one.
//!
//! * **At most one snapshot comes after N3.** Say N3 found position p, and the old writer announces k > p. One of the two fences,
//!   N2 and T2 of k, comes first. It is N2: otherwise N3 would have found k or a later position. So T1 of the next publish, which
//!   comes after T2 of k, sees N1: k is the last.
//! * **The mark stays.** W5 stores the head without marks and may overwrite N4's mark. Then N4 precedes W5 in the modification
//!   order of the head. T2 does not come before N2: if it did, N3 and N4, which follow N2, would have found W5's value. So N2
//!   comes before T2, and T3 sees N1: the old writer sets the mark again.
//! * **The old writer cannot overwrite `taken`**: only newcomers write it, by an increment that gives each a number of its own.
//!   So each of several newcomers can tell whether it was the last, and no two of them publish under the same epoch.
//! * **One file has one writer, even without room for a second file.** A newcomer that has to store into the file itself executes
//!   N1 and N2 before it asks whether the file's writer is dead. Then it signs the file, executes T2, and loads `taken` again.
//!   Take two such newcomers, A and B. If T2 of A comes before N2 of B, B finds the file signed by a living process. Otherwise A
//!   sees N1 of B in `taken` and finds that it was not the last.

use crate::sync::{AtomicU64, Ordering, fence};

use super::seqlock::{Head, load_head};

/// T1 and T3: whether another writer has taken the file since the newcomer with the number `own`; 0 is the writer that made it.
#[inline]
pub fn is_taken(taken: &AtomicU64, own: u64) -> bool {
    taken.load(Ordering::Relaxed) != own
}

/// T2, after each store of the head.
#[inline]
pub fn settle() {
    fence(Ordering::SeqCst); // partner: `take`
}

/// N1 to N3: takes the file. Returns the number of this newcomer, from 1, and the head: the writer before stores at most one more
/// snapshot.
pub fn take(taken: &AtomicU64, head: &AtomicU64) -> (u64, Head) {
    let own = taken.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    fence(Ordering::SeqCst); // partner: `settle`
    (own, load_head(head))
}
