//! The newest snapshot of a channel as dictionaries.
//!
//! What is kept of a structure goes by how much changes from one snapshot to the next:
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

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::numbering::{ShapeKey, Stamp};
use traincast_core::reader::{Reader, Settled};
use traincast_core::snapshot::diff::Diff;
use traincast_core::snapshot::{SegmentKey, SlotMeta, Snapshot};

use crate::build::{Builder, Structure};
use crate::errors::{corrupt, raise};
use crate::ffi::GilCell;
use crate::templates::Templates;

/// How many structures are kept: enough for those that take turns, few enough to forget ones that never return.
const KEPT: usize = 8;

/// Which shape of which file; `None`: one that is not met again.
type Name = Option<(SegmentKey, ShapeKey)>;

/// What is kept of the last snapshot of a structure.
enum Last {
    New,
    Met,
    /// Its words, and where few leaves were new, its dictionaries as templates.
    Apart(Box<Diff>, Option<Templates>),
}

/// Out of so many leaves ..
const OF: usize = 8;
/// .. so many may be new for a copy; with more, the dictionary is built anew. Measured on CPython 3.11, copied against built: with
/// 11 leaves of which 7 are new 552 and 607 ns, all 629 and 612; with 41 of which 30 are new 1.35 and 1.65 µs, all 1.64 and 1.63;
/// with 201 of which 150 are new 5.4 and 7.5 µs, all 7.3 and 7.6.
const COPIED: usize = 7;

/// A structure that was met lately.
struct Met {
    name: Name,
    structure: Structure,
    last: Last,
}

/// What the buffer holds.
#[derive(Clone, Copy)]
enum Content {
    /// Nothing, or something that cannot be decoded: an error must not leave new words under an old version.
    Spoilt,
    /// A snapshot, and the index of its structure.
    Snapshot(usize),
}

/// Where the newest snapshot was found, and what a reader may go by from then on.
pub struct Found<'a> {
    pub meta: &'a SlotMeta,
    pub segment: SegmentKey,
    pub settled: Settled,
}

/// The newest snapshot, and what is kept for decoding the next one.
pub struct Decoder {
    buffer: Snapshot,
    content: Content,
    met: Vec<Met>,
    /// The index of the one to forget next, once there are `KEPT`.
    oldest: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { buffer: Snapshot::default(), content: Content::Spoilt, met: Vec::new(), oldest: 0 }
    }
}

impl Decoder {
    /// Hands what it found to `take`: with a dictionary of the newest snapshot, which nobody else has, unless `held` is the
    /// newest.
    pub fn read(
        &mut self,
        py: Python<'_>,
        reader: &GilCell<Reader>,
        held: Option<Stamp>,
        take: impl FnOnce(Option<Py<PyDict>>, &Found<'_>),
    ) -> PyResult<()> {
        let before = std::mem::replace(&mut self.content, Content::Spoilt);
        let (copied, settled) = reader.with(py, |reader| {
            let copied = reader.read_into(&mut self.buffer);
            (copied, reader.settled(&self.buffer))
        });
        let content = match (copied.map_err(|error| raise(py, error))?, before) {
            (false, Content::Snapshot(_)) => before,
            _ => self.recognise(py)?,
        };
        let Content::Snapshot(index) = content else {
            return Err(corrupt(py, &"the channel has no snapshot"));
        };
        let dict = match held == Some(self.buffer.meta.stamp) {
            true => None,
            false => Some(self.dictionary(py, index)?.unbind()),
        };
        take(dict, &Found { meta: &self.buffer.meta, segment: self.buffer.segment, settled });
        self.content = content;
        Ok(())
    }

    fn dictionary<'py>(&mut self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyDict>> {
        let Met { name, structure, last } = &mut self.met[index];
        if matches!(last, Last::Met) && !structure.is_small() {
            structure.intern_keys(py)?;
        }
        let made =
            Builder::new(py, structure, &self.buffer).and_then(|mut builder| last.dictionary(&mut builder));
        if made.is_err() {
            // Its shape may have been spoiled when it was met: the next read takes it from the slot again.
            (*name, *last) = (None, Last::New);
            self.buffer.forget();
        }
        made
    }

    /// Finds the structure of the snapshot that was just copied.
    fn recognise(&mut self, py: Python<'_>) -> PyResult<Content> {
        let name = Some((self.buffer.segment, self.buffer.meta.shape));
        let index = match self.met.iter().position(|met| met.name == name) {
            Some(index) => index,
            None => self.meet(py, name)?,
        };
        // The values lie behind the shape: another length would give other words as values.
        if self.met[index].structure.shape.bytes.len() != self.buffer.meta.shape_len {
            self.buffer.forget();
            return Err(corrupt(py, &"a shape has another length than before"));
        }
        Ok(Content::Snapshot(index))
    }

    #[cold]
    fn meet(&mut self, py: Python<'_>, name: Name) -> PyResult<usize> {
        let index = if self.met.len() < KEPT {
            self.met.push(Met { name: None, structure: Structure::default(), last: Last::New });
            self.met.len() - 1
        } else {
            let next = (self.oldest + 1) % KEPT;
            std::mem::replace(&mut self.oldest, next)
        };
        let met = &mut self.met[index];
        (met.name, met.last) = (None, Last::New);
        met.structure.renew(py, &self.buffer.shape, self.buffer.meta.shape_len)?;
        met.name = name;
        Ok(index)
    }
}

impl Last {
    /// A dictionary of the next snapshot. After an error, what is kept is of no use.
    fn dictionary<'py>(&mut self, builder: &mut Builder<'_, 'py>) -> PyResult<Bound<'py, PyDict>> {
        match self {
            Self::New => *self = Self::Met,
            Self::Met if builder.structure.is_small() => {}
            Self::Met => *self = Self::Apart(Box::new(Diff::of(&builder.view)), None),
            Self::Apart(diff, templates) => {
                let few = diff.advance(&builder.view, diff.leaves.len() * COPIED / OF);
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
