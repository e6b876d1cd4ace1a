//! A snapshot's structure: its byte form, and the table of nodes into which it is parsed.
//!
//! ```text
//! shape   := node                          the root is a dict
//! node    := tag rest
//! rest    := (nothing)                     none bool int float bigint str bytes
//!          | len node*len                  list tuple
//!          | len (key node)*len            dict
//!          | itemsize len utf8             scalar (numpy): dtype
//!          | ndim itemsize len utf8        array (numpy), tensor (torch): dtype
//! key     := 0 len utf8 | 1 zigzag | 2 len bytes (two's complement, little endian)
//! numbers are LEB128; `tag` and `ndim` are one byte
//! ```

mod parser;

use std::borrow::Cow;

use super::extend_bytes;

/// What a node is. The numbers are the tags of the byte form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `None`; no value word.
    None = 0,
    /// One word: 0 or 1.
    Bool = 1,
    /// One word: an `i64`.
    Int = 2,
    /// One word: the bits of an `f64`.
    Float = 3,
    /// One word: the length in bytes of a two's complement little-endian blob.
    BigInt = 4,
    /// One word: the length in bytes of a UTF-8 blob.
    Str = 5,
    /// One word: the length in bytes of a blob.
    Bytes = 6,
    /// A list of nodes.
    List = 7,
    /// A tuple of nodes.
    Tuple = 8,
    /// A dictionary of nodes.
    Dict = 9,
    /// A numpy scalar: its bytes, padded to words.
    Scalar = 10,
    /// A numpy array: the length of each axis, one word each, and an aligned blob in C order.
    Array = 11,
    /// A torch tensor: like an array.
    Tensor = 12,
}

impl Kind {
    fn from_tag(tag: u8) -> Option<Self> {
        use Kind::*;
        const ALL: [Kind; 13] =
            [None, Bool, Int, Float, BigInt, Str, Bytes, List, Tuple, Dict, Scalar, Array, Tensor];
        ALL.get(usize::from(tag)).copied()
    }

    /// Whether the node has nodes below it.
    pub const fn is_container(self) -> bool {
        matches!(self, Kind::List | Kind::Tuple | Kind::Dict)
    }

    /// Whether the node is a number that is stored in one word.
    pub const fn is_number(self) -> bool {
        matches!(self, Kind::Bool | Kind::Int | Kind::Float)
    }

    /// Whether the node has a dtype.
    pub const fn has_dtype(self) -> bool {
        matches!(self, Kind::Scalar | Kind::Array | Kind::Tensor)
    }

    /// Whether the node has a blob.
    pub const fn has_blob(self) -> bool {
        matches!(self, Kind::BigInt | Kind::Str | Kind::Bytes | Kind::Array | Kind::Tensor)
    }
}

/// A dictionary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// A string.
    Str(Cow<'a, str>),
    /// An integer that fits 64 bits.
    Int(i64),
    /// Any other integer: two's complement, little endian.
    BigInt(Cow<'a, [u8]>),
}

impl Key<'_> {
    /// The same key, independent of its shape.
    pub fn into_owned(self) -> Key<'static> {
        match self {
            Self::Str(text) => Key::Str(text.into_owned().into()),
            Self::Int(int) => Key::Int(int),
            Self::BigInt(bytes) => Key::BigInt(bytes.into_owned().into()),
        }
    }
}

/// Where a key is in its shape. There may be many, and none allocates memory.
#[derive(Clone, Copy, Debug)]
enum KeyAt {
    /// Start and end in `texts`.
    Str(u32, u32),
    Int(i64),
    /// Start and end in `bytes`.
    BigInt(u32, u32),
}

/// The element type of an array, tensor or numpy scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dtype {
    /// numpy's `dtype.str` (`"<f8"`), or torch's name (`"bfloat16"`).
    pub name: Box<str>,
    /// Bytes of one element.
    pub itemsize: usize,
}

