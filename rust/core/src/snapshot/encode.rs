//! Encoding: events become a shape and its values.
//!
//! The encoder follows the shape that it expects (the last one). While the events match it, an event costs a comparison and a
//! push. At the first mismatch it copies the part of the byte form that matched, and records from there.

mod expected;
mod splice;

use std::sync::Arc;

use super::cache::{NumberedShape, ShapeCache};
use super::payload::{Payload, PlacedBlob};
use super::shape::{Key, Kind, MalformedShape, NO_KEY, Node, zigzag};
use super::{ARRAY_ALIGN_WORDS, put_words, words_for};

pub use expected::Expected;

/// Collects one snapshot. `B` is the type that holds a blob's bytes until they are published.
#[derive(Debug)]
pub struct Encoder<B> {
    expected: Arc<NumberedShape>,
    /// The node that is expected next, or [`RECORDING`].
    cursor: usize,
    record: Vec<u8>,
    /// The record as words, once it is finished.
    recorded: Vec<u64>,
    /// The words so far. Behind them, unless recording, are words of an earlier snapshot.
    values: Vec<u64>,
    blobs: Vec<PlacedBlob<B>>,
    blob_words: usize,
}

/// A cursor beyond all nodes: no shape is expected.
const RECORDING: usize = usize::MAX;

impl<B> Default for Encoder<B> {
    fn default() -> Self {
        Self {
            expected: Arc::default(),
            cursor: RECORDING,
            record: Vec::new(),
            recorded: Vec::new(),
            values: Vec::new(),
            blobs: Vec::new(),
            blob_words: 0,
        }
    }
}

impl<B> Encoder<B> {
    /// Starts over; `expected` is the shape that the next snapshot probably has.
    #[inline(always)]
    pub fn start(&mut self, expected: Option<&Arc<NumberedShape>>) {
        match expected {
            Some(shape) => {
                if !Arc::ptr_eq(&self.expected, shape) {
                    self.expected = Arc::clone(shape);
                }
                self.cursor = 0;
                self.values.truncate(shape.shape.value_words);
            }
            None => {
                self.cursor = RECORDING;
                self.values.clear();
            }
        }
        self.record.clear();
        self.blobs.clear();
        self.blob_words = 0;
    }

    /// Encodes a whole snapshot of this shape from its words, in which the caller may replace numbers. Its blobs, if any, are
    /// empty.
    #[inline]
    pub fn repeat(&mut self, shape: &Arc<NumberedShape>, values: &[u64]) -> &mut [u64] {
        debug_assert_eq!(values.len(), shape.shape.value_words);
        self.start(Some(shape));
        self.cursor = shape.shape.nodes.len();
        self.values.clear();
        self.values.extend_from_slice(values);
        &mut self.values
    }

    /// Drops the blobs and what they keep alive.
    pub fn release(&mut self) {
        self.blobs.clear();
    }

