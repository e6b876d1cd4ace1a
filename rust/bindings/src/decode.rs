//! The newest snapshot of a channel as dictionaries.
//!
//! What is kept for a structure depends on how much changes from one snapshot to the next:
//!
//! ```text
//!             built               built             few leaves new:
//!                                                   templates made, copied
//!   New ────────────▶ Met ────────────▶ Apart ────────────────────▶ with templates
//!                      ▲ ╎ small          ▲ ╷ most new: built       │ ▲ ╷ few new:
//!                      └╌┘                └─┘                       │ └─┘ exchanged, copied
//!                                         ▲                         │
//!                                         └─────────────────────────┘ most new: built
//! ```
//!
//! If all leaves are numbers, any number of new ones counts as few: replacing one takes no longer than building one.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::numbering::Stamp;
use traincast_core::reader::{Reader, Settled};
use traincast_core::snapshot::diff::Diff;
use traincast_core::snapshot::recent::Recent;
use traincast_core::snapshot::{SegmentKey, SlotMeta, Snapshot};

use crate::build::{Builder, Structure};
use crate::errors::{corrupt, raise};
use crate::ffi::{GilCell, Made};
use crate::templates::Templates;

/// What is kept from the last snapshot of a structure.
#[derive(Default)]
enum Last {
    #[default]
    New,
    Met,
    /// Its words and, if few leaves were new, its dictionaries as templates.
    Apart(Box<Diff>, Option<Templates>),
}

/// Denominator of the share of new leaves up to which a dictionary is copied: [`COPIED`] / `OF`.
const OF: usize = 8;
/// Numerator of that share; with more new leaves, the dictionary is built. Measured on CPython 3.11, copied against built: with 11
/// leaves of which 7 are new 552 and 607 ns, all new 629 and 612 ns; with 41 of which 30 are new 1.35 and 1.65 µs, all new 1.64
/// and 1.63 µs; with 201 of which 150 are new 5.4 and 7.5 µs, all new 7.3 and 7.6 µs.
const COPIED: usize = 7;

/// A structure that was met lately.
#[derive(Default)]
struct Met {
    structure: Structure,
    last: Last,
}

/// Where the newest snapshot was found, and how a reader can tell that it still is the newest.
pub struct Found<'a> {
    pub meta: &'a SlotMeta,
    pub segment: SegmentKey,
    pub settled: Settled,
}

/// The newest snapshot, and what is kept to decode the next one.
#[derive(Default)]
pub struct Decoder {
    buffer: Snapshot,
    /// The index of the buffer's structure, if it holds a snapshot that can be decoded: an error must not leave new words with an
    /// old version.
    content: Option<usize>,
    met: Recent<Met>,
}

