//! A snapshot's structure: its byte form, and the table that it is parsed into.
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

use std::borrow::Cow;

use super::{MAX_DEPTH, words_for};

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
    /// A numpy scalar: its bytes, in as many words as they take.
    Scalar = 10,
    /// A numpy array: a word for each axis; an aligned blob in C order.
    Array = 11,
    /// A torch tensor: as an array.
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

    /// Whether the node is one word, the number itself.
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
    /// The same key, of no shape.
    pub fn into_owned(self) -> Key<'static> {
        match self {
            Self::Str(text) => Key::Str(text.into_owned().into()),
            Self::Int(int) => Key::Int(int),
            Self::BigInt(bytes) => Key::BigInt(bytes.into_owned().into()),
        }
    }
}

/// Where a key lies in its shape: there may be many, and nothing is allocated for one.
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

/// `Node::key` of a node that is not a dictionary's.
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
    /// What [`Shape::key`] wants, or [`NO_KEY`].
    pub key: u32,
    /// Index of its first value word.
    pub value_at: u32,
    /// Index of the node after its subtree.
    pub end: u32,
    /// Where its key (or, without one, its tag) starts in the byte form.
    pub key_at: u32,
    /// Where its tag starts in the byte form.
    pub tag_at: u32,
    /// How many bools, ints and floats, one word each, stand here in a row.
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
    /// All keys that are strings, one behind the other.
    texts: String,
    /// Its dtypes in the order of the byte form.
    pub dtypes: Vec<Dtype>,
    /// How many value words a snapshot of this shape has.
    pub value_words: usize,
    /// Whether any leaf has a blob.
    pub has_blobs: bool,
}