/// `Node::key` of a node that is not in a dictionary.
pub const NO_KEY: u32 = u32::MAX;

/// One node of a shape, in preorder.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Axes of an array or tensor.
    pub ndim: u8,
    /// Children of a container; index into [`Shape::dtypes`] of a scalar, array or tensor.
    pub aux: u32,
    /// Index for [`Shape::key`], or [`NO_KEY`].
    pub key: u32,
    /// Index of its first value word.
    pub value_at: u32,
    /// Index of the node after its subtree.
    pub end: u32,
    /// Where its key (or, without one, its tag) starts in the byte form.
    pub key_at: u32,
    /// Where its tag starts in the byte form.
    pub tag_at: u32,
    /// Length of the run of bools, ints and floats that starts here.
    pub run: u32,
}

/// A parsed shape.
#[derive(Debug, Default)]
pub struct Shape {
    /// The byte form.
    pub bytes: Vec<u8>,
    /// Its nodes in preorder; the first is the root dictionary.
    pub nodes: Vec<Node>,
    keys: Vec<KeyAt>,
    /// All string keys, concatenated.
    texts: String,
    /// Its dtypes in the order of the byte form.
    pub dtypes: Vec<Dtype>,
    /// Number of value words in a snapshot of this shape.
    pub value_words: usize,
    /// Whether any leaf has a blob.
    pub has_blobs: bool,
}

/// The byte form is not that of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedShape {
    /// No encoder produces it.
    #[error("the shape is malformed at byte {at}: {what}")]
    At {
        /// Where.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A key occurs twice in a dictionary. The message names both.
    #[error("{0}")]
    RepeatedKey(Box<str>),
}

impl Shape {
    /// Parses and checks a byte form. Never allocates more than a small multiple of `bytes`.
    ///
    /// # Errors
    /// [`MalformedShape`] for anything that no encoder produces.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, MalformedShape> {
        parser::parse(bytes.into(), Self::default())
    }

    /// Parses and checks the first `len` bytes of these words, and reuses the memory of this shape.
    ///
    /// # Errors
    /// [`MalformedShape`] for anything that no encoder produces.
    pub fn parse_again(mut self, words: &[u64], len: usize) -> Result<Self, MalformedShape> {
        let mut bytes = std::mem::take(&mut self.bytes);
        parser::reuse(&mut bytes);
        extend_bytes(&mut bytes, words, len);
        parser::parse(bytes, self)
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The key with this index, in the order of the byte form.
    #[inline]
    pub fn key(&self, index: usize) -> Option<Key<'_>> {
        Some(match *self.keys.get(index)? {
            KeyAt::Str(start, end) => Key::Str(self.texts[start as usize..end as usize].into()),
            KeyAt::Int(int) => Key::Int(int),
            KeyAt::BigInt(start, end) => Key::BigInt(self.bytes[start as usize..end as usize].into()),
        })
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        (0..self.keys.len()).map_while(|index| self.key(index))
    }

    /// The index of each direct child of the root.
    pub fn top_level(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 1;
        std::iter::from_fn(move || {
            let node = self.nodes.get(next)?;
            let at = next;
            next = node.end as usize;
            Some(at)
        })
    }

    /// The value words of a node's subtree.
    pub fn value_range(&self, node: usize) -> std::ops::Range<usize> {
        let end = self.nodes[node].end as usize;
        let stop = self.nodes.get(end).map_or(self.value_words, |next| next.value_at as usize);
        self.nodes[node].value_at as usize..stop
    }

    /// The byte form of a node's subtree, its key included.
    pub fn byte_range(&self, node: usize) -> std::ops::Range<usize> {
        let end = self.nodes[node].end as usize;
        let stop = self.nodes.get(end).map_or(self.bytes.len(), |next| next.key_at as usize);
        self.nodes[node].key_at as usize..stop
    }
}

pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_is_undone() {
        for value in [0, 1, -1, i64::MIN, i64::MAX, 300, -300] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
