//! The protocol: a ring of sequence-locked slots, and the bell that wakes sleepers. The only file with
//! `Ordering`.
//!
//! Three kinds of words: the *head* (which version is newest, and whether the file is at its end), each
//! slot's *seq*, and the slots' payload, which readers and the writer may touch at the same time. All are
//! atomics, the payload too: relaxed loads and stores of whole words are defined behaviour, and compile to
//! plain moves. (Long runs of bytes are moved by one instruction instead: `sys::copy_words` says why
//! that is the same.)
//!
//! Publishing version v, by the one writer, into slot v mod n (n ≥ 2):
//!
//! 1. `seq = 2v+1`, Release;
//! 2. fence, Release;
//! 3. payload, relaxed;
//! 4. `seq = 2v+2`, relaxed;
//! 5. `head = v`, Release.
//!
//! Reading, by anyone:
//!
//! 1. `v = head`, Acquire;
//! 2. payload of slot v mod n, relaxed;
//! 3. fence, Acquire;
//! 4. `seq`, relaxed: `2v+2` means that what was copied is version v, whole.
//!
//! The cases, for a reader that has loaded `head = v`:
//!
//! * **A. Nothing older than v is read.** R1 synchronises with W5 of v, so that every store of v's
//!   publication happens before R2: by coherence a payload load returns v's word or a later one, and R4
//!   returns `2v+2` or a later value.
//! * **B. Nothing newer than v is taken for v.** Say R2 returned a word of version w > v, which lies in the
//!   same slot, so w ≥ v+n. The word was stored in W3 of w, after the fence W2; R2's load is followed by the
//!   fence R3. Fence to fence, W1 of w happens before R4, which therefore returns `2w+1` or later: not
//!   `2v+2`.
//! * **C. A mismatch means that the writer has gone round.** R4 returned a value later than `2v+2`, stored in
//!   W1 or W4 of some w ≥ v+n. W1 is a Release store, and between W1 and W4 lies the Release fence W2: the
//!   Acquire fence after the mismatch ([`Ring::read`]) synchronises with either. So all that comes before W1
//!   of w is visible, `head = w-1` among it, and w-1 ≥ v+n-1 > v: a reload of the head *must* show a newer
//!   version. If it does not, no writer did this: the file is damaged, and the reader says so instead of
//!   trying for ever.
//! * **D. The writer dies after any step before W5.** Head still says v-1, whose slot is another one (n ≥ 2),
//!   complete. Nobody looks at the odd or unannounced slot.
//! * **E. The next writer publishes v again**, into that same slot, with the same seq values. A reader that
//!   wants v has loaded `head = v`, which only the second writer stored: case A holds with its stores. A
//!   reader of v-n sees `2v+1` or `2v+2` of either writer: a mismatch, and case C holds since both wrote them
//!   after `head = v-1`.
//! * **F. Versions never come back**: within a file they only grow, so seq has no ABA.
//!
//! Seq values that are not of this file's writers, and lengths that make no sense, are for the caller of
//! [`Ring::read`]: it gets words, and trusts none.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// The word that readers watch: `version << 2 | superseded << 1 | closed`. One load tells a reader
/// everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head(u64);

impl Head {
    /// The writer has finished with the channel.
    pub const CLOSED: u64 = 1;
    /// A bigger or newer file stands, or is about to stand, under the channel's name.
    pub const SUPERSEDED: u64 = 2;
    /// Largest version: `2v+2` and `v << 2` must fit. At 10⁹ publishes per second it lasts 36 years.
    pub const MAX_VERSION: u64 = (1 << 60) - 1;

    /// From the word in the file.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The plain word of a version, without a mark.
    #[inline]
    pub const fn of(version: u64) -> Self {
        Self(version << 2)
    }

    /// The word in the file.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The newest version, 0 before the first.
    #[inline]
    pub const fn version(self) -> u64 {
        self.0 >> 2
    }

    /// Whether the writer has finished.
    #[inline]
    pub const fn closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    /// Whether the name should be looked up again.
    #[inline]
    pub const fn superseded(self) -> bool {
        self.0 & Self::SUPERSEDED != 0
    }

    /// Closed or superseded: there may be a successor.
    #[inline]
    pub const fn ended(self) -> bool {
        self.0 & (Self::CLOSED | Self::SUPERSEDED) != 0
    }
}

/// Loads the head.
///
/// Acquire: partner of the Release in [`RingWriter::announce`] (R1, case A). Also the whole of an unchanged
/// read.
#[inline]
pub fn load_head(word: &AtomicU64) -> Head {
    Head(word.load(Ordering::Acquire))
}

/// A slot did not hold the version that the head names, and no writer was at work: the file is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damaged {
    /// The version that was wanted.
    pub version: u64,
    /// The slot's seq.
    pub seq: u64,
}

/// How often a copy is tried again after the writer went round the ring during it. Each lap is `n` whole
/// publications, so only a reader that is stopped again and again gets near; a file whose head somebody spins
/// forward ends here.
const MAX_LAPS: u32 = 4096;