impl Decoder {
    /// Calls `take` with the newest snapshot's place and a new dictionary of it, or `None` if the caller holds that snapshot
    /// already.
    pub fn read(
        &mut self,
        py: Python<'_>,
        reader: &GilCell<Reader>,
        held: Option<Stamp>,
        take: impl FnOnce(Option<Py<PyDict>>, &Found<'_>),
    ) -> PyResult<()> {
        let make = |decoder: &mut Self, index| match held == Some(decoder.buffer.meta.stamp) {
            true => Ok(None),
            false => Ok(Some(decoder.dictionary(py, index)?.unbind())),
        };
        self.newest(py, reader, make, take)
    }

    /// Builds a part of the newest snapshot with `make`, and calls `take` with it.
    pub fn part<'py, T>(
        &mut self,
        py: Python<'py>,
        reader: &GilCell<Reader>,
        make: impl FnOnce(&mut Builder<'_, 'py>, &Snapshot) -> PyResult<T>,
        take: impl FnOnce(T, &Found<'_>),
    ) -> PyResult<()> {
        let make = |decoder: &mut Self, index| {
            let Self { buffer, met, .. } = decoder;
            let builder = Builder::new(py, &met.at(index).structure, buffer);
            let made = builder.and_then(|mut builder| make(&mut builder, buffer));
            if made.is_err() {
                decoder.disown(index);
            }
            made
        };
        self.newest(py, reader, make, take)
    }

    /// Copies the newest snapshot, finds its structure, and calls `take` with the result of `make`.
    fn newest<T>(
        &mut self,
        py: Python<'_>,
        reader: &GilCell<Reader>,
        make: impl FnOnce(&mut Self, usize) -> PyResult<T>,
        take: impl FnOnce(T, &Found<'_>),
    ) -> PyResult<()> {
        let before = self.content.take();
        let read = reader.with(py, |reader| {
            let copied = reader.read_into(&mut self.buffer)?;
            Ok((copied, reader.settled(self.buffer.meta.position)))
        });
        let (copied, settled) = read.map_err(|error| raise(py, error))?;
        let index = match before {
            Some(index) if !copied || self.buffer.shape_kept => index,
            _ => self.recognise(py)?,
        };
        let made = make(self, index)?;
        take(made, &Found { meta: &self.buffer.meta, segment: self.buffer.segment, settled });
        self.content = Some(index);
        Ok(())
    }

    fn dictionary<'py>(&mut self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyDict>> {
        let Met { structure, last } = self.met.at(index);
        if matches!(last, Last::Met) && !structure.is_small() {
            structure.intern_keys(py)?;
        }
        let builder = Builder::new(py, structure, &self.buffer);
        let made = builder.and_then(|mut builder| Ok(last.dictionary(&mut builder)?));
        if made.is_err() {
            self.disown(index);
        }
        made
    }

    /// After an error: the shape may have been damaged when it was first read. The next read takes it from the slot again.
    #[cold]
    fn disown(&mut self, index: usize) {
        self.met.at(index).last = Last::New;
        self.met.name(index, None);
        self.buffer.forget();
    }

    /// Finds the structure of the snapshot that was just copied.
    #[inline(always)] // for the same reason as `Watch::end`
    fn recognise(&mut self, py: Python<'_>) -> PyResult<usize> {
        let (index, Snapshot { meta, shape, .. }) = (self.met.find(&self.buffer), &self.buffer);
        let index = match index {
            Some(index) => index,
            None => {
                let index = self.met.make_room();
                let met = self.met.at(index);
                met.last = Last::New;
                met.structure.renew(py, shape, meta.shape_len)?;
                self.met.name(index, Some(&self.buffer));
                index
            }
        };
        // The values follow the shape: with another length, they would be elsewhere.
        if self.met.at(index).structure.shape.bytes.len() != meta.shape_len {
            self.buffer.forget();
            return Err(corrupt(py, &"a shape has another length than before"));
        }
        Ok(index)
    }
}

impl Last {
    /// A dictionary of the next snapshot. After an error, `self` must not be used.
    fn dictionary<'py>(&mut self, builder: &mut Builder<'_, 'py>) -> Made<Bound<'py, PyDict>> {
        match self {
            Self::New => *self = Self::Met,
            Self::Met if builder.structure.is_small() => {}
            Self::Met => *self = Self::Apart(Box::new(Diff::of(&builder.view)), None),
            Self::Apart(diff, templates) => {
                if let Some(templates) = templates
                    && diff.is_plain()
                {
                    templates.exchange_numbers(builder, diff)?;
                    return templates.copy(builder, diff);
                }
                let few = diff.advance(&builder.view, diff.leaves.len() * COPIED / OF) || diff.is_plain();
                match templates {
                    Some(templates) if few => {
                        templates.exchange(builder, diff)?;
                        return templates.copy(builder, diff);
                    }
                    None if few => {
                        *templates = Templates::of(builder, diff)?;
                        if let Some(templates) = templates {
                            return templates.copy(builder, diff);
                        }
                    }
                    _ => *templates = None,
                }
            }
        }
        builder.root()
    }
}
