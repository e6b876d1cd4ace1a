//! A snapshot that was copied out of a slot. Every number is checked before it is used.

use std::sync::Arc;

use crate::failpoints::failpoint;
use crate::layout::slot;
use crate::numbering::{Epoch, Position, ShapeKey, Stamp, Term, Version};
use crate::ring::seqlock::Slot;
use crate::sys::BlobBuffer;

/// Identifies a mapping in this process: no two mappings ever have the same key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct SegmentKey(pub u64);

/// What a slot says of its snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotMeta {
    /// Its position in its file.
    pub position: Position,
    /// Its numbers in the channel.
    pub stamp: Stamp,
    /// Its shape among all that the file holds.
    pub shape: ShapeKey,
    /// When it was published, on the clock of [`crate::now_ns`], rounded down to the kernel's tick (1 to 10
    /// ms).
    pub published_ns: u64,
    /// The same as Unix time at the origin.
    pub published_unix_ns: u64,
    /// Bytes of the shape.
    pub shape_len: usize,
    /// Words of the values.
    pub values_len: usize,
    /// Words of the blobs.
    pub blob_words: usize,
}

impl SlotMeta {
    /// Loads it from a slot; `None` if it is invalid.
    #[inline]
    pub(crate) fn load(slot: Slot<'_>, position: Position) -> Option<Self> {
        if slot.len() < slot::PAYLOAD {
            return None;
        }
        let length = |index| usize::try_from(slot.get(index)).ok();
        let meta = Self {
            position,
            stamp: Stamp {
                term: Term(slot.get(slot::TERM)),
                epoch: Epoch(slot.get(slot::EPOCH)),
                version: Version(slot.get(slot::VERSION)),
            },
            shape: ShapeKey { takeover: slot.get(slot::TAKEOVER), id: slot.get(slot::SHAPE_ID) },
            published_ns: slot.get(slot::PUBLISHED),
            published_unix_ns: slot.get(slot::PUBLISHED_UNIX),
            shape_len: length(slot::SHAPE_LEN)?,
            values_len: length(slot::VALUES_LEN)?,
            blob_words: length(slot::BLOB_WORDS)?,
        };
        let end = meta.values_start().checked_add(meta.values_len)?.checked_add(meta.blob_words)?;
        // Takeover, shape id and version start at 1: a 0 means that the slot was never filled.
        let numbered = meta.shape.takeover != 0 && meta.shape.id != 0 && meta.stamp.version != Version(0);
        (end <= slot.len() && slot.get(slot::POSITION) == position.get() && numbered).then_some(meta)
    }

    pub(crate) fn values_start(&self) -> usize {
        slot::PAYLOAD + self.shape_len.div_ceil(8)
    }
}

/// A copied snapshot. It is also the reader's cursor, because it says what is known already. Reused for each read, it need not
/// allocate.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The mapping that it was copied from; [`SegmentKey`] 0 before the first read, and after a failed one.
    pub segment: SegmentKey,
    /// What the slot says of it.
    pub meta: SlotMeta,
    /// The shape's bytes, padded with zeros to words.
    pub shape: Vec<u64>,
    /// Whether the last copy kept the shape, because it is the same as before.
    pub shape_kept: bool,
    /// The values.
    pub values: Vec<u64>,
    /// The blobs. A clone of this `Arc` keeps the content: the next read then uses other memory.
    pub blobs: Arc<BlobBuffer>,
    /// The previous memory, which is used again once nobody else holds it.
    spare: Arc<BlobBuffer>,
}

impl Snapshot {
    /// Whether it holds a snapshot.
    pub fn is_filled(&self) -> bool {
        self.segment != SegmentKey::default()
    }

    /// Makes the next read copy everything.
    pub fn forget(&mut self) {
        self.segment = SegmentKey::default();
    }

    /// Copies a slot's snapshot, without the shape if that is known already. `None` if the lengths are invalid. The copy is valid
    /// only if the slot is found unchanged afterwards; then [`Snapshot::keep`] says so.
    #[inline]
    pub(crate) fn fill(&mut self, slot: Slot<'_>, position: Position, segment: SegmentKey) -> Option<()> {
        let known = (self.segment == segment).then_some((self.meta.shape, self.meta.shape_len));
        // Empty until the copy has succeeded: an error must not leave new words with old numbers.
        self.segment = SegmentKey::default();
        let before = self.meta.blob_words;
        let meta = SlotMeta::load(slot, position)?;
        self.meta = meta;
        // The length too: with another one, the values would be elsewhere.
        self.shape_kept = known == Some((meta.shape, meta.shape_len));
        if !self.shape_kept {
            slot.copy(slot::PAYLOAD, meta.shape_len.div_ceil(8), &mut self.shape);
        }
        let values = meta.values_start();
        slot.copy(values, meta.values_len, &mut self.values);
        failpoint!("read.half-copied");
        if meta.blob_words > 0 || before > 0 {
            let words = slot.words(values + meta.values_len, meta.blob_words);
            self.free_blobs().refill(words);
        }
        Some(())
    }

    /// Marks the copy as valid, and says where it comes from.
    #[inline]
    pub(crate) fn keep(&mut self, segment: SegmentKey) {
        self.segment = segment;
    }

    fn free_blobs(&mut self) -> &mut BlobBuffer {
        if Arc::get_mut(&mut self.blobs).is_none() {
            std::mem::swap(&mut self.blobs, &mut self.spare);
            if Arc::get_mut(&mut self.blobs).is_none() {
                self.blobs = Arc::default();
            }
        }
        Arc::make_mut(&mut self.blobs) // there is no other reference: nothing is cloned
    }
}