/// The readers' view of the ring: it only loads.
#[derive(Clone, Copy)]
pub struct Ring<'a> {
    head: &'a AtomicU64,
    slots: &'a [AtomicU64],
    stride: usize,
    mask: u64,
}

impl<'a> Ring<'a> {
    /// A ring of `count` slots, a power of two and at least 2 (case D), which share `slots` evenly.
    #[inline]
    pub fn new(head: &'a AtomicU64, slots: &'a [AtomicU64], count: usize) -> Self {
        debug_assert!(count.is_power_of_two() && count >= 2);
        Self { head, slots, stride: slots.len() / count, mask: count as u64 - 1 }
    }

    /// The newest version and the marks.
    #[inline]
    pub fn head(&self) -> Head {
        load_head(self.head)
    }

    /// The slot of a version.
    #[inline]
    fn slot(&self, version: u64) -> Slot<'a> {
        let start = (version & self.mask) as usize * self.stride;
        Slot { words: &self.slots[start..start + self.stride] }
    }

    /// Copies the newest version by means of `copy`, again if the writer went round meanwhile. `copy` may see
    /// words of several versions: it must check what it uses, and its result counts only when this
    /// function returns it. Gives the number of laps too.
    ///
    /// # Errors
    /// [`Damaged`] if the slot does not hold what the head says (case C).
    #[inline]
    pub fn read<T>(&self, mut copy: impl FnMut(u64, Slot<'a>) -> T) -> Result<(Head, T, u32), Damaged> {
        let mut head = self.head();
        let mut laps = 0;
        loop {
            let version = head.version();
            let slot = self.slot(version);
            let complete = complete(version);
            // Not needed for the proof, whence relaxed: it spares the copy of a slot that is already being
            // rewritten.
            let mut seq = slot.words[SEQ].load(Ordering::Relaxed);
            if seq == complete {
                let copied = copy(version, slot);
                // R3. Partner: the Release fence of `RingWriter::begin` (case B).
                fence(Ordering::Acquire);
                // R4. Relaxed: the fence above orders it behind the copy, and nothing is read after it.
                seq = slot.words[SEQ].load(Ordering::Relaxed);
                if seq == complete {
                    return Ok((head, copied, laps));
                }
            }
            // Partner: the Release store of the odd seq in `RingWriter::begin`. Makes the head's advance
            // visible (case C).
            fence(Ordering::Acquire);
            let newer = self.head();
            laps += 1;
            if newer.version() <= version || laps == MAX_LAPS {
                return Err(Damaged { version, seq });
            }
            head = newer;
        }
    }
}

/// Where a slot's seq lies; the rest of a slot is the caller's.
const SEQ: usize = 0;

const fn writing(version: u64) -> u64 {
    version.wrapping_mul(2).wrapping_add(1)
}

const fn complete(version: u64) -> u64 {
    version.wrapping_mul(2).wrapping_add(2)
}

/// One slot, as a reader sees it: words that may change at any moment.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Slot<'a> {
    /// Number of words, the seq among them.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a slot is never empty")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// One word. Relaxed: cases A and B order it.
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        self.words[index].load(Ordering::Relaxed)
    }

    /// The words of a range.
    #[inline]
    pub fn words(&self, start: usize, len: usize) -> &'a [AtomicU64] {
        &self.words[start..start + len]
    }

    /// Puts a copy of a range of words into `out`, in place of what it held.
    #[inline]
    pub fn copy(&self, start: usize, len: usize, out: &mut Vec<u64>) {
        out.clear();
        out.extend(self.words(start, len).iter().map(relaxed));
    }
}

/// One word, relaxed: for words that stand alone and order nothing.
#[inline]
pub fn relaxed(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Words as lines of eight, and those that are left over at the end. Relaxed, as [`Slot::get`].
#[inline]
pub(crate) fn load_lines(
    words: &[AtomicU64],
) -> (impl ExactSizeIterator<Item = [u64; 8]> + '_, &[AtomicU64]) {
    let chunks = words.chunks_exact(8);
    let rest = chunks.remainder();
    let line = |words: &[AtomicU64]| std::array::from_fn(|i| words[i].load(Ordering::Relaxed));
    (chunks.map(line), rest)
}

/// The writer's view of the ring. There is one per channel (see `ownership`), and it is not shared between
/// threads.
#[derive(Clone, Copy)]
pub struct RingWriter<'a> {
    ring: Ring<'a>,
}

impl<'a> RingWriter<'a> {
    /// The same ring as [`Ring::new`], for writing.
    #[inline]
    pub fn new(head: &'a AtomicU64, slots: &'a [AtomicU64], count: usize) -> Self {
        Self { ring: Ring::new(head, slots, count) }
    }

