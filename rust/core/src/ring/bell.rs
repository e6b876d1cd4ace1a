//! The bell: how the writer wakes sleepers, and makes no system call while nobody sleeps.

use super::handover::settle;
use super::seqlock::{Head, load_head};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// The words through which sleepers announce themselves and the writer wakes them.
///
/// A sleeper: (S1) `f = futex`, Acquire; (S2) `waiters = 1`; (S3) fence, SeqCst; (S4) load the head: if it has changed, do not
/// sleep; (S5) futex wait: sleep, unless the futex is no longer f. The writer, after W5: (B1) fence, SeqCst, which is T2 of
/// [`super::handover`]; (B2) load `waiters`: if it is zero, done; (B3) `waiters = 0`; (B4) futex + 1, Release; (B5) wake all.
///
/// * **A sleeper and the writer cannot miss each other.** One of the fences S3 and B1 comes first in the total order of SeqCst
///   fences. If it is S3, B2 sees S2's store or a later one; if it is B1, S4 sees the new head.
/// * **Clearing the word loses no sleeper.** Say B3 overwrites the mark of a sleeper that waits for a *later* version than this
///   one. B4 follows. If the sleeper's S1 did not see B4, S5 returns at once or B5 wakes it, and it announces itself again. If S1
///   did see B4, S1 synchronises with it, so B3 happens before S2 and overwrites nothing.
/// * **A sleeper that is killed** leaves `waiters = 1`: the next publish clears it and makes one needless system call. A counter
///   would stay wrong for ever.
/// * **A roster that is lost or damaged** (no `waiters`, or somebody clears it): the sleeper wakes at the end of its time slice.
pub struct Bell<'a> {
    /// The head that sleepers wait on.
    pub head: &'a AtomicU64,
    /// The word that they sleep on.
    pub futex: &'a AtomicU32,
    /// Where they announce themselves.
    pub waiters: Option<&'a AtomicU64>,
}

impl Bell<'_> {
    /// S1 to S4. Returns the futex value to sleep on, or `None` if the head is no longer `seen`.
    pub fn prepare(&self, seen: Head) -> Option<u32> {
        let value = self.futex.load(Ordering::Acquire); // partner: `bump`
        if let Some(waiters) = self.waiters {
            waiters.store(1, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst); // partner: `settle`, called by `ring`
        (load_head(self.head) == seen).then_some(value)
    }

    /// B1 to B4, after the head has been stored. Returns whether there is somebody to wake.
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

    /// B4 alone: for the rare events (closing, replacing) that wake everybody, announced or not.
    pub fn bump(&self) {
        self.futex.fetch_add(1, Ordering::Release); // partner: `prepare`; carries B3
    }
}
