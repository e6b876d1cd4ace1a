//! A snapshot, encoded and ready to be stored in a slot.

use crate::failpoints::failpoint;
use crate::layout::slot;
use crate::numbering::{Position, Stamp};
use crate::ring::seqlock::SlotWriter;

/// Bytes that are stored apart from the values: a string, an array.
#[derive(Clone, Copy, Debug)]
pub struct PlacedBlob<B> {
    /// Words from the start of the blobs.
    pub offset: usize,
    /// The bytes, or their owner. When stored, their last word is padded with zeros.
    pub bytes: B,
}

/// An encoded snapshot. `B` is the type that holds a blob's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a, B = &'a [u8]> {
    /// The writer's id for the shape, never 0: for the life of a `Writer`, the same id means the same bytes.
    pub shape_id: u64,
    /// The shape's bytes, padded with zeros to words.
    pub shape: &'a [u64],
    /// The shape's length in bytes.
    pub shape_len: usize,
    /// The values.
    pub values: &'a [u64],
    /// The blobs, ordered by offset, without overlap. Gaps between them are filled with zeros.
    pub blobs: &'a [PlacedBlob<B>],
    /// Number of words from the start of the first blob to the end of the last.
    pub blob_words: usize,
}

/// What a slot says about a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Its position in the file.
    pub position: Position,
    /// Its numbers in the channel.
    pub stamp: Stamp,
    /// When it was published, `CLOCK_MONOTONIC` of this node in ns.
    pub published_ns: u64,
    /// When it was published, Unix time at the origin in ns.
    pub published_unix_ns: u64,
    /// The number of the writer that stores it: [`crate::layout::header::TAKEOVERS`].
    pub takeover: u64,
}

/// Shape ids from this one on are given by the core, to snapshots that arrive as messages.
pub const OWN_SHAPE_IDS: u64 = 1 << 63;

impl<B: AsRef<[u8]>> Payload<'_, B> {
    /// Number of words of a slot that it needs, including the slot's header.
    #[inline]
    pub fn slot_words(&self) -> Option<usize> {
        slot::PAYLOAD
            .checked_add(self.shape.len())?
            .checked_add(self.values.len())?
            .checked_add(self.blob_words)
    }

    /// The reason why it cannot be stored, if there is one.
    #[inline]
    pub fn fault(&self) -> Option<&'static str> {
        if self.shape_id == 0 {
            return Some("its shape id is 0");
        }
        if self.shape_len.div_ceil(8) != self.shape.len() {
            return Some("its shape does not have the given length");
        }
        let mut end = 0;
        for blob in self.blobs {
            if blob.offset < end {
                return Some("its blobs overlap");
            }
            end = blob.offset.saturating_add(blob.bytes.as_ref().len().div_ceil(8));
        }
        (end > self.blob_words).then_some("its blobs are longer than the given length")
    }

    /// Stores it. `shape_is_there`: this slot holds the shape's bytes already.
    #[inline]
    pub fn store(&self, to: &SlotWriter<'_>, publication: &Publication, shape_is_there: bool) {
        assert!(to.len() >= slot::PAYLOAD, "a slot of a page or more"); // checked once, instead of for each of these words
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
            // Arrays are aligned: bytes of an older snapshot in the gap must not be published with this one.
            to.put_zeros(start + end, blob.offset - end);
            let bytes = blob.bytes.as_ref();
            to.put_bytes(start + blob.offset, bytes);
            end = blob.offset + bytes.len().div_ceil(8);
        }
        to.put_zeros(start + end, self.blob_words - end);
    }
}