    /// Opens the slot of `version` for writing (W1, W2). From here on readers of the version that it held go
    /// elsewhere.
    #[inline]
    pub fn begin(&self, version: u64) -> SlotWriter<'a> {
        let slot = self.ring.slot(version);
        // Release: whoever sees this value, and fences, sees `head = version - 1` too. Partner: the last
        // fence of `Ring::read` (case C).
        slot.words[SEQ].store(writing(version), Ordering::Release);
        // Whoever sees a word stored after this fence, and fences, sees the odd seq. Partner: R3 (case B).
        fence(Ordering::Release);
        SlotWriter { words: slot.words, version }
    }

    /// Makes `version`, which is complete, the newest one (W5). Marks are taken off: only a file's living
    /// writer announces.
    ///
    /// Release: partner of [`load_head`] (case A).
    #[inline]
    pub fn announce(&self, version: u64) {
        self.ring.head.store(Head::of(version).bits(), Ordering::Release);
    }

    /// Sets marks beside the version. Release, because a reader that sees them also takes the version from
    /// the same word.
    pub fn mark(&self, marks: u64) {
        let head = self.ring.head.load(Ordering::Relaxed); // no one else writes it
        self.ring.head.store(head | marks, Ordering::Release);
    }
}

/// A slot that is open for writing.
pub struct SlotWriter<'a> {
    words: &'a [AtomicU64],
    version: u64,
}

impl SlotWriter<'_> {
    /// Number of words, the seq among them.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a slot is never empty")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Stores one word (W3; relaxed: W2 and W5 order it). Word 0 is the seq, and not for the caller.
    #[inline]
    pub fn put(&self, index: usize, value: u64) {
        debug_assert_ne!(index, SEQ);
        self.words[index].store(value, Ordering::Relaxed);
    }

    /// Stores words one after the other.
    #[inline]
    pub fn put_words(&self, start: usize, values: &[u64]) {
        let target = &self.words[start..start + values.len()];
        let (mut to, mut from) = (target.chunks_exact(8), values.chunks_exact(8));
        for (to, from) in to.by_ref().zip(from.by_ref()) {
            for i in 0..8 {
                to[i].store(from[i], Ordering::Relaxed);
            }
        }
        for (to, from) in to.remainder().iter().zip(from.remainder()) {
            to.store(*from, Ordering::Relaxed);
        }
    }

    /// Stores bytes as words, the last one padded with zeros.
    #[inline]
    pub fn put_bytes(&self, start: usize, bytes: &[u8]) {
        let target = &self.words[start..start + bytes.len().div_ceil(8)];
        let (words, tail) = bytes.as_chunks::<8>();
        #[cfg(not(loom))]
        if words.len() >= crate::sys::BULK_WORDS {
            crate::sys::store_words(target, words);
            return self.put_tail(target, words.len(), tail);
        }
        let (lines, rest) = words.as_chunks::<8>();
        let mut to = target.chunks_exact(8);
        for (to, from) in to.by_ref().zip(lines) {
            for i in 0..8 {
                to[i].store(u64::from_ne_bytes(from[i]), Ordering::Relaxed);
            }
        }
        let after = &target[lines.len() * 8..];
        for (to, from) in after.iter().zip(rest) {
            to.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
        }
        self.put_tail(target, words.len(), tail);
    }

    #[inline]
    fn put_tail(&self, target: &[AtomicU64], index: usize, tail: &[u8]) {
        if !tail.is_empty() {
            let mut last = [0; 8];
            last[..tail.len()].copy_from_slice(tail);
            target[index].store(u64::from_ne_bytes(last), Ordering::Relaxed);
        }
    }

    /// Marks the slot complete (W4). Relaxed: nobody looks at this slot before W5, which releases it.
    #[inline]
    pub fn finish(self) {
        self.words[SEQ].store(complete(self.version), Ordering::Relaxed);
    }
}

/// How sleepers and the writer find each other without a system call while nobody sleeps.
///
/// A sleeper: (S1) `f = futex`, Acquire; (S2) `waiters = 1`; (S3) fence, SeqCst; (S4) the head: changed? then
/// up again; (S5) sleep, unless the futex is no longer f. The writer, after W5: (B1) fence, SeqCst; (B2)
/// `waiters`: zero? then done; (B3) `waiters = 0`; (B4) futex + 1, Release; (B5) wake all.
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
        fence(Ordering::SeqCst); // partner: `ring`
        (load_head(self.head) == seen).then_some(value)
    }

    /// B1 to B4, after the head has been stored. Whether there is somebody to wake.
    #[inline]
    pub fn ring(&self) -> bool {
        let Some(waiters) = self.waiters else { return false };
        fence(Ordering::SeqCst); // partner: `prepare`
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

/// Stores a word that stands alone: information, or a header that nobody can open yet.
#[inline]
pub fn store_relaxed(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Relaxed);
}

/// Takes a word from `from` to `to` if nobody was quicker. Relaxed: what it guards (a line of the roster) is
/// information only.
pub fn claim(word: &AtomicU64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// A process-wide number that only grows. Relaxed: no other memory is reached through it.
#[cfg(not(loom))]
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

#[cfg(not(loom))]
impl Counter {
    /// Starts at zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Its value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one; the value after it.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
