//! A ring of sequence-locked slots.
//!
//! There are three kinds of words: the *head* (the newest position, and whether the file has ended), each slot's *seq*, and the
//! slots' payload, which readers and the writer may access at the same time. All are atomics, the payload too: relaxed loads and
//! stores of whole words are defined behaviour and compile to plain moves. (Long runs of words are copied by assembly instead:
//! `sys::copy` argues why that is equivalent.)
//!
//! Publishing at position p, by the one writer, into slot p mod n (n ≥ 2):
//!
//! 1. `seq = 2p+1`, Release;
//! 2. fence, Release;
//! 3. payload, relaxed;
//! 4. `seq = 2p+2`, relaxed;
//! 5. `head = p`, Release.
//!
//! Reading, by anyone:
//!
//! 1. `p = head`, Acquire;
//! 2. payload of slot p mod n, relaxed;
//! 3. fence, Acquire;
//! 4. `seq`, relaxed: `2p+2` means that what was copied is the snapshot at p, whole.
//!
//! The cases, for a reader that has loaded `head = p`:
//!
//! * **A. Nothing older than p is read.** R1 synchronises with W5 of p, so every store of p's publication happens before R2: by
//!   coherence a payload load returns p's word or a later one, and R4 returns `2p+2` or a later value.
//! * **B. Nothing newer than p is returned as p.** Say R2 returned a word of a position w > p in the same slot, so w ≥ p+n. The
//!   word was stored in W3 of w, after the fence W2; R2's load is followed by the fence R3. The two fences synchronise, so W1 of
//!   w happens before R4, which therefore returns `2w+1` or a later value: not `2p+2`.
//! * **C. A mismatch means that the writer has lapped the reader.** R4 returned a value later than `2p+2`, stored in W1 or W4 of
//!   some w ≥ p+n. W1 is a Release store, and the Release fence W2 lies between W1 and W4: the Acquire fence after the mismatch
//!   ([`Ring::read`]) synchronises with either. So everything before W1 of w is visible, including `head = w-1`. Since w-1 ≥
//!   p+n-1 and n ≥ 2, a reload of the head *must* show a newer position than p. If it does not, no writer did this: the file is
//!   damaged, and the reader reports that instead of trying for ever.
//! * **D. The writer dies after any step before W5.** The head still says p-1. Its slot is another one (n ≥ 2) and complete. No
//!   reader uses the slot of p, whose seq is odd or which was not announced.
//! * **E. A writer that takes over in place publishes at p again**, into that same slot, with the same seq values. A reader of p
//!   has loaded `head = p`, which only the second writer stored: case A holds with its stores. A reader of p-n sees `2p+1` or
//!   `2p+2` of either writer: a mismatch, and case C holds because both stored them after `head = p-1`. (The first writer is
//!   dead: see `writer`.)
//! * **F. Announced positions never come back**: within a file they only grow, so seq has no ABA problem.
//!
//! Garbage in the payload, such as impossible lengths, is for the caller of [`Ring::read`] to detect: it gets words and trusts
//! none of them.

use crate::numbering::Position;
use crate::sync::{AtomicU64, Ordering, fence, relaxed};
use crate::sys::{BULK_WORDS, store_words};

/// The word that readers watch: `position << 2 | superseded << 1 | closed`. One load tells a reader whether anything is new.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head(u64);

impl Head {
    /// The writer has finished with the channel.
    pub const CLOSED: u64 = 1;
    /// Another file has the channel's name, or will have it soon.
    pub const SUPERSEDED: u64 = 2;
    /// Another file has the channel's name and holds a snapshot. A different mark from `SUPERSEDED`, so that a reader that has
    /// seen that one looks again.
    pub const SUCCEEDED: u64 = Self::CLOSED | Self::SUPERSEDED;

    /// From the word in the file.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word for a position, without marks.
    #[inline]
    pub const fn of(position: Position) -> Self {
        Self(position.get() << 2)
    }

    /// The word in the file.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The newest position, 0 before the first.
    #[inline]
    pub const fn position(self) -> Position {
        Position(self.0 >> 2)
    }

    /// Whether the writer has finished, and no successor is known.
    #[inline]
    pub const fn closed(self) -> bool {
        self.0 & Self::SUCCEEDED == Self::CLOSED
    }

    /// Whether the name should be looked up again.
    #[inline]
    pub const fn superseded(self) -> bool {
        self.0 & Self::SUPERSEDED != 0
    }

    /// Whether it is closed or superseded: there may be a successor.
    #[inline]
    pub const fn ended(self) -> bool {
        self.0 & Self::SUCCEEDED != 0
    }
}

/// Loads the head.
///
/// Acquire: partner of the Release in [`RingWriter::announce`] (R1, case A). An unchanged read is this load and nothing else.
#[inline]
pub fn load_head(word: &AtomicU64) -> Head {
    Head(word.load(Ordering::Acquire))
}

/// A slot does not hold the position that the head names, and the head does not move on: the file is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damaged {
    /// The position that was wanted.
    pub position: Position,
    /// The slot's seq.
    pub seq: u64,
}