    /// The finished snapshot. `shapes` gives its shape an id; it must also have given one to the expected shape.
    ///
    /// # Errors
    /// [`MalformedShape`] if the events do not form a snapshot.
    #[inline]
    pub fn finish<T: Default>(
        &mut self,
        shapes: &mut ShapeCache<T>,
    ) -> Result<Payload<'_, B>, MalformedShape> {
        let (shape_id, shape, shape_len) = if self.is_recording() {
            let id = shapes.id_of(&self.record)?;
            put_words(&mut self.recorded, &self.record);
            (id, &self.recorded, self.record.len())
        } else {
            (self.expected.id, &self.expected.words, self.expected.shape.bytes.len())
        };
        let (values, blobs, blob_words) = (&self.values, &self.blobs, self.blob_words);
        Ok(Payload { shape_id, shape, shape_len, values, blobs, blob_words })
    }

    /// The value words of the finished snapshot.
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// Exchanges the value words with `other`, to keep those of the last snapshot without a copy.
    pub fn swap_values(&mut self, other: &mut Vec<u64>) {
        std::mem::swap(&mut self.values, other);
    }

    /// The blobs so far, by offset.
    pub fn blobs(&self) -> &[PlacedBlob<B>] {
        &self.blobs
    }

    /// Words that the blobs take.
    pub fn blob_words(&self) -> usize {
        self.blob_words
    }

    /// Whether the snapshot does not match the expected shape, so that it is being recorded.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.cursor == RECORDING
    }

    /// `None` if the finished snapshot has the expected shape, otherwise the byte form of its shape.
    pub fn recorded(&self) -> Option<&[u8]> {
        self.is_recording().then_some(&self.record)
    }

    /// The index of the key that is expected next, if all events have matched so far.
    #[inline]
    pub fn expected_key(&self) -> Option<usize> {
        match self.node() {
            Some(node) if node.key != NO_KEY => Some(node.key as usize),
            _ => None,
        }
    }

    /// The kind that is expected next, if all events have matched so far.
    #[inline]
    pub fn expected_kind(&self) -> Option<Kind> {
        self.node().map(|node| node.kind)
    }

    #[inline]
    fn key(&self) -> Option<Key<'_>> {
        self.expected.shape.key(self.node()?.key as usize)
    }

    #[inline]
    fn node(&self) -> Option<&Node> {
        self.expected.shape.nodes.get(self.cursor)
    }

    /// A bool, an int or a float, as a word.
    #[inline]
    pub fn number(&mut self, kind: Kind, word: u64) {
        debug_assert!(kind.is_number());
        self.word(kind, word);
    }

    /// A leaf of this kind with one word.
    #[inline]
    fn word(&mut self, kind: Kind, word: u64) {
        match self.expected.shape.nodes.get(self.cursor) {
            Some(node) if node.kind == kind => {
                match self.values.get_mut(node.value_at as usize) {
                    Some(value) => *value = word,
                    None => self.values.push(word),
                }
                self.cursor += 1;
            }
            _ => {
                self.diverge(|node| node.tag_at);
                self.record.push(kind as u8);
                self.values.push(word);
            }
        }
    }

    /// Stores the words of a leaf: at `at` if it was expected there, otherwise at the end.
    fn words(&mut self, at: Option<usize>, words: &[u64]) {
        let at = at.unwrap_or(self.values.len());
        if self.values.len() < at + words.len() {
            self.values.resize(at + words.len(), 0);
        }
        self.values[at..at + words.len()].copy_from_slice(words);
    }

    /// Starts recording: keeps the expected byte form up to `at` of the expected node, and the words before it.
    fn diverge(&mut self, at: fn(&Node) -> u32) {
        if !self.is_recording() {
            self.record_agreed(at);
        }
    }

    #[cold]
    fn record_agreed(&mut self, at: fn(&Node) -> u32) {
        if let Some(node) = self.node() {
            let (bytes, words) = (at(node), node.value_at);
            self.record.extend_from_slice(&self.expected.shape.bytes[..bytes as usize]);
            self.values.truncate(words as usize);
        }
        self.cursor = RECORDING;
    }

    fn leb128(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.record.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.record.push(value as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.leb128(bytes.len() as u64);
        self.record.extend_from_slice(bytes);
    }

    /// The fast path for leaves that match the expected shape: see [`Expected`].
    #[inline]
    pub fn expected(&mut self) -> Expected<'_> {
        Expected { nodes: &self.expected.shape.nodes, values: &mut self.values, cursor: &mut self.cursor }
    }

    /// The key of the next value. A caller that knows that it equals [`Self::expected_key`] need not send it.
    #[inline]
    pub fn key_str(&mut self, key: &str) {
        if matches!(self.key(), Some(Key::Str(want)) if want == key) {
            return;
        }
        self.diverge(|node| node.key_at);
        if key.len() < 0x80 {
            self.record.extend_from_slice(&[0, key.len() as u8]);
            self.record.extend_from_slice(key.as_bytes());
        } else {
            self.record.push(0);
            self.bytes(key.as_bytes());
        }
    }

    /// The key of the next value.
    pub fn key_int(&mut self, key: i64) {
        if matches!(self.key(), Some(Key::Int(want)) if want == key) {
            return;
        }
        self.diverge(|node| node.key_at);
        self.record.push(1);
        self.leb128(zigzag(key));
    }

    /// The key of the next value: two's complement, little endian.
    pub fn key_bigint(&mut self, key: &[u8]) {
        if matches!(self.key(), Some(Key::BigInt(want)) if *want == *key) {
            return;
        }
        self.diverge(|node| node.key_at);
        self.record.push(2);
        self.bytes(key);
    }

    /// `None`.
    #[inline]
    pub fn none(&mut self) {
        if self.node().is_some_and(|node| node.kind == Kind::None) {
            self.cursor += 1;
            return;
        }
        self.diverge(|node| node.tag_at);
        self.record.push(Kind::None as u8);
    }

    /// A `bool`.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.word(Kind::Bool, u64::from(value));
    }

    /// An `int` of at most 64 bits.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.word(Kind::Int, value as u64);
    }

    /// A `float`.
    #[inline]
    pub fn float(&mut self, value: f64) {
        self.word(Kind::Float, value.to_bits());
    }

    /// An `int` of any size: two's complement, little endian.
    pub fn bigint(&mut self, bytes: B, len: usize) {
        self.text(Kind::BigInt, bytes, len);
    }

    /// A `str`: UTF-8.
    #[inline]
    pub fn str(&mut self, utf8: B, len: usize) {
        self.text(Kind::Str, utf8, len);
    }

    /// A `bytes`.
    #[inline]
    pub fn byte_string(&mut self, bytes: B, len: usize) {
        self.text(Kind::Bytes, bytes, len);
    }

    fn text(&mut self, kind: Kind, bytes: B, len: usize) {
        self.word(kind, len as u64);
        self.place(self.blob_words, bytes, len);
    }

    fn place(&mut self, offset: usize, bytes: B, len: usize) {
        self.blob_words = offset + words_for(len);
        if len > 0 {
            self.blobs.push(PlacedBlob { offset, bytes });
        }
    }

    /// A container; exactly `len` children must follow.
    #[inline]
    pub fn container(&mut self, kind: Kind, len: usize) {
        debug_assert!(kind.is_container());
        if self.node().is_some_and(|node| node.kind == kind && node.aux == len as u32) {
            self.cursor += 1;
        } else {
            self.record_container(kind, len);
        }
    }

    #[inline(never)]
    fn record_container(&mut self, kind: Kind, len: usize) {
        self.diverge(|node| node.tag_at);
        self.record.push(kind as u8);
        self.leb128(len as u64);
    }

    /// A numpy scalar: its bytes, zero-padded to whole words.
    pub fn scalar(&mut self, dtype: &str, itemsize: usize, words: &[u64]) {
        debug_assert_eq!(words.len(), words_for(itemsize));
        let at = self.dtype(Kind::Scalar, None, dtype, itemsize);
        self.words(at, words);
    }

    /// A numpy array or torch tensor in C order; `len` is its length in bytes.
    pub fn array(&mut self, kind: Kind, dtype: &str, itemsize: usize, dims: &[u64], bytes: B, len: usize) {
        debug_assert!(matches!(kind, Kind::Array | Kind::Tensor));
        let at = self.dtype(kind, Some(dims.len() as u8), dtype, itemsize);
        self.words(at, dims);
        self.place(self.blob_words.next_multiple_of(ARRAY_ALIGN_WORDS), bytes, len);
    }

    /// Where the words of an array, tensor or scalar go, if it was expected.
    fn dtype(&mut self, kind: Kind, ndim: Option<u8>, name: &str, itemsize: usize) -> Option<usize> {
        if let Some(node) = self.node()
            && node.kind == kind
            && ndim.is_none_or(|ndim| ndim == node.ndim)
        {
            let dtype = &self.expected.shape.dtypes[node.aux as usize];
            if dtype.itemsize == itemsize && *dtype.name == *name {
                let at = node.value_at as usize;
                self.cursor += 1;
                return Some(at);
            }
        }
        self.diverge(|node| node.tag_at);
        self.record.push(kind as u8);
        if let Some(ndim) = ndim {
            self.record.push(ndim);
        }
        self.leb128(itemsize as u64);
        self.bytes(name.as_bytes());
        None
    }
}
