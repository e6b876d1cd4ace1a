//! Single values of the newest snapshot, by path.

use super::{Reader, WordAt};
use crate::directory::Role;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::snapshot::blobs::BlobCursor;
use crate::snapshot::decode::check;
use crate::snapshot::lookup::{KeyPath, NoPath};
use crate::snapshot::shape::{Dtype, Kind, Shape};

/// Number of reads after which one looks at more than the slot: somebody may have removed the file without marking it.
const LOOK_EVERY: u32 = 256;

/// One value of the newest snapshot: a handle that remembers where the value is. Made by [`Reader::key`].
///
/// While the structure of the snapshots stays the same, reading a bool, int or float only reads its word. Reading anything else,
/// and the first read after a change of structure, copies the snapshot into memory that the key keeps.
///
/// Each read gives the newest value: two keys that are read one after the other may see two snapshots. Publish values that belong
/// together under one key, as a list or an array, or copy a whole [`Snapshot`] with [`Reader::read_into`].
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # use traincast_core::{directory::{ChannelName, Directory}, reader::Reader};
/// # fn of_an_env(directory: &Directory) -> traincast_core::error::Result<f64> {
/// let mut reader = Reader::attach(directory, ChannelName::new("my-run", 0)?, Duration::from_secs(10))?;
/// let mut goal = reader.key("reward_shaping.goal").expect("it is a path");
/// let coefficient = goal.f64(&mut reader)?.unwrap_or(1.0); // at each reset
/// # Ok(coefficient)
/// # }
/// ```
#[derive(Debug)]
pub struct Key {
    path: KeyPath,
    /// The shape of `snapshot`. `number` may be of a newer snapshot.
    shape: Shape,
    snapshot: Snapshot,
    node: Option<usize>,
    /// Where its bytes are among the blobs.
    blob: std::ops::Range<usize>,
    number: Option<(WordAt, u64)>,
    look_in: u32,
}

