//! The wire form: one snapshot as a self-contained byte string, which a relay carries to another node. `docs/layout.md` describes
//! it, too.
//!
//! ```text
//! word 0  magic                            word  9  pid of the origin
//!      1  version of the form                   10  length of the shape, bytes
//!      2  length of the whole, bytes            11  length of the values, words
//!      3  CRC-32 of all that follows            12  length of the blobs, words
//!      4  term                                  13  (3 words of zeros)
//!      5  epoch                                 16  host of the origin, 64 bytes
//!      6  version                               24  shape │ values │ blobs, as in a slot
//!      7  publish time, CLOCK_MONOTONIC ns of the node that made the message
//!      8  publish time at the origin, Unix ns
//! ```
//!
//! A message is untrusted: it is parsed, and each length, name and text in it is checked, before anything is stored.

use std::sync::Arc;

use super::blobs::BlobCursor;
use super::decode::check;
use super::held::{SlotMeta, Snapshot};
use super::payload::{Payload, PlacedBlob};
use super::shape::{Kind, Shape};
use super::{to_bytes, words_for};
use crate::layout::{HOST_BYTES, WORD};
use crate::numbering::{Epoch, Stamp, Term, Version};
use crate::sync::AtomicU64;

/// First word of a message.
pub const WIRE_MAGIC: u64 = u64::from_le_bytes(*b"trainwir");
/// Goes up whenever the meaning of a word changes; messages of another version are refused.
pub const WIRE_VERSION: u64 = 1;

/// Words of a message.
pub mod word {
    /// [`super::WIRE_MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::WIRE_VERSION`].
    pub const FORM: usize = 1;
    /// Bytes of the whole message.
    pub const TOTAL: usize = 2;
    /// CRC-32 (as in zlib) of all bytes after this word.
    pub const CHECKSUM: usize = 3;
    /// The origin's term.
    pub const TERM: usize = 4;
    /// The origin's epoch.
    pub const EPOCH: usize = 5;
    /// The origin's version.
    pub const VERSION: usize = 6;
    /// Publish time on the clock of the node that made the message.
    pub const PUBLISHED: usize = 7;
    /// Publish time at the origin, Unix time in ns.
    pub const PUBLISHED_UNIX: usize = 8;
    /// Process id of the origin.
    pub const ORIGIN_PID: usize = 9;
    /// Bytes of the shape.
    pub const SHAPE_LEN: usize = 10;
    /// Words of the values.
    pub const VALUES_LEN: usize = 11;
    /// Words of the blobs.
    pub const BLOB_WORDS: usize = 12;
    /// Host name of the origin.
    pub const ORIGIN_HOST: usize = 16;
    /// Where the payload begins.
    pub const PAYLOAD: usize = 24;
}

/// The bytes are not a message, or the message is damaged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is no snapshot in wire form: {0}")]
pub struct MalformedMessage(String);

impl MalformedMessage {
    fn new(what: impl ToString) -> Self {
        Self(what.to_string())
    }
}

/// Where a message's snapshot was first published.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origin {
    /// Name of the machine.
    pub host: String,
    /// Process id of the learner there.
    pub pid: u64,
}

