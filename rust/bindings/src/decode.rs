//! The newest snapshot of a channel as dictionaries.
//!
//! What is kept of a structure goes by how much changes from one snapshot to the next:
//!
//! ```text
//!             built               built             few leaves new:
//!                                                   templates made, copied
//!   New ────────────▶ Met ────────────▶ Words ────────────────────▶ Templates
//!                      ▲ ╎ small          ▲ ╷ most new: built       │ ▲ ╷ few new:
//!                      └╌┘                └─┘                       │ └─┘ exchanged, copied
//!                                         ▲                         │
//!                                         └─────────────────────────┘ most new: built
//! ```

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::error::Error;
use traincast_core::reader::{Reader, Refresh, SlotBuffer, SlotMeta};

use crate::build::{Builder, Structure};
use crate::errors::{corrupt, raise};
use crate::ffi::GilCell;
use crate::templates::{Changed, Plan, Seen, Templates};

/// How many structures are kept: enough for those that take turns, few enough to forget ones that never return.
const KEPT: usize = 8;

/// Generation key and shape id. Ids are never 0.
type Name = (u64, u64);

const NOBODYS: Name = (0, 0);

/// What is kept of the last snapshot of a structure.
enum Last {
    New,
    Met,
    Words(Plan, Seen),
    Templates(Plan, Seen, Templates),
}

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

/// The newest snapshot, and what is kept for decoding the next one.
pub struct Decoder {
    buffer: SlotBuffer,
    content: Content,
    met: Vec<Met>,
    /// The index of the one to forget next, once there are `KEPT`.
    oldest: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { buffer: SlotBuffer::default(), content: Content::Spoilt, met: Vec::new(), oldest: 0 }
    }
}

impl Decoder {
    /// Hands a dictionary of the newest snapshot, which nobody else has, to `take`, unless `held` (generation key and version)
    /// is the newest.
    pub fn read(
        &mut self,
        py: Python<'_>,
        reader: &GilCell<Reader>,
        held: Option<(u64, u64)>,
        take: impl FnOnce(Py<PyDict>, &SlotMeta),
    ) -> PyResult<()> {
        let before = std::mem::replace(&mut self.content, Content::Spoilt);
        let copied = reader.with(py, |reader| self.copy_newest(reader, before));
        let content = match copied.map_err(|error| raise(py, error))? {
            true => self.recognise(py)?,
            false => before,
        };
        let Content::Snapshot(index) = content else {
            return Err(corrupt(py, "the channel has no snapshot"));
        };
        let meta = &self.buffer.meta;
        if held != Some((meta.generation_key, meta.version)) {
            take(self.dictionary(py, index)?.unbind(), &self.buffer.meta);
        }
        self.content = content;
        Ok(())
    }

    fn dictionary<'py>(&mut self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyDict>> {
        let Met { name, structure, last } = &mut self.met[index];
        if matches!(last, Last::Met) && !structure.is_small() {
            structure.intern_keys(py)?;
        }
        let mut builder = Builder::new(py, structure, &self.buffer.values, &self.buffer.blobs);
        match last.dictionary(&mut builder) {
            Ok(dict) => Ok(dict),
            Err(error) => {
                // Its shape may have been spoiled when it was met: the next read takes it from the slot again.
                (*name, *last) = (NOBODYS, Last::New);
                Err(error)
            }
        }
    }

    /// Copies the newest snapshot into the buffer, unless it is there: whether it did.
    fn copy_newest(&mut self, reader: &mut Reader, before: Content) -> Result<bool, Error> {
        let known = match before {
            Content::Snapshot(index) => self.met[index].name,
            Content::Spoilt => NOBODYS,
        };
        let known_shape = if known.0 == reader.generation_key() { known.1 } else { 0 };
        if reader.refresh(known_shape, &mut self.buffer)? == Refresh::Snapshot {
            return Ok(true);
        }
        let meta = &self.buffer.meta;
        let same = (meta.generation_key, meta.version) == (reader.generation_key(), reader.version());
        if same && matches!(before, Content::Snapshot(_)) {
            return Ok(false);
        }
        // Another decoder of this channel has seen it, this one has not.
        reader.forget();
        Ok(reader.refresh(0, &mut self.buffer)? == Refresh::Snapshot)
    }

    /// Finds the structure of the snapshot that was just copied.
    fn recognise(&mut self, py: Python<'_>) -> PyResult<Content> {
        let meta = &self.buffer.meta;
        let name = (meta.generation_key, meta.shape_id);
        let index = match self.met.iter().position(|met| met.name == name) {
            Some(index) => index,
            None => self.meet(py, name)?,
        };
        // The values lie behind the shape: another length would give other words as values.
        if self.met[index].structure.shape.bytes.len() != self.buffer.meta.shape_len {
            return Err(corrupt(py, "a shape has another length than before"));
        }
        Ok(Content::Snapshot(index))
    }

    #[cold]
    fn meet(&mut self, py: Python<'_>, name: Name) -> PyResult<usize> {
        let index = if self.met.len() < KEPT {
            self.met.push(Met { name: NOBODYS, structure: Structure::default(), last: Last::New });
            self.met.len() - 1
        } else {
            let next = (self.oldest + 1) % KEPT;
            std::mem::replace(&mut self.oldest, next)
        };
        let met = &mut self.met[index];
        (met.name, met.last) = (NOBODYS, Last::New);
        met.structure.renew(py, &self.buffer.shape, self.buffer.meta.shape_len)?;
        met.name = name;
        Ok(index)
    }
}

impl Last {
    /// A dictionary of the next snapshot. After an error, what is kept is of no use.
    fn dictionary<'py>(&mut self, builder: &mut Builder<'_, 'py>) -> PyResult<Bound<'py, PyDict>> {
        builder.check()?;
        let mut changed = Changed::new();
        match self {
            Self::Words(plan, seen) => {
                let few = seen.compare(builder, plan, &mut changed);
                seen.renew(builder, plan);
                if few && let Some(templates) = Templates::of(builder, plan)? {
                    let dict = templates.copy(builder, plan)?;
                    let (plan, seen) = (std::mem::take(plan), std::mem::take(seen));
                    *self = Self::Templates(plan, seen, templates);
                    return Ok(dict);
                }
            }
            Self::Templates(plan, seen, templates) => {
                if seen.compare(builder, plan, &mut changed) {
                    templates.exchange(builder, plan, &changed)?;
                    seen.renew(builder, plan);
                    return templates.copy(builder, plan);
                }
                seen.renew(builder, plan);
                *self = Self::Words(std::mem::take(plan), std::mem::take(seen));
            }
            Self::New => *self = Self::Met,
            Self::Met if builder.structure.is_small() => {}
            Self::Met => {
                let plan = Plan::of(&builder.structure.shape);
                let seen = Seen::of(builder, &plan);
                *self = Self::Words(plan, seen);
            }
        }
        builder.root()
    }
}
