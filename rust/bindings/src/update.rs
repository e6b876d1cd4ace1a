//! An update: the last snapshot with some entries of its root changed or added, without a dictionary of the whole.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::cache::{CachedShape, NumberedShape};
use traincast_core::snapshot::decode::check;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{Key, Kind, Shape};
use traincast_core::snapshot::to_bytes;
use traincast_core::writer::Writer;

use crate::encode::Walk;
use crate::errors::{corrupt, raise};
use crate::ffi::{self, Bytes, Changes};
use crate::writer::Encoding;

/// Entries of the root that are looked through for a key object before it is looked up by its text.
const NEAR: usize = 8;

impl Encoding {
    /// The snapshot that an update starts from, `None` if there is none.
    pub fn base(&self, py: Python<'_>, writer: &Writer) -> PyResult<Option<Base>> {
        let cached = self.shapes.last();
        if cached.is_some_and(|cached| cached.shape.id == self.last.shape_id) {
            return Ok(Some(Base::Last));
        }
        let mut slot = Box::<Snapshot>::default();
        if !writer.latest(&mut slot).map_err(|error| raise(py, error))? {
            return Ok(None);
        }
        let bytes = to_bytes(&slot.shape, slot.meta.shape_len);
        let shape = match cached {
            Some(cached) if cached.shape.shape.bytes == bytes => Arc::clone(&cached.shape),
            _ => {
                let shape = Shape::parse(bytes).map_err(|error| corrupt(py, &error.to_string()))?;
                Arc::new(NumberedShape { shape, ..NumberedShape::default() })
            }
        };
        check(&shape.shape, &slot.values, slot.blobs.bytes())
            .map_err(|error| corrupt(py, &error.to_string()))?;
        Ok(Some(Base::Slot(shape, slot)))
    }

    /// Encodes the base with some entries of its root changed or added.
    pub fn encode_update(&mut self, base: &Base, changes: &Changes<'_>) -> PyResult<()> {
        if matches!(base, Base::Last) && self.replace_words(changes) {
            return Ok(());
        }
        let Self { encoder, shapes, last, .. } = self;
        let cached = shapes.last_mut();
        encoder.start(cached.as_ref().map(|cached| &cached.shape));
        // The key objects are always those of the shape to expect, whether or not the base has it too.
        match (base, cached) {
            (Base::Last, Some(CachedShape { shape, extra, .. })) => {
                if extra.top.is_empty() {
                    extra.top = top_of(&shape.shape);
                }
                overlay(encoder, shape, &last.values, &[], &extra.top, &mut extra.keys, changes)
            }
            (Base::Slot(shape, slot), cached) => {
                let mut none = Vec::new();
                let keys = cached.map_or(&mut none, |cached| &mut cached.extra.keys);
                overlay(
                    encoder,
                    shape,
                    &slot.values,
                    slot.blobs.bytes(),
                    &top_of(&shape.shape),
                    keys,
                    changes,
                )
            }
            (Base::Last, None) => Err(PyRuntimeError::new_err("there is no last snapshot")),
        }
    }

    /// The short way where only numbers change, under key objects that were met: whether that is so.
    #[inline]
    fn replace_words(&mut self, changes: &Changes<'_>) -> bool {
        let Self { encoder, shapes, last, .. } = self;
        let Some(CachedShape { shape, extra, .. }) = shapes.last() else { return false };
        let words = encoder.repeat(shape, &last.values);
        let shape = &shape.shape;
        changes.iter().all(|(name, value)| {
            let is_named = |&node: &usize| {
                let key = extra.keys.get(shape.nodes[node].key as usize);
                key.is_some_and(|key| key.as_ref().is_some_and(|key| key.is(name)))
            };
            let node = shape.top_level().take(NEAR).find(is_named).map(|node| &shape.nodes[node]);
            let word = node.and_then(|node| Some((node.value_at, ffi::number_word(node, value)?)));
            word.map(|(at, word)| words[at as usize] = word).is_some()
        })
    }

    /// Whether the root of the base has a key.
    pub fn base_has(&self, base: &Base, key: &str) -> bool {
        match base {
            Base::Last => {
                self.shapes.last().is_some_and(|cached| top_of(&cached.shape.shape).contains_key(key))
            }
            Base::Slot(shape, _) => top_of(&shape.shape).contains_key(key),
        }
    }
}

/// The snapshot that an update starts from.
pub enum Base {
    /// The values that the last publish left, of the shape to expect.
    Last,
    /// A copy of the newest slot.
    Slot(Arc<NumberedShape>, Box<Snapshot>),
}

/// The node of each string key of the root.
fn top_of(shape: &Shape) -> FxHashMap<Box<str>, usize> {
    let named = |node: usize| match shape.key(shape.nodes[node].key as usize) {
        Some(Key::Str(key)) => Some((key.into(), node)),
        _ => None,
    };
    shape.top_level().filter_map(named).collect()
}

/// The entries of the root of an earlier snapshot, in order, with the changed ones in their place and the new ones last.
fn overlay(
    encoder: &mut Encoder<Bytes>,
    numbered: &Arc<NumberedShape>,
    values: &[u64],
    blobs: &[u8],
    top: &FxHashMap<Box<str>, usize>,
    keys: &mut Vec<Option<Py<PyAny>>>,
    changes: &Changes<'_>,
) -> PyResult<()> {
    let shape = &numbered.shape;
    let mut replaced = SmallVec::<[_; 4]>::new();
    let mut added = Vec::new();
    for (key, value) in changes {
        match key.to_str().ok().and_then(|key| top.get(key)) {
            Some(&node) => replaced.push((node, key, value)),
            None => added.push((key, value)),
        }
    }
    replaced.sort_unstable_by_key(|(node, ..)| *node);
    encoder.container(Kind::Dict, shape.nodes[0].aux as usize + added.len());
    let mut replaced = replaced.into_iter().peekable();
    let mut cursor = BlobCursor::default();
    for node in shape.top_level() {
        match replaced.next_if(|(at, ..)| *at == node) {
            Some((_, key, value)) => {
                for below in &shape.nodes[node..shape.nodes[node].end as usize] {
                    cursor.advance(shape, below, values);
                }
                Walk::new(encoder, keys).entry(key, value)?;
            }
            None => {
                encoder.splice(numbered, node, values, &mut cursor, |at| Bytes::of_vec(blobs[at].to_vec()))
            }
        }
    }
    for (key, value) in added {
        Walk::new(encoder, keys).entry(key, value)?;
    }
    Ok(())
}
