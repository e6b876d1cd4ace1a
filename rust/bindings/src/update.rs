//! An update: the last snapshot with some entries of its root changed or added, without a dictionary of the whole.
//!
//! The changes are encoded by themselves. Only when they are stored is the snapshot looked up that they change, so what others
//! publish meanwhile is kept.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::cache::NumberedShape;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{Key, Kind, Shape};

use crate::ffi::{self, Changes};
use crate::shapes::has_key;
use crate::store::{Beside, Encoding, Expected, NotStored, Required, Store, malformed};

/// Entries of the root that are looked through for a key object before it is looked up by its text.
const NEAR: usize = 8;

impl Expected {
    /// The node of an entry of the root. Its key object is the one to expect from now on.
    fn entry(&mut self, name: &Bound<'_, PyString>) -> Option<usize> {
        let (shape, keys) = (&self.numbered.shape, &self.beside.keys);
        let is_named = |&node: &usize| {
            let key = keys.get(shape.nodes[node].key as usize).and_then(Option::as_ref);
            key.is_some_and(|key| key.is(name))
        };
        let near = shape.top_level().take(NEAR).find(is_named);
        near.or_else(|| self.entry_by_text(name))
    }

    /// Only of an exact string: others may be among the changes twice.
    #[inline(never)]
    fn entry_by_text(&mut self, name: &Bound<'_, PyString>) -> Option<usize> {
        let Self { numbered, beside: Beside { keys, top, .. } } = self;
        let shape = &numbered.shape;
        if top.is_empty() {
            top.extend(named_entries(shape));
        }
        let exact = name.cast_exact::<PyString>().ok()?;
        let node = *top.get(exact.to_str().ok()?)?;
        keys.resize_with(keys.len().max(shape.key_count()), || None);
        keys[shape.nodes[node].key as usize] = Some(exact.clone().into_any().unbind());
        Some(node)
    }
}

impl Encoding {
    /// Where which words go, if numbers of known entries are all that changes.
    pub fn numbers_of(&mut self, changes: &Changes<'_>) -> Option<Numbers> {
        let expected = self.expected.as_mut()?;
        let number = |(name, value): &(Bound<'_, PyString>, Bound<'_, PyAny>)| {
            let node = expected.entry(name)?;
            let node = &expected.numbered.shape.nodes[node];
            Some((node.value_at, ffi::expected_word(node, value)?))
        };
        changes.iter().map(number).collect()
    }

    /// Encodes changes as a snapshot of their own, whose shape is then the expected one.
    pub fn encode_changes(&mut self, py: Python<'_>, changes: &Changes<'_>) -> PyResult<()> {
        self.encode(|walk| walk.root_entries(changes))?;
        let shape = match (self.recorded_shape(py)?, self.encoder.recorded()) {
            (Some(shape), _) => shape,
            (None, Some(bytes)) => Shape::parse(bytes).map_err(|error| malformed(&error))?,
            (None, None) => return Ok(()),
        };
        let numbered = Arc::new(NumberedShape { shape, ..NumberedShape::default() });
        self.expected = Some(Expected { numbered, beside: Beside::default() });
        Ok(())
    }
}

/// Value words, and where they go.
pub type Numbers = SmallVec<[(u32, u64); 4]>;

impl Store {
    /// Publishes the last snapshot with other numbers, if it has the expected shape: whether it has.
    pub fn publish_numbers(&mut self, encoding: &mut Encoding, numbers: &Numbers) -> Result<bool, NotStored> {
        let Encoding { encoder, expected, .. } = encoding;
        let Some(numbered) = expected.as_ref().map(|expected| &expected.numbered) else { return Ok(false) };
        let Some(values) = self.last_values(numbered.id) else { return Ok(false) };
        let words = encoder.repeat(numbered, values);
        for &(at, word) in numbers {
            words[at as usize] = word;
        }
        self.publish(encoder, expected, None).map(|()| true)
    }

