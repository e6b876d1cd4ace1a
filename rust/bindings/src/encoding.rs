//! The encoder of one publish, and what it keeps for the next one.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use traincast_core::snapshot::cache::NumberedShape;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Shape;

use crate::convert;
use crate::encode::{Placed, Walk};
use crate::errors::malformed;
use crate::ffi::{self, Bytes, Changes, Keys, Made};

/// What is kept with a shape.
#[derive(Default)]
pub struct Beside {
    keys: Keys,
    /// Whether the shape has been found to have all required keys.
    complete: bool,
    /// The node of each string key of the root; filled by the first `update` that looks up a key by its text.
    top: FxHashMap<Box<str>, usize>,
}

/// A shape that the next snapshot probably has.
pub type Expected = traincast_core::snapshot::history::Expected<Beside>;

/// Indices of value words, and the words.
pub type Numbers = SmallVec<[(u32, u64); 4]>;

/// Number of entries of the root that are searched for the key object before it is looked up by its text.
const NEAR: usize = 8;

#[derive(Default)]
pub struct Encoding {
    pub encoder: Encoder<Bytes>,
    pub expected: Option<Expected>,
    /// Whether an object was met whose type is not exactly a builtin: see [`Walk`].
    foreign: bool,
}

impl Encoding {
    /// Encodes what `walk` walks through.
    pub fn encode(
        &mut self,
        default: &convert::Default,
        walk: impl FnOnce(&mut Walk<'_>) -> Made<()>,
    ) -> Made<()> {
        let Self { encoder, expected, foreign } = self;
        *foreign = false;
        encoder.start(expected.as_ref().map(|expected| &expected.numbered));
        match expected {
            Some(expected) => walk(&mut Walk::new(encoder, &mut expected.beside.keys, foreign, default)),
            None => walk(&mut Walk::new(encoder, &mut Keys::new(), foreign, default)),
        }
    }

    /// Parses the recorded shape, if it must be checked. Not necessary if all objects were exactly builtins: these cannot have
    /// changed, and their keys differ.
    fn recorded_shape(&self, py: Python<'_>, even_so: bool) -> PyResult<Option<Shape>> {
        let recorded = self.encoder.recorded().filter(|_| self.foreign || even_so);
        recorded.map(Shape::parse).transpose().map_err(|error| malformed(py, &error))
    }

    /// The first required key that a whole dictionary lacks.
    pub fn lacks(&mut self, required: &[String], info: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        let expected = self.expected.as_ref().filter(|_| !self.encoder.is_recording());
        if expected.is_some_and(|expected| expected.beside.complete) {
            return Ok(None);
        }
        let recorded = self.recorded_shape(info.py(), false)?;
        let mut expected = self.expected.as_mut().filter(|_| !self.encoder.is_recording());
        let shape = recorded.as_ref().or(expected.as_ref().map(|expected| &expected.numbered.shape));
        for key in required {
            let found = match shape {
                Some(shape) => shape.has_key(key),
                None => info.contains(ffi::text(info.py(), key)?)?, // the dict holds exact builtins only: no Python code runs
            };
            if !found {
                return Ok(Some(key.clone()));
            }
        }
        if let Some(expected) = &mut expected {
            expected.beside.complete = true;
        }
        Ok(None)
    }

    /// The new words and their indices, if only numbers of known entries change.
    pub fn numbers_of(&mut self, changes: &Changes<'_>) -> Option<Numbers> {
        let expected = self.expected.as_mut()?;
        let number = |(name, value): &(Bound<'_, PyString>, Bound<'_, PyAny>)| {
            let node = entry(expected, name)?;
            let node = &expected.numbered.shape.nodes[node];
            Some((node.value_at, ffi::expected_word(node, value)?))
        };
        changes.iter().map(number).collect()
    }

    /// The same for numbers anywhere in the snapshot. `None` if a place occurs twice.
    pub fn numbers_at(&self, values: &[Placed<'_>]) -> Option<Numbers> {
        let shape = &self.expected.as_ref()?.numbered.shape;
        let mut numbers = Numbers::new();
        for (path, value) in values {
            let node = &shape.nodes[shape.find(path).ok()?];
            if numbers.iter().any(|(at, _)| *at == node.value_at) {
                return None;
            }
            numbers.push((node.value_at, ffi::expected_word(node, value)?));
        }
        Some(numbers)
    }

    /// Encodes changes as a snapshot of their own. Its shape becomes the expected one.
    pub fn encode_changes(
        &mut self,
        py: Python<'_>,
        default: &convert::Default,
        walk: impl FnOnce(&mut Walk<'_>) -> Made<()>,
    ) -> PyResult<()> {
        self.encode(default, walk)?;
        if let Some(shape) = self.recorded_shape(py, true)? {
            let numbered = Arc::new(NumberedShape::unnumbered(shape));
            self.expected = Some(Expected { numbered, beside: Beside::default() });
        }
        Ok(())
    }
}

/// The node of an entry of the root. `name` is its expected key object from now on.
fn entry(expected: &mut Expected, name: &Bound<'_, PyString>) -> Option<usize> {
    let (shape, keys) = (&expected.numbered.shape, &expected.beside.keys);
    let is_named = |&node: &usize| {
        let key = keys.get(shape.nodes[node].key as usize).and_then(Option::as_ref);
        key.is_some_and(|key| key.is(name))
    };
    let near = shape.top_level().take(NEAR).find(is_named);
    near.or_else(|| entry_by_text(expected, name))
}

/// Only for an exact `str`: keys of other types may be equal and occur twice among the changes.
#[inline(never)]
fn entry_by_text(expected: &mut Expected, name: &Bound<'_, PyString>) -> Option<usize> {
    let (shape, Beside { keys, top, .. }) = (&expected.numbered.shape, &mut expected.beside);
    if top.is_empty() {
        top.extend(shape.named_entries());
    }
    let exact = name.cast_exact::<PyString>().ok()?;
    let node = *top.get(exact.to_str().ok()?)?;
    keys.resize_with(keys.len().max(shape.key_count()), || None);
    keys[shape.nodes[node].key as usize] = Some(exact.clone().into_any().unbind());
    Some(node)
}
