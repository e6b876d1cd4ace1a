//! A snapshot on its way into a slot.

use crate::failpoints::failpoint;
use crate::layout::slot;
use crate::numbering::{Position, Stamp};
use crate::ring::seqlock::SlotWriter;

/// Bytes that lie apart from the values: a string, an array.
#[derive(Clone, Copy, Debug)]
pub struct PlacedBlob<B> {
    /// Words from the start of the blobs.
    pub offset: usize,
    /// The bytes, or what keeps them alive. Their last word is padded with zeros.
    pub bytes: B,
}

/// An encoded snapshot; `B` is whatever holds a blob's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a, B = &'a [u8]> {
    /// The writer's number for the shape, never 0: the same number means the same bytes for the life of a `Writer`.
    pub shape_id: u64,
    /// The shape's bytes, padded with zeros to words.
    pub shape: &'a [u64],
    /// The shape's length in bytes.
    pub shape_len: usize,
    /// The values.
    pub values: &'a [u64],
    /// The blobs, ordered by offset, without overlap. What lies between them becomes zero.
    pub blobs: &'a [PlacedBlob<B>],
    /// Words from the start of the first blob to the end of the last.
    pub blob_words: usize,
}

/// What a slot says of a snapshot beside the snapshot itself.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Where it stands in the file.
    pub position: Position,
    /// Where it stands among the channel's snapshots.
    pub stamp: Stamp,
    /// When it was published, `CLOCK_MONOTONIC` of this node in ns.
    pub published_ns: u64,
    /// When it was published, Unix time at the origin in ns.
    pub published_unix_ns: u64,
    /// Which of the file's writers stores it.
    pub takeover: u64,
}

/// Shape ids from here on are the core's own, for snapshots that come as messages.
pub const OWN_SHAPE_IDS: u64 = 1 << 63;

impl<B: AsRef<[u8]>> Payload<'_, B> {
    /// Words of the slot that it needs, the slot's own header among them.
    #[inline]
    pub fn slot_words(&self) -> Option<usize> {
        slot::PAYLOAD
            .checked_add(self.shape.len())?
            .checked_add(self.values.len())?
            .checked_add(self.blob_words)
    }

    /// What keeps it from being stored, if anything.
    #[inline]
    pub fn fault(&self) -> Option<&'static str> {
        if self.shape_id == 0 {
            return Some("its shape id is 0");
        }
        if self.shape_len.div_ceil(8) != self.shape.len() {
            return Some("its shape has another length than it says");
        }
        let mut end = 0;
        for blob in self.blobs {
            if blob.offset < end {
                return Some("its blobs overlap");
            }
            end = blob.offset.saturating_add(blob.bytes.as_ref().len().div_ceil(8));
        }
        (end > self.blob_words).then_some("its blobs are longer than it says")
    }

    /// Stores it. `shape_is_there`: this slot holds the shape's bytes already.
    #[inline]
    pub fn store(&self, to: &SlotWriter<'_>, publication: &Publication, shape_is_there: bool) {
        assert!(to.len() >= slot::PAYLOAD, "a slot of a page or more"); // once, and not for each of these words
        to.put(slot::POSITION, publication.position.get());
        to.put(slot::TERM, publication.stamp.term.get());
        to.put(slot::EPOCH, publication.stamp.epoch.get());
        to.put(slot::VERSION, publication.stamp.version.get());
        to.put(slot::PUBLISHED, publication.published_ns);
        to.put(slot::PUBLISHED_UNIX, publication.published_unix_ns);
        to.put(slot::TAKEOVER, publication.takeover);
        to.put(slot::SHAPE_ID, self.shape_id);
        to.put(slot::SHAPE_LEN, self.shape_len as u64);
        to.put(slot::VALUES_LEN, self.values.len() as u64);
        to.put(slot::BLOB_WORDS, self.blob_words as u64);
        if !shape_is_there {
            to.put_words(slot::PAYLOAD, self.shape);
        }
        let values = slot::PAYLOAD + self.shape.len();
        to.put_words(values, self.values);
        failpoint!("publish.half-stored");
        let start = values + self.values.len();
        let mut end = 0;
        for blob in self.blobs {
            // Arrays are aligned: what an older snapshot left in the gap must not leave with this one.
            to.put_zeros(start + end, blob.offset - end);
            let bytes = blob.bytes.as_ref();
            to.put_bytes(start + blob.offset, bytes);
            end = blob.offset + bytes.len().div_ceil(8);
        }
        to.put_zeros(start + end, self.blob_words - end);
    }
}