    /// Publishes the newest snapshot with some entries changed or added. `encoding` learns its shape.
    pub fn publish_update(
        &mut self,
        encoding: &mut Encoding,
        changes: &Encoding,
        required: &[Required],
    ) -> Result<(), NotStored> {
        let Some(Expected { numbered: changed, .. }) = &changes.expected else { return Ok(()) };
        self.writer.check_open()?;
        let (numbered, newest) = match self.newest()? {
            Some(newest) => newest,
            None => {
                let shape = Shape::parse(EMPTY).map_err(NotStored::Malformed)?;
                (Arc::new(NumberedShape { shape, ..NumberedShape::default() }), Snapshot::default())
            }
        };
        let mut entries = FxHashMap::default();
        let mut cursor = BlobCursor::default();
        for (name, node) in named_entries(&changed.shape) {
            entries.insert(name, (node, cursor));
            pass(&mut cursor, &changed.shape, node, changes.encoder.values());
        }
        let lacks =
            |key: &Required| !entries.contains_key(&*key.text) && !has_key(&numbered.shape, &key.text);
        if let Some(key) = required.iter().position(lacks) {
            return Err(NotStored::Lacks(key));
        }
        let mut encoder = merge(&numbered, &newest, changed, &changes.encoder, entries);
        self.publish(&mut encoder, &mut encoding.expected, None)
    }
}

/// A dictionary of nothing: what the first update changes.
const EMPTY: &[u8] = &[Kind::Dict as u8, 0];

/// The string keys of the root, and their nodes.
fn named_entries(shape: &Shape) -> impl Iterator<Item = (Box<str>, usize)> + '_ {
    shape.top_level().filter_map(|node| match shape.key(shape.nodes[node].key as usize) {
        Some(Key::Str(key)) => Some((key.into(), node)),
        _ => None,
    })
}

/// Passes the blobs of a subtree.
fn pass(cursor: &mut BlobCursor, shape: &Shape, node: usize, values: &[u64]) {
    for below in &shape.nodes[node..shape.nodes[node].end as usize] {
        cursor.advance(shape, below, values);
    }
}

/// The entries of a snapshot in their order, with the changed ones in their place and the new ones last.
fn merge<'a>(
    numbered: &Arc<NumberedShape>,
    newest: &'a Snapshot,
    changed: &Arc<NumberedShape>,
    changes: &'a Encoder<ffi::Bytes>,
    mut entries: FxHashMap<Box<str>, (usize, BlobCursor)>,
) -> Encoder<&'a [u8]> {
    let shape = &numbered.shape;
    let known = |node: usize| match shape.key(shape.nodes[node].key as usize) {
        Some(Key::Str(key)) => entries.remove(&*key),
        _ => None,
    };
    let replaced: Vec<_> = shape.top_level().map(known).collect();
    let mut encoder = Encoder::default();
    encoder.start(None);
    encoder.container(Kind::Dict, replaced.len() + entries.len());
    let splice = |encoder: &mut Encoder<&'a [u8]>, (node, mut cursor): (usize, BlobCursor)| {
        encoder.splice(changed, node, changes.values(), &mut cursor, |range| {
            let blobs = changes.blobs();
            let at = blobs.binary_search_by_key(&(range.start / 8), |blob| blob.offset);
            at.map_or(&[][..], |at| blobs[at].bytes.as_ref())
        });
    };
    let mut kept = BlobCursor::default();
    for (node, replaced) in shape.top_level().zip(replaced) {
        match replaced {
            None => encoder
                .splice(numbered, node, &newest.values, &mut kept, |range| &newest.blobs.bytes()[range]),
            Some(change) => {
                pass(&mut kept, shape, node, &newest.values);
                splice(&mut encoder, change);
            }
        }
    }
    let mut added: Vec<_> = entries.into_values().collect();
    added.sort_unstable_by_key(|(node, _)| *node);
    added.into_iter().for_each(|entry| splice(&mut encoder, entry));
    encoder
}
