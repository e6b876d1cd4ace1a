//! A snapshot as it lies in a slot: storing it, and copying it out with every number checked before it is
//! used.

use std::sync::Arc;

use crate::failpoints::failpoint;
use crate::layout::slot::{BLOB_WORDS, EPOCH, PAYLOAD, PUBLISHED, SHAPE_ID, SHAPE_LEN, VALUES_LEN, VERSION};
use crate::seqlock::{Slot, SlotWriter};
use crate::sys::BlobBuffer;

/// Bytes that lie apart from the values: a string, an array.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    /// Words from the start of the blobs.
    pub offset: usize,
    /// The content; its last word is padded with zeros.
    pub bytes: &'a [u8],
}

/// An encoded snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// The writer's number for the shape, from 1 to 2⁴⁸-1: the same number means the same bytes for the life
    /// of a `Writer`.
    pub shape_id: u64,
    /// The shape's bytes, padded with zeros to words.
    pub shape: &'a [u64],
    /// The shape's length in bytes.
    pub shape_len: usize,
    /// The values.
    pub values: &'a [u64],
    /// The blobs, ordered by offset, without overlap. Gaps between them keep what they held.
    pub blobs: &'a [Blob<'a>],
    /// Words from the start of the first blob to the end of the last.
    pub blob_words: usize,
}

/// Bits of a shape id.
const SHAPE_ID_BITS: u32 = 48;

impl Payload<'_> {
    /// Words of the slot that it needs, the slot's own header among them.
    #[inline]
    pub(crate) fn slot_words(&self) -> Option<usize> {
        PAYLOAD.checked_add(self.shape.len())?.checked_add(self.values.len())?.checked_add(self.blob_words)
    }

    /// What is wrong with it, if anything.
    #[inline]
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.shape_id == 0 || self.shape_id >> SHAPE_ID_BITS != 0 {
            return Some("its shape id is not in 1..2^48");
        }
        if self.shape_len.div_ceil(8) != self.shape.len() {
            return Some("its shape has another length than it says");
        }
        let mut end = 0;
        for blob in self.blobs {
            if blob.offset < end {
                return Some("its blobs overlap");
            }
            end = blob.offset.saturating_add(blob.bytes.len().div_ceil(8));
        }
        (end > self.blob_words).then_some("its blobs are longer than it says")
    }

    /// Stores it. `shape_is_there`: this slot holds the shape's bytes already.
    #[inline]
    pub(crate) fn store(
        &self,
        slot: &SlotWriter<'_>,
        version: u64,
        epoch: u64,
        published: u64,
        shape_is_there: bool,
    ) {
        assert!(slot.len() >= PAYLOAD, "a slot of a page or more"); // once, and not for each of these words
        slot.put(VERSION, version);
        slot.put(PUBLISHED, published);
        slot.put(EPOCH, epoch);
        slot.put(SHAPE_ID, self.shape_id);
        slot.put(SHAPE_LEN, self.shape_len as u64);
        slot.put(VALUES_LEN, self.values.len() as u64);
        slot.put(BLOB_WORDS, self.blob_words as u64);
        if !shape_is_there {
            slot.put_words(PAYLOAD, self.shape);
        }
        let values = PAYLOAD + self.shape.len();
        slot.put_words(values, self.values);
        failpoint!("publish.half-stored");
        let blobs = values + self.values.len();
        for blob in self.blobs {
            slot.put_bytes(blobs + blob.offset, blob.bytes);
        }
    }
}

/// What a slot says of its snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotMeta {
    /// The version.
    pub version: u64,
    /// The epoch of its writer.
    pub epoch: u64,
    /// Says which shape, among all that this file has held; never 0.
    pub shape_id: u64,
    /// When it was published, on the clock of [`crate::now_ns`], rounded down to the kernel's tick (1 to 10
    /// ms).
    pub published_ns: u64,
    /// Bytes of the shape.
    pub shape_len: usize,
    /// Words of the values.
    pub values_len: usize,
    /// Words of the blobs.
    pub blob_words: usize,
    /// Says which mapping of which file, in this process: what was cached under another key does not count.
    pub generation_key: u64,
}

impl SlotMeta {
    /// Reads it in place; `None` if it cannot be true.
    #[inline]
    fn load(&mut self, slot: Slot<'_>, version: u64, generation_key: u64) -> Option<()> {
        if slot.len() < PAYLOAD {
            return None;
        }
        let length = |index| usize::try_from(slot.get(index)).ok();
        let (epoch, id) = (slot.get(EPOCH), slot.get(SHAPE_ID));
        *self = Self {
            version,
            epoch,
            // Two epochs with the same lower 16 bits lie 65,536 writers apart; readers compare the epochs
            // besides.
            shape_id: epoch << SHAPE_ID_BITS | id,
            published_ns: slot.get(PUBLISHED),
            shape_len: length(SHAPE_LEN)?,
            values_len: length(VALUES_LEN)?,
            blob_words: length(BLOB_WORDS)?,
            generation_key,
        };
        let end = self.values_start().checked_add(self.values_len)?.checked_add(self.blob_words)?;
        // Epoch 0 would be that of a reader that knows no shape yet.
        let named = epoch != 0 && id != 0 && id >> SHAPE_ID_BITS == 0;
        (end <= slot.len() && slot.get(VERSION) == version && named).then_some(())
    }

    fn values_start(&self) -> usize {
        PAYLOAD + self.shape_len.div_ceil(8)
    }
}

/// A shape that the caller of a read has cached, so that it need not be copied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KnownShape {
    pub id: u64,
    pub epoch: u64,
}

/// Where a copied snapshot goes. Kept from read to read, it allocates nothing. After an error it may hold anything.
#[derive(Debug, Default)]
pub struct SlotBuffer {
    /// What the slot says of it.
    pub meta: SlotMeta,
    /// The shape's bytes, padded with zeros to words. Stale if the read did not copy the shape.
    pub shape: Vec<u64>,
    /// The values.
    pub values: Vec<u64>,
    /// The blobs. Clones of this keep the content: the next read then takes other memory.
    pub blobs: Arc<BlobBuffer>,
    /// The memory before that, which is taken again once nobody looks at it.
    spare: Arc<BlobBuffer>,
}

impl SlotBuffer {
    fn free_blobs(&mut self) -> &mut BlobBuffer {
        if Arc::get_mut(&mut self.blobs).is_none() {
            std::mem::swap(&mut self.blobs, &mut self.spare);
            if Arc::get_mut(&mut self.blobs).is_none() {
                self.blobs = Arc::default();
            }
        }
        Arc::make_mut(&mut self.blobs) // the only one: nothing is cloned
    }

    /// Copies a slot's snapshot, without the shape if it is known. `None` if the lengths cannot be true.
    #[inline]
    pub(crate) fn fill(&mut self, slot: Slot<'_>, version: u64, key: u64, known: KnownShape) -> Option<()> {
        let before = self.meta.blob_words;
        self.meta.load(slot, version, key)?;
        let meta = self.meta;
        if meta.shape_id != known.id || meta.epoch != known.epoch {
            slot.copy(PAYLOAD, meta.shape_len.div_ceil(8), &mut self.shape);
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
}

/// A slot's own words alone. `None` if they cannot be true.
pub(crate) fn examine(slot: Slot<'_>, version: u64) -> Option<SlotMeta> {
    let mut meta = SlotMeta::default();
    meta.load(slot, version, 0).map(|()| meta)
}