/// How often a reader that was lapped during its copy tries again. A lap takes `n` whole publications, so only a reader that is
/// descheduled again and again gets near; a damaged file whose head keeps moving ends here.
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

    /// The newest position and the marks.
    #[inline]
    pub fn head(&self) -> Head {
        load_head(self.head)
    }

    /// The slot of a position.
    #[inline]
    fn slot(&self, position: Position) -> Slot<'a> {
        let start = (position.get() & self.mask) as usize * self.stride;
        Slot { words: &self.slots[start..start + self.stride] }
    }

    /// Copies the newest snapshot by calling `copy`, and calls it again if the writer has lapped it. `copy` may see words of
    /// several snapshots: it must check what it uses, and its result is valid only if this function returns it. Also returns the
    /// number of laps.
    ///
    /// # Errors
    /// [`Damaged`] if the slot does not hold what the head says (case C).
    #[inline]
    pub fn read<T>(&self, mut copy: impl FnMut(Position, Slot<'a>) -> T) -> Result<(Head, T, u32), Damaged> {
        let mut head = self.head();
        let mut laps = 0;
        loop {
            let position = head.position();
            let slot = self.slot(position);
            let complete = complete(position);
            // Not part of the proof, hence relaxed: it avoids copying a slot that is already being rewritten.
            let mut seq = slot.words[SEQ].load(Ordering::Relaxed);
            if seq == complete {
                let copied = copy(position, slot);
                // R3. Partner: the Release fence of `RingWriter::begin` (case B).
                fence(Ordering::Acquire);
                // R4. Relaxed: the fence above orders it after the copy, and nothing is read after it.
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
            if newer.position() <= position || laps == MAX_LAPS {
                return Err(Damaged { position, seq });
            }
            head = newer;
        }
    }
}

/// Index of a slot's seq; the caller defines the rest of the slot.
const SEQ: usize = 0;

const fn writing(position: Position) -> u64 {
    position.get().wrapping_mul(2).wrapping_add(1)
}

const fn complete(position: Position) -> u64 {
    position.get().wrapping_mul(2).wrapping_add(2)
}

/// One slot, as a reader sees it: words that may change at any moment.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Slot<'a> {
    /// Number of words, including the seq.
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

    /// Copies a range of words into `out`, replacing its content.
    #[inline]
    pub fn copy(&self, start: usize, len: usize, out: &mut Vec<u64>) {
        out.clear();
        out.extend(self.words(start, len).iter().map(relaxed));
    }
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

    /// Opens the slot of `position` for writing (W1, W2). From here on, readers can no longer use the snapshot that it held.
    #[inline]
    pub fn begin(&self, position: Position) -> SlotWriter<'a> {
        let slot = self.ring.slot(position);
        // Release: a reader that sees this value and then fences also sees `head = position - 1`. Partner: the last fence of
        // `Ring::read` (case C).
        slot.words[SEQ].store(writing(position), Ordering::Release);
        // A reader that sees a word stored after this fence and then fences also sees the odd seq. Partner: R3 (case B).
        fence(Ordering::Release);
        SlotWriter { words: slot.words, position }
    }

    /// Makes the complete snapshot at `position` the newest one (W5). Clears the marks: a file whose writer still announces has
    /// not ended.
    ///
    /// Release: partner of [`load_head`] (case A).
    #[inline]
    pub fn announce(&self, position: Position) {
        self.ring.head.store(Head::of(position).bits(), Ordering::Release);
    }

    /// Sets marks and leaves the position as it is: the file's writer may not have noticed yet that it lost the channel, and what
    /// it announces must not be undone. Relaxed: a reader takes marks and position from the same word, and this read-modify-write
    /// continues the release sequence that W5 heads.
    pub fn mark(&self, marks: u64) {
        self.ring.head.fetch_or(marks, Ordering::Relaxed);
    }
}

/// A slot that is open for writing.
pub struct SlotWriter<'a> {
    words: &'a [AtomicU64],
    position: Position,
}

impl SlotWriter<'_> {
    /// Number of words, including the seq.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a slot is never empty")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Stores one word (W3; relaxed: W2 and W5 order it). Word 0 is the seq, which the caller must not store.
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
        let (to, last) = target.split_at(words.len());
        if words.len() >= BULK_WORDS {
            store_words(to, words);
        } else {
            self.put_chunks(to, words);
        }
        if let Some(last) = last.first() {
            let mut padded = [0; 8];
            padded[..tail.len()].copy_from_slice(tail);
            last.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
        }
    }

    #[inline]
    fn put_chunks(&self, target: &[AtomicU64], words: &[[u8; 8]]) {
        let (lines, rest) = words.as_chunks::<8>();
        let (to, after) = target.split_at(lines.len() * 8);
        for (to, from) in to.chunks_exact(8).zip(lines) {
            for i in 0..8 {
                to[i].store(u64::from_ne_bytes(from[i]), Ordering::Relaxed);
            }
        }
        for (to, from) in after.iter().zip(rest) {
            to.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
        }
    }

    /// Stores zeros.
    #[inline]
    pub fn put_zeros(&self, start: usize, len: usize) {
        for word in &self.words[start..start + len] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Marks the slot complete (W4). Relaxed: no reader uses this value before W5, which releases it.
    #[inline]
    pub fn finish(self) {
        self.words[SEQ].store(complete(self.position), Ordering::Relaxed);
    }
}