/// Puts a copied snapshot into wire form.
pub fn encode(snapshot: &Snapshot, origin: &Origin) -> Vec<u8> {
    let meta = &snapshot.meta;
    let shape_words = words_for(meta.shape_len);
    let words = word::PAYLOAD + shape_words + snapshot.values.len() + meta.blob_words;
    let mut head = [0; word::PAYLOAD];
    head[word::MAGIC] = WIRE_MAGIC;
    head[word::FORM] = WIRE_VERSION;
    head[word::TOTAL] = (words * WORD) as u64;
    head[word::TERM] = meta.stamp.term.get();
    head[word::EPOCH] = meta.stamp.epoch.get();
    head[word::VERSION] = meta.stamp.version.get();
    head[word::PUBLISHED] = meta.published_ns;
    head[word::PUBLISHED_UNIX] = meta.published_unix_ns;
    head[word::ORIGIN_PID] = origin.pid;
    head[word::SHAPE_LEN] = meta.shape_len as u64;
    head[word::VALUES_LEN] = snapshot.values.len() as u64;
    head[word::BLOB_WORDS] = meta.blob_words as u64;

    let mut bytes = Vec::with_capacity(words * WORD);
    let mut put = |words: &[u64]| words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    put(&head);
    put(&snapshot.shape);
    put(&snapshot.values);
    if meta.blob_words > 0 {
        bytes.extend_from_slice(snapshot.blobs.bytes());
    }
    let host = &origin.host.as_bytes()[..origin.host.len().min(HOST_BYTES)];
    bytes[word::ORIGIN_HOST * WORD..][..host.len()].copy_from_slice(host);
    let checksum = checksum_of(&bytes);
    bytes[word::CHECKSUM * WORD..][..WORD].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn checksum_of(message: &[u8]) -> u64 {
    crc32fast::hash(&message[(word::CHECKSUM + 1) * WORD..]).into()
}

/// A message that has been checked.
#[derive(Debug)]
pub struct Message {
    /// Its numbers in the channel.
    pub stamp: Stamp,
    /// Where it was first published.
    pub origin: Origin,
    /// When it was published, on the clock of the node that made the message.
    pub published_ns: u64,
    /// When it was published, Unix time at the origin in ns.
    pub published_unix_ns: u64,
    /// Its shape.
    pub shape: Shape,
    shape_words: Vec<u64>,
    values: Vec<u64>,
    blobs: [PlacedBlob<Vec<u8>>; 1],
}

impl Message {
    /// Parses and checks a message. Never allocates more than a small multiple of `bytes`.
    ///
    /// # Errors
    /// [`MalformedMessage`] for anything that [`encode`] does not produce.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedMessage> {
        let (words, rest) = bytes.as_chunks::<WORD>();
        let at = |index: usize| u64::from_le_bytes(words[index]);
        if words.len() < word::PAYLOAD || at(word::MAGIC) != WIRE_MAGIC {
            return Err(MalformedMessage::new("it does not start with the magic number"));
        }
        if at(word::FORM) != WIRE_VERSION {
            let form = at(word::FORM);
            return Err(MalformedMessage::new(format!(
                "it has wire version {form}, and this is version {WIRE_VERSION}"
            )));
        }
        if !rest.is_empty() || at(word::TOTAL) != bytes.len() as u64 {
            return Err(MalformedMessage::new(format!(
                "its header says {} bytes, and it has {}",
                at(word::TOTAL),
                bytes.len()
            )));
        }
        if at(word::CHECKSUM) != checksum_of(bytes) {
            return Err(MalformedMessage::new("its checksum is wrong"));
        }
        let payload = &words[word::PAYLOAD..];
        let length = |index: usize| usize::try_from(at(index)).unwrap_or(usize::MAX);
        let shape_len = length(word::SHAPE_LEN);
        let lengths = [words_for(shape_len), length(word::VALUES_LEN), length(word::BLOB_WORDS)];
        let sum = lengths.iter().try_fold(0usize, |sum, len| sum.checked_add(*len));
        if sum != Some(payload.len()) {
            return Err(MalformedMessage::new("its parts do not add up to its length"));
        }
        let stamp = Stamp {
            term: Term(at(word::TERM)),
            epoch: Epoch(at(word::EPOCH)),
            version: Version(at(word::VERSION)),
        };
        let numbered = (Version(1)..Version::MAX).contains(&stamp.version)
            && (Epoch(1)..Epoch::MAX).contains(&stamp.epoch)
            && stamp.term < Term::MAX;
        if !numbered {
            return Err(MalformedMessage::new(format!("its numbers are out of range: {stamp}")));
        }
        let (shape_part, payload) = payload.split_at(lengths[0]);
        let (values, blobs) = payload.split_at(lengths[1]);
        let to_u64 = |words: &[[u8; WORD]]| words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (shape_words, values): (Vec<u64>, Vec<u64>) = (to_u64(shape_part), to_u64(values));
        let shape = Shape::parse(to_bytes(&shape_words, shape_len)).map_err(MalformedMessage::new)?;
        let blobs = blobs.as_flattened().to_vec();
        check(&shape, &values, &blobs).map_err(MalformedMessage::new)?;
        check_leaves(&shape, &values, &blobs)?;
        let host = &words[word::ORIGIN_HOST..][..HOST_BYTES / WORD];
        let origin = Origin {
            host: String::from_utf8_lossy(host.as_flattened()).trim_end_matches('\0').to_owned(),
            pid: at(word::ORIGIN_PID),
        };
        Ok(Self {
            stamp,
            origin,
            published_ns: at(word::PUBLISHED),
            published_unix_ns: at(word::PUBLISHED_UNIX),
            shape,
            shape_words,
            values,
            blobs: [PlacedBlob { offset: 0, bytes: blobs }],
        })
    }

    /// The shape's bytes, padded with zeros to words.
    pub fn shape_words(&self) -> &[u64] {
        &self.shape_words
    }

    /// The snapshot, as if it had been copied out of a slot.
    pub fn into_snapshot(self) -> Snapshot {
        let [PlacedBlob { bytes, .. }] = self.blobs;
        let words: Vec<_> = bytes
            .as_chunks::<WORD>()
            .0
            .iter()
            .map(|word| AtomicU64::new(u64::from_le_bytes(*word)))
            .collect();
        let mut snapshot = Snapshot::default();
        snapshot.meta = SlotMeta {
            stamp: self.stamp,
            published_ns: self.published_ns,
            published_unix_ns: self.published_unix_ns,
            shape_len: self.shape.bytes.len(),
            values_len: self.values.len(),
            blob_words: words.len(),
            ..SlotMeta::default()
        };
        (snapshot.shape, snapshot.values) = (self.shape_words, self.values);
        Arc::make_mut(&mut snapshot.blobs).refill(&words);
        snapshot
    }

    /// What a writer stores, with its own id for the shape.
    pub fn payload(&self, shape_id: u64) -> Payload<'_, Vec<u8>> {
        let blob_words = self.blobs[0].bytes.len() / WORD;
        Payload {
            shape_id,
            shape: &self.shape_words,
            shape_len: self.shape.bytes.len(),
            values: &self.values,
            blobs: &self.blobs[usize::from(blob_words == 0)..],
            blob_words,
        }
    }
}

