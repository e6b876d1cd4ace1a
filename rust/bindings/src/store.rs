//! Where the publishes of one writer meet: each is encoded by itself, and stored here.
//!
//! Encoding may run Python code, which may publish: on this thread, or on another, since the interpreter changes threads
//! meanwhile. So an [`Encoding`] is taken out of the writer while it is used, and whoever finds none makes one. Only the
//! [`Store`] is shared. Nothing in here runs Python code, so it is lent for the moment of the storing; versions follow the
//! order of these moments.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustc_hash::FxHashMap;
use traincast_core::error::Error;
use traincast_core::reader::SlotBuffer;
use traincast_core::snapshot::cache::ShapeCache;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{MalformedShape, Shape};
use traincast_core::snapshot::{decode, to_bytes, to_words};
use traincast_core::writer::{Blob, Payload, Writer};

use crate::encode::{Refused, Walk};
use crate::errors::{corrupt, raise};
use crate::ffi::{Bytes, Keys};
use crate::shapes::{has_key, repeated_key};

/// A key that every snapshot must have.
pub struct Required {
    pub text: String,
    pub object: Py<PyString>,
}

/// What an encoding keeps beside a shape.
#[derive(Default)]
pub struct Beside {
    pub keys: Keys,
    /// Whether the shape is known to have all required keys.
    pub complete: bool,
    /// The node of each string key of the root; filled by the first `update`.
    pub top: FxHashMap<Box<str>, usize>,
}

/// A shape that is probably met again. No key occurs twice in it.
pub struct Expected {
    /// 0 if it is not that of a whole snapshot.
    pub id: u64,
    pub shape: Arc<Shape>,
    pub beside: Beside,
}

/// What one publish needs, and leaves for the next.
#[derive(Default)]
pub struct Encoding {
    pub encoder: Encoder<Bytes>,
    pub expected: Option<Expected>,
    /// Whether anything was met beside exact builtins: see [`Walk`].
    pub foreign: bool,
}

impl Encoding {
    /// Encodes with a walk.
    pub fn encode(&mut self, walk: impl FnOnce(&mut Walk<'_>) -> PyResult<()>) -> PyResult<()> {
        let Self { encoder, expected, foreign } = self;
        *foreign = false;
        encoder.start(expected.as_ref().map(|expected| &expected.shape));
        match expected {
            Some(expected) => walk(&mut Walk::new(encoder, &mut expected.beside.keys, foreign)),
            None => walk(&mut Walk::new(encoder, &mut Keys::new(), foreign)),
        }
    }

    /// The shape that was recorded, after a look for keys that occur twice; `None` where that need not be looked at: the
    /// shape is the expected one, or all objects were exact builtins, which are what they were, and whose keys differ.
    pub fn recorded_shape(&self, py: Python<'_>) -> PyResult<Option<Shape>> {
        match self.encoder.recorded() {
            Some(bytes) if self.foreign => {
                let shape = Shape::parse(bytes).map_err(|error| malformed(&error))?;
                match repeated_key(&shape) {
                    None => Ok(Some(shape)),
                    Some((path, key)) => {
                        Err(Refused::Invalid(format!("the key {key} occurs twice")).exception(py, &path))
                    }
                }
            }
            _ => Ok(None),
        }
    }

    /// The index of the first required key that a whole dictionary lacks.
    pub fn lacks(&mut self, required: &[Required], info: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        if !self.encoder.is_recording()
            && self.expected.as_ref().is_some_and(|expected| expected.beside.complete)
        {
            return Ok(None);
        }
        self.lacks_anew(required, info)
    }

    #[inline(never)]
    fn lacks_anew(&mut self, required: &[Required], info: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let recorded = self.recorded_shape(info.py())?;
        let expected = self.expected.as_mut().filter(|_| !self.encoder.is_recording());
        let shape = match (&recorded, &expected) {
            (Some(shape), _) => Some(shape),
            (None, expected) => expected.as_ref().map(|expected| &*expected.shape),
        };
        for (index, key) in required.iter().enumerate() {
            let found = match shape {
                Some(shape) => has_key(shape, &key.text),
                None => info.contains(key.object.bind(info.py()))?, // a dict of exact builtins: no Python code runs
            };
            if !found {
                return Ok(Some(index));
            }
        }
        if let Some(expected) = expected {
            expected.beside.complete = true;
        }
        Ok(None)
    }
}

/// Only a container that changes its size under the walk gives such a shape.
#[cold]
pub fn malformed(error: &MalformedShape) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// Why nothing was stored. Turned into an exception once the store is no longer lent.
pub enum NotStored {
    Refused(Error),
    /// The newest snapshot cannot be read from its slot.
    Corrupt(String),
    /// What was encoded is no snapshot.
    Malformed(MalformedShape),
    /// The required key with that index is missing.
    Lacks(usize),
}

impl NotStored {
    #[cold]
    pub fn exception(self, py: Python<'_>, lacks: impl FnOnce(usize) -> PyErr) -> PyErr {
        match self {
            Self::Refused(error) => raise(py, error),
            Self::Corrupt(what) => corrupt(py, &what),
            Self::Malformed(error) => malformed(&error),
            Self::Lacks(key) => lacks(key),
        }
    }
}

impl From<Error> for NotStored {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What all publishes of a writer share.
pub struct Store {
    pub writer: Writer,
    /// The one table of shape ids: the same id always means the same bytes. What is kept beside the shape to expect is with
    /// the encoding that expects it.
    shapes: ShapeCache<Beside>,
    /// The last snapshot's shape id, and its values, unless it has blobs; then the id is 0.
    pub last: (u64, Vec<u64>),
}

impl Store {
    pub fn new(writer: Writer) -> Self {
        Self { writer, shapes: ShapeCache::default(), last: (0, Vec::new()) }
    }

