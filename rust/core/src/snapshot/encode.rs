//! From events to a shape and its values.
//!
//! The encoder walks beside the shape that it expects (the last one). While each event agrees with it, an event costs a
//! comparison and a push; at the first that does not, it copies the agreed part of the byte form and records from there.

use std::ops::Range;
use std::sync::Arc;

use super::shape::{Key, Kind, NO_KEY, Node, Shape, zigzag};
use super::{ARRAY_ALIGN_WORDS, words_for};

/// Bytes that an encoder was handed, and where they go.
#[derive(Debug)]
pub struct PlacedBlob<B> {
    /// Words from the start of the blob region.
    pub offset: usize,
    /// The bytes, or what keeps them alive.
    pub bytes: B,
}

/// Collects one snapshot; `B` is whatever holds a blob's bytes until they are published.
#[derive(Debug)]
pub struct Encoder<B> {
    expected: Option<Arc<Shape>>,
    cursor: usize,
    recording: bool,
    record: Vec<u8>,
    values: Vec<u64>,
    blobs: Vec<PlacedBlob<B>>,
    blob_words: usize,
}

impl<B> Default for Encoder<B> {
    fn default() -> Self {
        Self {
            expected: None,
            cursor: 0,
            recording: true,
            record: Vec::new(),
            values: Vec::new(),
            blobs: Vec::new(),
            blob_words: 0,
        }
    }
}

impl<B> Encoder<B> {
    /// Starts over; `expected` is the shape that the next snapshot probably has.
    #[inline]
    pub fn start(&mut self, expected: Option<&Arc<Shape>>) {
        match (&self.expected, expected) {
            (Some(have), Some(want)) if Arc::ptr_eq(have, want) => {}
            _ => self.expected = expected.cloned(),
        }
        self.cursor = 0;
        self.recording = expected.is_none();
        self.record.clear();
        self.values.clear();
        self.blobs.clear();
        self.blob_words = 0;
    }

    /// Drops what the blobs hold on to.
    pub fn release(&mut self) {
        self.blobs.clear();
    }

    /// The value words so far.
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

    /// `None` when the finished snapshot has the expected shape, else the byte form of its own.
    pub fn recorded(&self) -> Option<&[u8]> {
        self.recording.then_some(&self.record)
    }

    /// The index into [`Shape::keys`] of the key that is expected now, if all agreed so far.
    #[inline]
    pub fn expected_key(&self) -> Option<usize> {
        match self.node() {
            Some(node) if node.key != NO_KEY => Some(node.key as usize),
            _ => None,
        }
    }

    #[inline]
    fn node(&self) -> Option<&Node> {
        if self.recording { None } else { self.expected.as_ref()?.nodes.get(self.cursor) }
    }

    /// Takes a node of this kind and `aux` from the expected shape, or starts to record.
    #[inline]
    fn agree(&mut self, kind: Kind, aux: Option<u32>) -> bool {
        if let Some(node) = self.node() {
            if node.kind == kind && aux.is_none_or(|aux| aux == node.aux) {
                self.cursor += 1;
                return true;
            }
            self.diverge(node.tag_at as usize);
        }
        self.record.push(kind as u8);
        false
    }

    #[cold]
    fn diverge(&mut self, at: usize) {
        if let Some(shape) = &self.expected {
            self.record.extend_from_slice(&shape.bytes[..at]);
        }
        self.recording = true;
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.record.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.record.push(value as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.record.extend_from_slice(bytes);
    }

    /// Takes as many of the expected nodes as `leaf` gives a word for: the short way for leaves that are what they were.
    #[inline]
    pub fn run(&mut self, mut leaf: impl FnMut(&Node) -> Option<u64>) {
        let Some(shape) = self.expected.as_deref().filter(|_| !self.recording) else {
            return;
        };
        for node in &shape.nodes[self.cursor.min(shape.nodes.len())..] {
            let Some(word) = leaf(node) else { return };
            debug_assert!(node.kind.is_number());
            self.values.push(word);
            self.cursor += 1;
        }
    }

    /// The key of the next value. A caller that knows it to be [`Self::expected_key`] need not send it.
    #[inline]
    pub fn key_str(&mut self, key: &str) {
        if let (Some(node), Some(shape)) = (self.node(), &self.expected) {
            if matches!(shape.keys.get(node.key as usize), Some(Key::Str(want)) if **want == *key) {
                return;
            }
            self.diverge(node.key_at as usize);
        }
        self.record.push(0);
        self.bytes(key.as_bytes());
    }

    /// The key of the next value.
    pub fn key_int(&mut self, key: i64) {
        if let (Some(node), Some(shape)) = (self.node(), &self.expected) {
            if matches!(shape.keys.get(node.key as usize), Some(Key::Int(want)) if *want == key) {
                return;
            }
            self.diverge(node.key_at as usize);
        }
        self.record.push(1);
        self.number(zigzag(key));
    }

    /// The key of the next value: two's complement, little endian.
    pub fn key_bigint(&mut self, key: &[u8]) {
        if let (Some(node), Some(shape)) = (self.node(), &self.expected) {
            if matches!(shape.keys.get(node.key as usize), Some(Key::BigInt(want)) if **want == *key) {
                return;
            }
            self.diverge(node.key_at as usize);
        }
        self.record.push(2);
        self.bytes(key);
    }

    /// `None`.
    #[inline]
    pub fn none(&mut self) {
        self.agree(Kind::None, None);
    }

    /// A `bool`.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.agree(Kind::Bool, None);
        self.values.push(u64::from(value));
    }