/// Largest number of axes of an array: numpy's limit.
const MOST_AXES: u8 = 64;

/// Checks what the readers on other nodes rely on: each string is valid UTF-8, and each array can be created.
fn check_leaves(shape: &Shape, values: &[u64], blobs: &[u8]) -> Result<(), MalformedMessage> {
    let mut cursor = BlobCursor::default();
    for node in shape.nodes.iter().filter(|node| node.kind.has_blob()) {
        let text = cursor.advance(shape, node, values).and_then(|range| blobs.get(range));
        if node.kind == Kind::Str && text.is_none_or(|text| std::str::from_utf8(text).is_err()) {
            return Err(MalformedMessage::new("a string is not valid UTF-8"));
        }
        if node.kind.has_dtype() {
            let axes = &values[node.value_at as usize..][..usize::from(node.ndim)];
            let itemsize = shape.dtypes[node.aux as usize].itemsize.max(1) as u64; // as numpy counts
            let bytes = axes
                .iter()
                .filter(|&&axis| axis > 0)
                .try_fold(itemsize, |bytes, &axis| bytes.checked_mul(axis));
            if node.ndim > MOST_AXES || bytes.is_none_or(|bytes| i64::try_from(bytes).is_err()) {
                return Err(MalformedMessage::new("an array has axes that no array can have"));
            }
        }
    }
    Ok(())
}
