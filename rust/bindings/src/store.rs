//! The shared part of a writer: each publish encodes on its own, and stores its snapshot here.
//!
//! Encoding may run Python code, which may publish: on this thread, or on another one to which the interpreter switches. So a
//! publish takes the [`Encoding`](crate::encoding::Encoding) out of the writer while it uses it, and makes a new one if it finds
//! none. Only the [`Store`] is shared. Nothing in here runs Python code, so the store is borrowed only while a snapshot is
//! stored, and versions follow that order.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use traincast_core::directory::ChannelName;
use traincast_core::error::Error;
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::cache::NumberedShape;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::history::{History, Unusable};
use traincast_core::snapshot::lookup::{KeyPath, Lost};
use traincast_core::snapshot::merge::{EMPTY, Misplaced, entries_of_root, merge, places};
use traincast_core::snapshot::shape::{MalformedShape, Shape};
use traincast_core::snapshot::wire::Message;
use traincast_core::writer::{Delivery, Writer};

use crate::encoding::{Beside, Encoding, Expected, Numbers};
use crate::errors::{corrupt, exception, malformed, raise};
use crate::paths::{shown, why_lost};

/// Why nothing was stored. Turned into an exception once the store is no longer borrowed.
pub enum NotStored {
    Refused(Error),
    /// The newest snapshot cannot be read from its slot.
    Corrupt(Unusable),
    /// What was encoded is not a snapshot.
    Malformed(MalformedShape),
    /// This required key is missing.
    Lacks(String),
    /// This path leads nowhere in the newest snapshot, which has this shape.
    Lost(Arc<NumberedShape>, KeyPath, Lost),
    /// The second path equals the first one, or continues it.
    Within(KeyPath, KeyPath),
}

impl NotStored {
    #[cold]
    pub fn exception(self, py: Python<'_>, channel: &ChannelName) -> PyErr {
        match self {
            Self::Refused(error) => raise(py, error),
            Self::Corrupt(error) => corrupt(py, &error),
            Self::Malformed(error) => malformed(py, &error),
            Self::Lacks(key) => {
                let message = format!(
                    "info lacks the key {key:?}, which {channel} guarantees to its readers; add it, or open the writer \
                     with required=() to guarantee nothing"
                );
                exception(py, "MissingKeyError", &message)
            }
            Self::Lost(numbered, path, lost) => match why_lost(py, &numbered.shape, &path, lost) {
                Ok(why) => {
                    let message = format!(
                        "nothing can be put under {} in the newest snapshot of {channel}: {why} Only the last key of a path \
                         may be new: put what is above it there first",
                        shown(path.keys())
                    );
                    exception(py, "MissingKeyError", &message)
                }
                Err(error) => error,
            },
            Self::Within(outer, inner) => {
                let (outer, inner) = (shown(outer.keys()), shown(inner.keys()));
                PyValueError::new_err(format!(
                    "{outer} and {inner} would replace the same value; give one of them"
                ))
            }
        }
    }
}

impl From<Error> for NotStored {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<MalformedShape> for NotStored {
    fn from(error: MalformedShape) -> Self {
        Self::Malformed(error)
    }
}

/// The part of a writer that all publishes share.
pub struct Store {
    pub writer: Writer,
    /// What it keeps with a shape holds only exact strings and ints, so dropping it runs no Python code.
    pub history: History<Beside>,
}

impl Store {
    /// Publishes what was encoded. Its numbers are above `resume` (version and epoch), if given.
    pub fn publish<B: AsRef<[u8]>>(
        &mut self,
        encoder: &mut Encoder<B>,
        expected: &mut Option<Expected>,
        resume: Option<(u64, u64)>,
    ) -> Result<(), NotStored> {
        self.history.publish(encoder, expected, |payload| {
            match resume {
                None => self.writer.publish(payload)?,
                Some((version, epoch)) => {
                    self.writer.publish_resumed(payload, Version(version), Epoch(epoch))?
                }
            };
            Ok(())
        })
    }

    /// Publishes the last snapshot with other numbers, if it has the expected shape. Returns whether it has.
    pub fn publish_numbers(&mut self, encoding: &mut Encoding, numbers: &Numbers) -> Result<bool, NotStored> {
        let Encoding { encoder, expected, .. } = encoding;
        let Some(numbered) = expected.as_ref().map(|expected| &expected.numbered) else { return Ok(false) };
        let Some(values) = self.history.last_values(numbered.id) else { return Ok(false) };
        let words = encoder.repeat(numbered, values);
        for &(at, word) in numbers {
            words[at as usize] = word;
        }
        self.publish(encoder, expected, None).map(|()| true)
    }

    /// Publishes the newest snapshot with some values changed or added: by name in the root, or at `paths`. Afterwards,
    /// `encoding` expects the new shape.
    pub fn publish_update(
        &mut self,
        encoding: &mut Encoding,
        changes: &Encoding,
        paths: Option<&[KeyPath]>,
        required: &[String],
    ) -> Result<(), NotStored> {
        let Some(Expected { numbered: changed, .. }) = &changes.expected else { return Ok(()) };
        self.writer.check_open()?;
        let mut newest = Snapshot::default();
        let numbered = match self.writer.latest(&mut newest)? {
            true => self.history.shape_of(&newest).map_err(NotStored::Corrupt)?,
            false => Arc::new(NumberedShape::unnumbered(Shape::parse(EMPTY)?)),
        };
        let targets = match paths {
            None => entries_of_root(&numbered.shape, &changed.shape),
            Some(paths) => places(&numbered.shape, paths).map_err(|misplaced| match misplaced {
                Misplaced::Lost(index, lost) => {
                    NotStored::Lost(Arc::clone(&numbered), paths[index].clone(), lost)
                }
                Misplaced::Within(outer, inner) => {
                    NotStored::Within(paths[outer].clone(), paths[inner].clone())
                }
            })?,
        };
        let adds = |key: &str| targets.iter().any(|target| target.adds_to_root(key));
        if let Some(key) = required.iter().find(|key| !numbered.shape.has_key(key) && !adds(key)) {
            return Err(NotStored::Lacks(key.clone()));
        }
        let mut encoder = merge((&numbered, &newest), (changed, &changes.encoder), &targets);
        self.publish(&mut encoder, &mut encoding.expected, None)
    }

    /// Publishes a snapshot that arrived as a message. Returns `false` if the channel has it already. `published_ns`: when it was
    /// published, on this node's clock, if known.
    pub fn publish_message(
        &mut self,
        message: &Message,
        published_ns: Option<u64>,
        required: &[String],
    ) -> Result<bool, NotStored> {
        self.writer.check_open()?;
        if let Some(key) = required.iter().find(|key| !message.shape.has_key(key)) {
            return Err(NotStored::Lacks(key.clone()));
        }
        let published = matches!(self.writer.publish_message(message, published_ns)?, Delivery::Published(_));
        if published {
            self.history.forget_last();
        }
        Ok(published)
    }
}
