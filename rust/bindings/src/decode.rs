//! The newest snapshot of a channel as dictionaries.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::error::Error;
use traincast_core::reader::{Reader, Refresh, SlotBuffer, SlotMeta};

use crate::build::Structure;
use crate::errors::{corrupt, raise};
use crate::ffi::GilCell;
use crate::templates::Templates;

/// How many structures are kept: enough for those that take turns, few enough to forget ones that never return.
const KEPT: usize = 8;

/// Generation key and shape id.
type Key = (u64, u64);

/// Shape ids are never 0.
const NOBODYS: Key = (0, 0);

#[derive(Default)]
struct Known {
    key: Key,
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

/// The newest snapshot, and what is kept for decoding the next one.
#[derive(Default)]
pub struct Decoder {
    buffer: SlotBuffer,
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
    /// A dictionary of the newest snapshot that nobody else has, `None` if `held` (generation key and version) is the
    /// newest. If there is one, `old` is let go of first: it may be the last that has the numbers in use.
    #[inline]
    pub fn read(
        &mut self,
        py: Python<'_>,
        reader: &GilCell<Reader>,
        held: Option<(u64, u64)>,
        old: &mut Option<Py<PyDict>>,
    ) -> PyResult<Option<(Py<PyDict>, &SlotMeta)>> {
        let copied = self.copy(&mut reader.get(py).borrow_mut());
        if copied.map_err(|error| raise(py, error))? {
            self.recognise(py)?;
            self.whole = true;
        }
        if !self.whole {
            return Err(corrupt(py, "the channel has no snapshot"));
        }
        let meta = &self.buffer.meta;
        if held == Some((meta.generation_key, meta.version)) {
            return Ok(None);
        }
        drop(old.take()); // it may run Python code
        match self.dictionary(py) {
            Ok(dict) => Ok(Some((dict.unbind(), &self.buffer.meta))),
            Err(error) => {
                self.whole = false;
                // Its shape may have been spoiled when it was met: the next read takes it from the slot again.
                self.known[self.current].key = NOBODYS;
                Err(error)
            }
        }
    }

    /// Copies the newest snapshot into the buffer if it is not there yet. Whether it did.
    #[inline]
    fn copy(&mut self, reader: &mut Reader) -> Result<bool, Error> {
        let shape_id = match self.known.get(self.current) {
            Some(Known { key: (generation, shape_id), .. }) if *generation == reader.generation_key() => {
                *shape_id
            }
            _ => 0,
        };
        // Until all went well there is none: an error must not leave new words under an old version.
        let before = std::mem::take(&mut self.whole);
        if reader.refresh(shape_id, &mut self.buffer)? == Refresh::Snapshot {
            return Ok(true);
        }
        let meta = &self.buffer.meta;
        if before && (meta.generation_key, meta.version) == (reader.generation_key(), reader.version()) {
            self.whole = true;
            return Ok(false);
        }
        // Another decoder of this channel has seen it, this one has not.
        reader.forget();
        Ok(reader.refresh(0, &mut self.buffer)? == Refresh::Snapshot)
    }

    /// Finds the structure of the snapshot that was just copied.
    #[inline]
    fn recognise(&mut self, py: Python<'_>) -> PyResult<()> {
        let meta = &self.buffer.meta;
        let key = (meta.generation_key, meta.shape_id);
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
    fn switch(&mut self, py: Python<'_>, key: Key) -> PyResult<()> {
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
        (known.key, known.templates, known.others) = (NOBODYS, None, None);
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
