//! The bell: how sleepers and the writer find each other without a system call while nobody sleeps.

use super::handover::settle;
use super::seqlock::{Head, load_head};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// The words through which sleepers and the writer find each other.
///
/// A sleeper: (S1) `f = futex`, Acquire; (S2) `waiters = 1`; (S3) fence, SeqCst; (S4) the head: changed? then
/// up again; (S5) sleep, unless the futex is no longer f. The writer, after W5: (B1) fence, SeqCst, which is T2 of
/// [`super::handover`]; (B2) `waiters`: zero? then done; (B3) `waiters = 0`; (B4) futex + 1, Release; (B5) wake all.
///
/// * **Not both overlook each other.** Of the fences S3 and B1 one is first. If S3 is, B2 sees S2's store or
///   a later one; if B1 is, S4 sees the new head.
/// * **Clearing loses nobody.** Say B3 wipes out the mark of a sleeper that waits for a *later* version than
///   this one. B4 follows: if the sleeper's S1 was before it, S5 returns at once, or B5 wakes it, and it
///   announces itself anew. If S1 was after it, S1 synchronises with B4, so B3 is before S2 and wipes out
///   nothing.
/// * **A sleeper that is killed** leaves `waiters = 1`: the next publish makes one spare system call, and
///   clears it. A counter would stay wrong for ever.
/// * **A roster that is lost or spoiled** (no `waiters`, or somebody clears it): the sleeper wakes at the end
///   of its time slice.
pub struct Bell<'a> {
    /// The head that sleepers wait on.
    pub head: &'a AtomicU64,
    /// The word that they sleep on.
    pub futex: &'a AtomicU32,
    /// Where they announce themselves.
    pub waiters: Option<&'a AtomicU64>,
}

impl Bell<'_> {
    /// S1 to S4: the value to sleep on, or `None` if the head is no longer `seen`.
    pub fn prepare(&self, seen: Head) -> Option<u32> {
        let value = self.futex.load(Ordering::Acquire); // partner: `bump`
        if let Some(waiters) = self.waiters {
            waiters.store(1, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst); // partner: `settle`, in `ring`
        (load_head(self.head) == seen).then_some(value)
    }

    /// B1 to B4, after the head has been stored. Whether there is somebody to wake.
    #[inline]
    pub fn ring(&self) -> bool {
        settle(); // partner: `prepare`
        let Some(waiters) = self.waiters else { return false };
        if waiters.load(Ordering::Relaxed) == 0 {
            return false;
        }
        waiters.store(0, Ordering::Relaxed);
        self.bump();
        true
    }

    /// B4 alone: for the rare moments (closing, replacing) at which everybody is to be woken, announced or
    /// not.
    pub fn bump(&self) {
        self.futex.fetch_add(1, Ordering::Release); // partner: `prepare`; carries B3
    }
}