    /// Publishes what was encoded, numbered above `resume` (version and epoch) if given.
    pub fn publish(&mut self, encoding: &mut Encoding, resume: Option<(u64, u64)>) -> Result<(), NotStored> {
        let Encoding { encoder, expected, .. } = encoding;
        let placed = encoder.blobs().iter();
        let blobs: Vec<_> =
            placed.map(|blob| Blob { offset: blob.offset, bytes: blob.bytes.as_ref() }).collect();
        self.store(encoder, &blobs, expected, resume)?;
        encoder.swap_values(&mut self.last.1);
        Ok(())
    }

    /// Stores what an encoder holds: all but its values, which are to become those of `last`. `expected` is the shape that it
    /// has unless it has recorded one, and learns which one to expect next.
    pub fn store<B>(
        &mut self,
        encoder: &Encoder<B>,
        blobs: &[Blob<'_>],
        expected: &mut Option<Expected>,
        resume: Option<(u64, u64)>,
    ) -> Result<(), NotStored> {
        let (shape_id, bytes) = match (encoder.recorded(), &*expected) {
            (None, Some(expected)) => (expected.id, &expected.shape.bytes[..]),
            (recorded, _) => {
                let bytes = recorded.unwrap_or_default();
                (self.name_recorded(bytes, expected)?, bytes)
            }
        };
        let shape_len = bytes.len();
        let shape = match self.shapes.last() {
            Some(cached) if cached.id == shape_id => &cached.words,
            _ => &to_words(bytes),
        };
        let (values, blob_words) = (encoder.values(), encoder.blob_words());
        let payload = Payload { shape_id, shape, shape_len, values, blobs, blob_words };
        match resume {
            None => self.writer.publish(&payload)?,
            Some((version, epoch)) => self.writer.publish_resumed(&payload, version, epoch)?,
        };
        self.last.0 = if blob_words == 0 { shape_id } else { 0 };
        Ok(())
    }

    #[inline(never)]
    fn name_recorded(&mut self, bytes: &[u8], expected: &mut Option<Expected>) -> Result<u64, NotStored> {
        if let (Some(expected), Some(last)) = (expected.as_mut(), self.shapes.last_mut())
            && expected.id == last.id
        {
            last.extra = std::mem::take(&mut expected.beside);
        }
        let id = self.shapes.id_of(bytes).map_err(NotStored::Malformed)?;
        *expected = None;
        self.expect_cached(expected); // what is met again is what to expect next
        Ok(id)
    }

    /// The values of the last snapshot, if it has that shape and no blobs.
    pub fn last_values(&self, shape_id: u64) -> Option<&[u64]> {
        (self.last.0 == shape_id).then_some(&self.last.1)
    }

    /// Has an encoding expect the shape of the last snapshot, if that was met twice.
    pub fn expect_last(&mut self, expected: &mut Option<Expected>) {
        if expected.as_ref().is_none_or(|expected| expected.id != self.last.0) {
            self.expect_cached(expected);
        }
    }

    #[inline(never)]
    fn expect_cached(&mut self, expected: &mut Option<Expected>) {
        if let Some(last) = self.shapes.last_mut()
            && expected.as_ref().is_none_or(|expected| expected.id != last.id)
        {
            // The keys that are dropped here are exact strings and ints.
            let beside = std::mem::take(&mut last.extra);
            *expected = Some(Expected { id: last.id, shape: Arc::clone(&last.shape), beside });
        }
    }

    /// The newest snapshot as its shape, values and blobs; `None` if there is none.
    pub fn newest(&self) -> Result<Option<(Arc<Shape>, SlotBuffer)>, NotStored> {
        let cached = self.shapes.last();
        let mut slot = SlotBuffer::default();
        let Some(meta) = self.writer.latest(&mut slot)? else { return Ok(None) };
        let bytes = to_bytes(&slot.shape, meta.shape_len);
        let shape = match cached {
            Some(cached) if cached.shape.bytes == bytes => Arc::clone(&cached.shape),
            _ => Arc::new(Shape::parse(bytes).map_err(|error| NotStored::Corrupt(error.to_string()))?),
        };
        decode::check(&shape, &slot.values, slot.blobs.bytes())
            .map_err(|error| NotStored::Corrupt(error.to_string()))?;
        Ok(Some((shape, slot)))
    }
}
