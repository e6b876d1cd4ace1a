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
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::cache::{NumberedShape, ShapeCache};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{MalformedShape, Shape};
use traincast_core::snapshot::wire::Message;
use traincast_core::snapshot::{Snapshot, decode, to_bytes};
use traincast_core::writer::{Delivery, Writer};

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
    /// Its number is 0 if it is not that of a whole snapshot.
    pub numbered: Arc<NumberedShape>,
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
        encoder.start(expected.as_ref().map(|expected| &expected.numbered));
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
            (None, expected) => expected.as_ref().map(|expected| &expected.numbered.shape),
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
    last: (u64, Vec<u64>),
}

impl Store {
    pub fn new(writer: Writer) -> Self {
        Self { writer, shapes: ShapeCache::default(), last: (0, Vec::new()) }
    }

    /// Publishes what was encoded, numbered above `resume` (version and epoch) if given. What is met again becomes what to
    /// expect next.
    pub fn publish<B: AsRef<[u8]>>(
        &mut self,
        encoder: &mut Encoder<B>,
        expected: &mut Option<Expected>,
        resume: Option<(u64, u64)>,
    ) -> Result<(), NotStored> {
        let recording = encoder.is_recording();
        if recording {
            self.give_back(expected);
        }
        let payload = encoder.finish(&mut self.shapes).map_err(NotStored::Malformed)?;
        let values_of = if payload.blob_words == 0 { payload.shape_id } else { 0 };
        match resume {
            None => self.writer.publish(&payload)?,
            Some((version, epoch)) => {
                self.writer.publish_resumed(&payload, Version(version), Epoch(epoch))?
            }
        };
        self.last.0 = values_of;
        encoder.swap_values(&mut self.last.1);
        if recording {
            *expected = None;
            self.expect_cached(expected);
        }
        Ok(())
    }

    /// What an encoding kept beside the last shape goes back to where others find it.
    #[inline(never)]
    fn give_back(&mut self, expected: &mut Option<Expected>) {
        if let (Some(expected), Some(last)) = (expected, self.shapes.last_mut())
            && expected.numbered.id == last.shape.id
        {
            last.extra = std::mem::take(&mut expected.beside);
        }
    }

    /// Publishes a snapshot that comes as a message.
    pub fn publish_message(
        &mut self,
        message: &Message,
        required: &[Required],
    ) -> Result<Delivery, NotStored> {
        self.writer.check_open()?;
        if let Some(key) = required.iter().position(|key| !has_key(&message.shape, &key.text)) {
            return Err(NotStored::Lacks(key));
        }
        let delivery = self.writer.publish_message(message, None)?;
        if matches!(delivery, Delivery::Published(_)) {
            self.last.0 = 0; // its values are not here
        }
        Ok(delivery)
    }

    /// The values of the last snapshot, if it has that shape and no blobs.
    pub fn last_values(&self, shape_id: u64) -> Option<&[u64]> {
        (self.last.0 == shape_id).then_some(&self.last.1)
    }

    /// Has an encoding expect the shape of the last snapshot, if that was met twice.
    pub fn expect_last(&mut self, expected: &mut Option<Expected>) {
        if expected.as_ref().is_none_or(|expected| expected.numbered.id != self.last.0) {
            self.expect_cached(expected);
        }
    }

    #[inline(never)]
    fn expect_cached(&mut self, expected: &mut Option<Expected>) {
        if let Some(last) = self.shapes.last_mut()
            && expected.as_ref().is_none_or(|expected| expected.numbered.id != last.shape.id)
        {
            // The keys that are dropped here are exact strings and ints.
            let beside = std::mem::take(&mut last.extra);
            *expected = Some(Expected { numbered: Arc::clone(&last.shape), beside });
        }
    }

    /// The newest snapshot with its shape; `None` if there is none.
    pub fn newest(&self) -> Result<Option<(Arc<NumberedShape>, Snapshot)>, NotStored> {
        let cached = self.shapes.last();
        let mut snapshot = Snapshot::default();
        if !self.writer.latest(&mut snapshot)? {
            return Ok(None);
        }
        let bytes = to_bytes(&snapshot.shape, snapshot.meta.shape_len);
        let numbered = match cached {
            Some(cached) if cached.shape.shape.bytes == bytes => Arc::clone(&cached.shape),
            _ => {
                let shape = Shape::parse(bytes).map_err(|error| NotStored::Corrupt(error.to_string()))?;
                Arc::new(NumberedShape { shape, ..NumberedShape::default() })
            }
        };
        decode::check(&numbered.shape, &snapshot.values, snapshot.blobs.bytes())
            .map_err(|error| NotStored::Corrupt(error.to_string()))?;
        Ok(Some((numbered, snapshot)))
    }
}