    /// An `int` of at most 64 bits.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.agree(Kind::Int, None);
        self.values.push(value as u64);
    }

    /// A `float`.
    #[inline]
    pub fn float(&mut self, value: f64) {
        self.agree(Kind::Float, None);
        self.values.push(value.to_bits());
    }

    /// An `int` of any size: two's complement, little endian.
    pub fn bigint(&mut self, bytes: B, len: usize) {
        self.agree(Kind::BigInt, None);
        self.text(bytes, len);
    }

    /// A `str`: UTF-8.
    #[inline]
    pub fn str(&mut self, utf8: B, len: usize) {
        self.agree(Kind::Str, None);
        self.text(utf8, len);
    }

    /// A `bytes`.
    #[inline]
    pub fn byte_string(&mut self, bytes: B, len: usize) {
        self.agree(Kind::Bytes, None);
        self.text(bytes, len);
    }

    fn text(&mut self, bytes: B, len: usize) {
        self.values.push(len as u64);
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
        if !self.agree(kind, Some(len as u32)) {
            self.number(len as u64);
        }
    }

    /// A numpy scalar: its bytes, zero-padded to whole words.
    pub fn scalar(&mut self, dtype: &str, itemsize: usize, words: &[u64]) {
        debug_assert_eq!(words.len(), words_for(itemsize));
        self.dtype(Kind::Scalar, None, dtype, itemsize);
        self.values.extend_from_slice(words);
    }

    /// A numpy array or torch tensor in C order; `len` is its length in bytes.
    pub fn array(&mut self, kind: Kind, dtype: &str, itemsize: usize, dims: &[u64], bytes: B, len: usize) {
        debug_assert!(matches!(kind, Kind::Array | Kind::Tensor));
        self.dtype(kind, Some(dims.len() as u8), dtype, itemsize);
        self.values.extend_from_slice(dims);
        self.place(self.blob_words.next_multiple_of(ARRAY_ALIGN_WORDS), bytes, len);
    }

    fn dtype(&mut self, kind: Kind, ndim: Option<u8>, name: &str, itemsize: usize) {
        if let (Some(node), Some(shape)) = (self.node(), &self.expected) {
            if node.kind == kind && ndim.is_none_or(|ndim| ndim == node.ndim) {
                let dtype = &shape.dtypes[node.aux as usize];
                if dtype.itemsize == itemsize && *dtype.name == *name {
                    self.cursor += 1;
                    return;
                }
            }
            self.diverge(node.tag_at as usize);
        }
        self.record.push(kind as u8);
        if let Some(ndim) = ndim {
            self.record.push(ndim);
        }
        self.number(itemsize as u64);
        self.bytes(name.as_bytes());
    }

    /// The child `node` of the root of `shape` as it stands in an earlier snapshot with these `values`, its key
    /// included. `blob` gives what holds the bytes of a range of that snapshot's blob region (in bytes).
    pub fn splice(
        &mut self,
        shape: &Arc<Shape>,
        node: usize,
        values: &[u64],
        blobs: &mut BlobCursor,
        blob: impl Fn(Range<usize>) -> B,
    ) {
        let next = shape.nodes[node].end as usize;
        let same = self.expected.as_ref().is_some_and(|expected| Arc::ptr_eq(expected, shape));
        if !self.recording && same && self.cursor == node {
            self.cursor = next;
        } else {
            if let Some(here) = self.node() {
                self.diverge(here.key_at as usize);
            }
            self.record.extend_from_slice(&shape.bytes[shape.byte_range(node)]);
        }
        self.values.extend_from_slice(&values[shape.value_range(node)]);
        if shape.has_blobs {
            for node in &shape.nodes[node..next] {
                // The values were checked when the snapshot was read, so a place is always found.
                if let Some(range) = blobs.advance(shape, node, values) {
                    let aligned = matches!(node.kind, Kind::Array | Kind::Tensor);
                    let align = if aligned { ARRAY_ALIGN_WORDS } else { 1 };
                    let len = range.len();
                    self.place(self.blob_words.next_multiple_of(align), blob(range), len);
                }
            }
        }
    }
}

/// Finds each leaf's blob in turn: its place follows from the lengths before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlobCursor {
    words: usize,
}

impl BlobCursor {
    /// The byte range of the node's blob, `None` if the node has none or if its length overflows. Nodes must come in
    /// preorder, each once.
    #[inline]
    pub fn advance(&mut self, shape: &Shape, node: &Node, values: &[u64]) -> Option<Range<usize>> {
        let at = node.value_at as usize;
        let (start, len) = match node.kind {
            Kind::BigInt | Kind::Str | Kind::Bytes => (self.words, usize::try_from(*values.get(at)?).ok()?),
            Kind::Array | Kind::Tensor => {
                let mut len = shape.dtypes[node.aux as usize].itemsize;
                let dims = values.get(at..at + usize::from(node.ndim))?;
                // An empty axis makes the array empty however long the others claim to be.
                if dims.contains(&0) {
                    len = 0;
                } else {
                    for &dim in dims {
                        len = len.checked_mul(usize::try_from(dim).ok()?)?;
                    }
                }
                (self.words.checked_next_multiple_of(ARRAY_ALIGN_WORDS)?, len)
            }
            _ => return None,
        };
        let byte = start.checked_mul(8)?;
        let end = byte.checked_add(len)?;
        self.words = start.checked_add(words_for(len))?;
        Some(byte..end)
    }
}