/// What a key leads to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Leaf<'a> {
    /// `None`.
    None,
    /// A `bool`.
    Bool(bool),
    /// An `int` of at most 64 bits.
    Int(i64),
    /// A `float`.
    Float(f64),
    /// A larger `int`: two's complement, little endian.
    BigInt(&'a [u8]),
    /// A `str`.
    Str(&'a str),
    /// A `bytes`.
    Bytes(&'a [u8]),
    /// A numpy scalar: its bytes, padded to words.
    Scalar(&'a Dtype, &'a [u64]),
    /// An array or tensor: the length of each axis, and its bytes in C order, aligned to 64.
    Array(&'a Dtype, &'a [u64], &'a [u8]),
    /// A list, tuple or dict of so many items.
    Container(Kind, usize),
}

impl Reader {
    /// A key by its dotted path: `"reward_shaping.goal"`, or with an index of a list or tuple `"layers.0"`. Whether there is such
    /// a value is only known when it is read. For other paths see [`Key::of`].
    ///
    /// # Errors
    /// [`NoPath`]: the path is empty or has an empty name in it.
    pub fn key(&self, path: &str) -> std::result::Result<Key, NoPath> {
        KeyPath::dotted(path).map(Key::of)
    }
}

impl Key {
    /// A key for any path.
    pub fn of(path: KeyPath) -> Self {
        let (shape, snapshot) = (Shape::default(), Snapshot::default());
        Self { path, shape, snapshot, node: None, blob: 0..0, number: None, look_in: LOOK_EVERY }
    }

    /// The newest value; `None` if the newest snapshot has none at this path.
    ///
    /// # Errors
    /// [`Error::CorruptChannel`]. The next call tries again.
    pub fn get(&mut self, reader: &mut Reader) -> Result<Option<Leaf<'_>>> {
        self.look(reader)?;
        self.node.map(|node| self.leaf(node)).transpose().map_err(|why| damaged(reader, why))
    }

    /// The newest value of a bool, int or float as a number; `None` if there is no such value.
    ///
    /// # Errors
    /// As [`Key::get`].
    #[inline]
    pub fn f64(&mut self, reader: &mut Reader) -> Result<Option<f64>> {
        Ok(self.number(reader)?.map(|(kind, word)| match kind {
            Kind::Float => f64::from_bits(word),
            Kind::Bool => f64::from(u8::from(word != 0)),
            _ => word as i64 as f64,
        }))
    }

    /// The newest value as a whole number; `None` if it is not a bool or int.
    ///
    /// # Errors
    /// As [`Key::get`].
    #[inline]
    pub fn i64(&mut self, reader: &mut Reader) -> Result<Option<i64>> {
        Ok(self.number(reader)?.and_then(|(kind, word)| match kind {
            Kind::Float => None,
            Kind::Bool => Some((word != 0).into()),
            _ => Some(word as i64),
        }))
    }

    /// The newest value, if it is a bool.
    ///
    /// # Errors
    /// As [`Key::get`].
    #[inline]
    pub fn bool(&mut self, reader: &mut Reader) -> Result<Option<bool>> {
        Ok(self.number(reader)?.and_then(|(kind, word)| (kind == Kind::Bool).then_some(word != 0)))
    }

    #[inline]
    fn number(&mut self, reader: &mut Reader) -> Result<Option<(Kind, u64)>> {
        self.look(reader)?;
        Ok(self.number.and_then(|(_, word)| Some((self.shape.nodes[self.node?].kind, word))))
    }

    /// Brings the key up to date.
    #[inline]
    fn look(&mut self, reader: &mut Reader) -> Result<()> {
        if let Some((at, word)) = &mut self.number
            && self.look_in > 0
            && let Some((_, newest)) = reader.read_word(at)
        {
            self.look_in -= 1;
            *word = newest;
            return Ok(());
        }
        self.copy(reader)
    }

    #[cold]
    fn copy(&mut self, reader: &mut Reader) -> Result<()> {
        self.look_in = LOOK_EVERY;
        let had = self.snapshot.is_filled().then_some((self.snapshot.segment, self.snapshot.meta.position));
        reader.read_into(&mut self.snapshot).inspect_err(|_| self.lose())?;
        if had == Some((self.snapshot.segment, self.snapshot.meta.position)) {
            return Ok(());
        }
        self.find().map_err(|why| {
            self.lose();
            damaged(reader, why)
        })
    }

    fn lose(&mut self) {
        self.snapshot.forget();
        (self.node, self.number) = (None, None);
    }

    /// Finds the value in a snapshot that was just copied.
    fn find(&mut self) -> std::result::Result<(), String> {
        let meta = &self.snapshot.meta;
        if !self.snapshot.shape_kept {
            let shape = std::mem::take(&mut self.shape).parse_again(&self.snapshot.shape, meta.shape_len);
            self.shape = shape.map_err(|why| why.to_string())?;
            self.node = self.shape.find(&self.path).ok();
        }
        check(&self.shape, &self.snapshot.values, self.blobs()).map_err(|why| why.to_string())?;
        let Some(node) = self.node else {
            self.number = None;
            return Ok(());
        };
        let (mut cursor, mut blob) = (BlobCursor::default(), 0..0);
        if self.shape.nodes[node].kind.has_blob() {
            for node in self.shape.nodes[..=node].iter().filter(|node| node.kind.has_blob()) {
                blob = cursor.advance(&self.shape, node, &self.snapshot.values).unwrap_or_default();
            }
        }
        self.blob = blob;
        let at = WordAt::of(&self.snapshot, &self.shape, node);
        self.number = at.map(|at| (at, self.snapshot.values[self.shape.nodes[node].value_at as usize]));
        Ok(())
    }

    fn blobs(&self) -> &[u8] {
        if self.snapshot.meta.blob_words > 0 { self.snapshot.blobs.bytes() } else { &[] }
    }

    fn leaf(&self, index: usize) -> std::result::Result<Leaf<'_>, String> {
        let node = &self.shape.nodes[index];
        let words = &self.snapshot.values[self.shape.value_range(index)];
        let word = self.number.map_or(0, |(_, word)| word);
        let blob = &self.blobs()[self.blob.clone()];
        Ok(match node.kind {
            Kind::None => Leaf::None,
            Kind::Bool => Leaf::Bool(word != 0),
            Kind::Int => Leaf::Int(word as i64),
            Kind::Float => Leaf::Float(f64::from_bits(word)),
            Kind::BigInt => Leaf::BigInt(blob),
            Kind::Str => Leaf::Str(std::str::from_utf8(blob).map_err(|_| "a string is not valid UTF-8")?),
            Kind::Bytes => Leaf::Bytes(blob),
            Kind::Scalar => Leaf::Scalar(&self.shape.dtypes[node.aux as usize], words),
            Kind::Array | Kind::Tensor => Leaf::Array(&self.shape.dtypes[node.aux as usize], words, blob),
            Kind::List | Kind::Tuple | Kind::Dict => Leaf::Container(node.kind, node.aux as usize),
        })
    }
}

fn damaged(reader: &Reader, why: String) -> Error {
    Error::corrupt(reader.directory().join(&reader.name().file(Role::Segment)), why)
}