/// The byte form is not one that an encoder makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shape is malformed at byte {at}: {what}")]
pub struct MalformedShape {
    /// Where.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl Shape {
    /// Parses and checks a byte form. Never allocates more than a small multiple of `bytes`.
    ///
    /// # Errors
    /// [`MalformedShape`] for anything that no encoder makes.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, MalformedShape> {
        let bytes = bytes.into();
        let mut shape = Parser::new(&bytes).root()?;
        shape.bytes = bytes;
        Ok(shape)
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The key with that index, in the order of the byte form.
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

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    shape: Shape,
    /// What becomes [`Shape::texts`].
    texts: Vec<u8>,
}

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, shape: Shape::default(), texts: Vec::with_capacity(bytes.len()) }
    }

    fn root(mut self) -> Result<Shape, MalformedShape> {
        if u32::try_from(self.bytes.len()).is_err() {
            return Err(self.error("longer than 4 GiB"));
        }
        if self.bytes.first() != Some(&(Kind::Dict as u8)) {
            return Err(self.error("the root is not a dictionary"));
        }
        self.node(NO_KEY, 0, 1)?;
        if self.at != self.bytes.len() {
            return Err(self.error("bytes after the root"));
        }
        let mut run = 0;
        for node in self.shape.nodes.iter_mut().rev() {
            run = if node.kind.is_number() { run + 1 } else { 0 };
            node.run = run;
        }
        // All at once: looked at one by one, keys as short as these cost several times as much.
        let malformed = MalformedShape { at: self.at, what: "a key is not UTF-8" };
        let mut shape = self.shape;
        shape.texts = String::from_utf8(self.texts).map_err(|_| malformed)?;
        for key in &shape.keys {
            if matches!(key, KeyAt::Str(start, _) if !shape.texts.is_char_boundary(*start as usize)) {
                return Err(malformed);
            }
        }
        Ok(shape)
    }

    fn error(&self, what: &'static str) -> MalformedShape {
        MalformedShape { at: self.at, what }
    }

    fn byte(&mut self) -> Result<u8, MalformedShape> {
        let byte = *self.bytes.get(self.at).ok_or(self.error("it ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, MalformedShape> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, MalformedShape> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a number over 64 bits"))
    }

    /// A count of things that take at least a byte each, so it cannot exceed what is left.
    fn count(&mut self) -> Result<usize, MalformedShape> {
        let count = self.number()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.bytes.len() - self.at => Ok(count),
            _ => Err(self.error("a length beyond the end")),
        }
    }

    fn take(&mut self) -> Result<&'a [u8], MalformedShape> {
        let len = self.count()?;
        self.at += len;
        Ok(&self.bytes[self.at - len..self.at])
    }

    fn text(&mut self) -> Result<Box<str>, MalformedShape> {
        let at = self.at;
        match std::str::from_utf8(self.take()?) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(MalformedShape { at, what: "not UTF-8" }),
        }
    }

    fn key(&mut self) -> Result<u32, MalformedShape> {
        let key = match self.byte()? {
            0 => {
                let start = self.texts.len() as u32;
                let text = self.take()?;
                self.texts.extend_from_slice(text);
                KeyAt::Str(start, self.texts.len() as u32)
            }
            1 => KeyAt::Int(unzigzag(self.number()?)),
            2 => {
                let len = self.take()?.len();
                KeyAt::BigInt((self.at - len) as u32, self.at as u32)
            }
            _ => return Err(self.error("an unknown kind of key")),
        };
        self.shape.keys.push(key);
        Ok(self.shape.keys.len() as u32 - 1)
    }

    fn dtype(&mut self) -> Result<u32, MalformedShape> {
        let itemsize = self.number()?;
        // A numpy string of 2 GiB is the largest item that any array has.
        let itemsize = usize::try_from(itemsize)
            .ok()
            .filter(|&n| n < 1 << 31)
            .ok_or(self.error("an absurd item size"))?;
        let name = self.text()?;
        self.shape.dtypes.push(Dtype { name, itemsize });
        Ok(self.shape.dtypes.len() as u32 - 1)
    }

    fn node(&mut self, key: u32, key_at: usize, depth: usize) -> Result<(), MalformedShape> {
        let tag_at = self.at;
        let tag = self.byte()?;
        let kind = Kind::from_tag(tag).ok_or(self.error("an unknown tag"))?;
        let index = self.shape.nodes.len();
        let value_at = self.shape.value_words;
        let key_at = if key == NO_KEY { tag_at } else { key_at };
        self.shape.nodes.push(Node {
            kind,
            ndim: 0,
            aux: 0,
            key,
            value_at: u32::try_from(value_at).map_err(|_| self.error("too many values"))?,
            end: 0,
            key_at: key_at as u32,
            tag_at: tag_at as u32,
            run: 0,
        });
        self.shape.has_blobs |= kind.has_blob();
        let (mut ndim, mut aux, mut words) = (0, 0, 0);
        match kind {
            Kind::None => {}
            Kind::Bool | Kind::Int | Kind::Float | Kind::BigInt | Kind::Str | Kind::Bytes => words = 1,
            Kind::Scalar => {
                aux = self.dtype()?;
                words = words_for(self.shape.dtypes[aux as usize].itemsize);
            }
            Kind::Array | Kind::Tensor => {
                ndim = self.byte()?;
                aux = self.dtype()?;
                words = usize::from(ndim);
            }
            Kind::List | Kind::Tuple | Kind::Dict => {
                let len = self.count()?;
                aux = len as u32;
                if depth > MAX_DEPTH {
                    return Err(self.error("nested too deeply"));
                }
                // No more than a node, and a key, for each byte that is left.
                self.shape.nodes.reserve(len);
                if kind == Kind::Dict {
                    self.shape.keys.reserve(len);
                }
                for _ in 0..len {
                    let key_at = self.at;
                    let key = if kind == Kind::Dict { self.key()? } else { NO_KEY };
                    self.node(key, key_at, depth + 1)?;
                }
            }
        }
        self.shape.value_words += words;
        let end = self.shape.nodes.len() as u32;
        let node = &mut self.shape.nodes[index];
        (node.ndim, node.aux, node.end) = (ndim, aux, end);
        Ok(())
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

    #[test]
    fn malformed_bytes_are_refused() {
        for (bytes, what) in [
            (&[][..], "root"),
            (&[2], "root"),
            (&[9], "ends too early"),
            (&[9, 1], "beyond the end"),
            (&[9, 1, 7, 0], "unknown kind of key"),
            (&[9, 1, 0, 1, 0xff, 2], "not UTF-8"),
            (&[9, 2, 0, 1, 0xc3, 2, 0, 1, 0xa9, 2], "not UTF-8"), // one character, half of it in each key
            (&[9, 1, 0, 0, 99], "unknown tag"),
            (&[9, 0, 0], "bytes after the root"),
            (&[9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], "over 64 bits"),
        ] {
            let error = Shape::parse(bytes).expect_err("it is malformed");
            assert!(error.to_string().contains(what), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| {
            let mut bytes = vec![9, 1, 0, 0];
            bytes.extend([7, 1].repeat(depth - 1));
            bytes.push(0);
            Shape::parse(bytes)
        };
        assert!(nested(MAX_DEPTH).is_ok());
        assert!(nested(MAX_DEPTH + 1).is_err());
    }
}
