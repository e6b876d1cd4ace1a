//! The newest snapshot of a channel as dictionaries.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::numbering::{ShapeKey, Stamp};
use traincast_core::reader::{Reader, Settled};
use traincast_core::snapshot::{SegmentKey, SlotMeta, Snapshot};

use crate::build::Structure;
use crate::errors::{corrupt, raise};
use crate::ffi::GilCell;
use crate::templates::Templates;

/// How many structures are kept: enough for those that take turns, few enough to forget ones that never return.
const KEPT: usize = 8;

/// A shape of a file.
type Key = (SegmentKey, ShapeKey);

#[derive(Default)]
struct Known {
    /// `None`: of no shape that will come again.
    key: Option<Key>,
    /// Bytes of the shape.
    shape_len: usize,
    structure: Box<Structure>,
    /// Those of the newest snapshot; made when the structure is met again, or when a second dictionary of the same snapshot
    /// is wanted.
    templates: Option<Box<Templates>>,
    /// Those that the next snapshot takes while somebody has numbers of `templates`: a reader that keeps its last dictionary
    /// has let go of the one before. None where there are blobs, which would be held twice.
    others: Option<Box<Templates>>,
}

/// What came of a read.
pub struct Read {
    /// `None`: what is in hand is the newest.
    pub dict: Option<Py<PyDict>>,
    pub meta: SlotMeta,
    /// Where the snapshot lies.
    pub segment: SegmentKey,
    pub settled: Settled,
}

/// The newest snapshot, and what is kept for decoding the next one.
#[derive(Default)]
pub struct Decoder {
    pub buffer: Snapshot,
    /// Whether the buffer holds a snapshot that can be decoded, as far as is known.
    whole: bool,
    /// The structures met lately.
    known: Vec<Known>,
    /// The index of the one to forget next, once there are `KEPT`.
    oldest: usize,
    /// The index of the one that the snapshot in the buffer has.
    current: usize,
    /// Whether its structure has just been met, and no dictionary of it was handed out yet.
    first: bool,
    /// Whether the templates hold it.
    applied: bool,
}

impl Decoder {
    /// A dictionary of the newest snapshot that nobody else has, `None` if `held` is the newest; and what a reader may go by
    /// from then on.
    #[inline]
    pub fn read(&mut self, py: Python<'_>, reader: &GilCell<Reader>, held: Option<Stamp>) -> PyResult<Read> {
        let (copied, settled) = {
            let mut reader = reader.get(py).borrow_mut();
            let copied = reader.read_into(&mut self.buffer);
            (copied, reader.settled(&self.buffer))
        };
        if copied.map_err(|error| raise(py, error))? || !self.whole {
            self.whole = false;
            self.recognise(py)?;
            self.whole = true;
        }
        let meta = self.buffer.meta;
        let mut read = Read { dict: None, meta, segment: self.buffer.segment, settled };
        if held == Some(meta.stamp) {
            return Ok(read);
        }
        match self.dictionary(py) {
            Ok(dict) => {
                read.dict = Some(dict.unbind());
                Ok(read)
            }
            Err(error) => {
                self.whole = false;
                // Its shape may have been spoiled when it was met: the next read takes it from the slot again.
                self.known[self.current].key = None;
                self.buffer.forget();
                Err(error)
            }
        }
    }

    /// Finds the structure of the snapshot that was just copied.
    #[inline]
    fn recognise(&mut self, py: Python<'_>) -> PyResult<()> {
        let key = Some((self.buffer.segment, self.buffer.meta.shape));
        (self.first, self.applied) = (false, false);
        if self.known.get(self.current).is_none_or(|current| current.key != key) {
            self.switch(py, key)?;
        }
        // The values lie behind the shape: another length would give other words as values.
        if self.known[self.current].shape_len != self.buffer.meta.shape_len {
            return Err(corrupt(py, "a shape has another length than before"));
        }
        Ok(())
    }

    #[cold]
    fn switch(&mut self, py: Python<'_>, key: Option<Key>) -> PyResult<()> {
        if let Some(at) = self.known.iter().position(|known| known.key == key) {
            self.current = at;
            return Ok(());
        }
        if self.known.len() < KEPT {
            self.current = self.known.len();
            self.known.push(Known::default());
        } else {
            self.current = self.oldest;
            self.oldest = (self.oldest + 1) % KEPT;
        }
        let known = &mut self.known[self.current];
        (known.key, known.templates, known.others) = (None, None, None);
        known.structure.renew(py, &self.buffer.shape, self.buffer.meta.shape_len)?;
        known.shape_len = known.structure.shape.bytes.len();
        known.key = key;
        self.first = true;
        Ok(())
    }

    #[inline]
    fn dictionary<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Known { structure, templates, others, .. } = &mut self.known[self.current];
        let (values, blobs) = (&self.buffer.values, &self.buffer.blobs);
        if std::mem::take(&mut self.first) || structure.small {
            return structure.build(py, values, blobs);
        }
        if !self.applied {
            if !structure.shape.has_blobs && templates.as_ref().is_some_and(|templates| templates.in_use(py))
            {
                std::mem::swap(templates, others);
            }
            // Taken out meanwhile: after an error they would be half old, half new.
            let mut made = match templates.take() {
                Some(templates) => templates,
                None => Box::new(Templates::new(py, structure)?),
            };
            made.update(py, structure, values, blobs)?;
            *templates = Some(made);
            self.applied = true;
        }
        match templates {
            Some(templates) => templates.hand_out(py, structure),
            None => Err(corrupt(py, "the channel has no snapshot")),
        }
    }
}
