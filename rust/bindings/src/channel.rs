//! What all readers of one channel in this process share: one mapping, one decoding of each snapshot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};
use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::Error;
use traincast_core::reader::{HeadRef, Reader, Refresh, SlotBuffer, SlotMeta, Waiter};
use traincast_core::snapshot::shape::Shape;
use traincast_core::snapshot::to_bytes;

use crate::decode::Templates;
use crate::errors::{corrupt, exception, raise};
use crate::ffi::GilCell;

/// Shapes whose templates are kept: enough for structures that take turns, few enough to forget ones that never return.
const KEPT_TEMPLATES: usize = 8;

/// One channel in this process.
pub struct Channel {
    /// No Python code runs while it is borrowed.
    reader: GilCell<Reader>,
    /// Taken out while Python code may run: whoever comes in meanwhile, on this thread or another, uses one of their own.
    decoder: GilCell<Option<Box<Decoder>>>,
}

/// The newest snapshot in decoded form.
#[derive(Default)]
struct Decoder {
    buffer: SlotBuffer,
    /// By generation and shape id, the newest last but for `current`.
    templates: Vec<((u64, u64), Templates)>,
    /// The index of those that hold the snapshot of `meta`.
    current: usize,
    meta: Option<SlotMeta>,
}

/// A `policy_id` argument: any int, so that one that is too large gets the same error as one that is a bit too large.
#[derive(Clone, Copy)]
pub struct PolicyId(pub i128);

impl<'a, 'py> FromPyObject<'a, 'py> for PolicyId {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        object.cast::<PyInt>()?;
        Ok(Self(object.extract().unwrap_or(i128::MAX)))
    }
}

/// The channel of a name and a policy as Python gives them.
pub fn channel_name(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    policy_id: PolicyId,
) -> PyResult<ChannelName> {
    let Ok(name) = name.to_str() else {
        let message = format!("the channel name {} is not allowed: it holds a lone surrogate", name.repr()?);
        return Err(exception(py, "InvalidNameError", &message));
    };
    ChannelName::new(name, policy_id.0).map_err(|error| raise(py, &error))
}

/// A new dictionary.
pub struct Handed {
    pub dict: Py<PyDict>,
    pub meta: SlotMeta,
}

type Registry = BTreeMap<(PathBuf, ChannelName), Weak<Channel>>;

static CHANNELS: GilCell<Option<Registry>> = GilCell::new(None);

impl Channel {
    /// The channel of that name, waiting up to `timeout` for it to appear.
    pub fn attach(py: Python<'_>, name: ChannelName, timeout: Duration) -> PyResult<Arc<Self>> {
        let directory = Directory::from_env().map_err(|error| raise(py, &error))?;
        let deadline = Instant::now().checked_add(timeout);
        let mut pause = Duration::from_millis(1);
        let reader = loop {
            match Reader::attach(&directory, name.clone(), Duration::ZERO) {
                Ok(reader) => break reader,
                Err(Error::ChannelNotFound { .. }) if deadline.is_none_or(|at| Instant::now() < at) => {}
                Err(error) => return Err(raise(py, &error)),
            }
            let left = deadline.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            py.detach(|| std::thread::sleep(pause.min(left)));
            py.check_signals()?;
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        let key = (directory.path().to_owned(), name);
        let mut registry = CHANNELS.get(py).borrow_mut();
        let registry = registry.get_or_insert_default();
        if let Some(channel) = registry.get(&key).and_then(Weak::upgrade) {
            // What was just found is the channel's present file; the others' may be that of an earlier life.
            let mut shared = channel.reader.get(py).borrow_mut();
            if shared.generation_key() != reader.generation_key() {
                *shared = reader;
            }
            drop(shared);
            return Ok(channel);
        }
        registry.retain(|_, channel| channel.strong_count() > 0);
        let channel = Arc::new(Self { reader: GilCell::new(reader), decoder: GilCell::new(None) });
        registry.insert(key, Arc::downgrade(&channel));
        Ok(channel)
    }

    /// A dictionary of the newest snapshot, `None` if `held` (generation key and version) is the newest.
    pub fn read(&self, py: Python<'_>, held: Option<(u64, u64)>) -> PyResult<Option<Handed>> {
        let mut decoder = self.decoder.get(py).borrow_mut().take().unwrap_or_default();
        let handed = decoder.read(py, &self.reader, held);
        let other = self.decoder.get(py).borrow_mut().replace(decoder);
        drop(other); // out of the borrow: it may run Python code
        handed
    }

    /// When the newest snapshot was published.
    pub fn published_ns(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.read(py, None)?.map_or(0, |handed| handed.meta.published_ns))
    }

    /// Whether there is a newer snapshot than `held`.
    pub fn newer(&self, py: Python<'_>, held: (u64, u64)) -> bool {
        let mut reader = self.reader.get(py).borrow_mut();
        reader.look();
        (reader.generation_key(), reader.head() >> 2) != held
    }

    /// As `newer`, but looks the name up first: somebody may have replaced the file without a mark.
    pub fn moved(&self, py: Python<'_>, held: (u64, u64)) -> bool {
        self.reader.get(py).borrow_mut().look_up();
        self.newer(py, held)
    }

    /// Whether the writer closed the channel and none has opened it since.
    pub fn closed(&self, py: Python<'_>) -> bool {
        let mut reader = self.reader.get(py).borrow_mut();
        reader.look();
        reader.closed()
    }

    /// Whether a live process owns the channel.
    pub fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        let mut reader = self.reader.get(py).borrow_mut();
        reader.look();
        reader.writer_alive().map_err(|error| raise(py, &error))
    }

    pub fn waiter(&self, py: Python<'_>) -> Waiter {
        self.reader.get(py).borrow().waiter()
    }

    pub fn head(&self, py: Python<'_>) -> HeadRef {
        self.reader.get(py).borrow().head_cell()
    }
}

impl Decoder {
    fn read(
        &mut self,
        py: Python<'_>,
        reader: &GilCell<Reader>,
        held: Option<(u64, u64)>,
    ) -> PyResult<Option<Handed>> {
        self.refresh(py, reader)?;
        let (Some(meta), Some((_, templates))) = (self.meta, self.templates.get(self.current)) else {
            return Err(corrupt(py, "the channel has no snapshot"));
        };
        if held == Some((meta.generation_key, meta.version)) {
            return Ok(None);
        }
        let dict = templates.hand_out(py)?.unbind();
        Ok(Some(Handed { dict, meta }))
    }

    /// Takes over the newest snapshot, if it is a new one.
    fn refresh(&mut self, py: Python<'_>, reader: &GilCell<Reader>) -> PyResult<()> {
        let Some(meta) = self.copy(&mut reader.get(py).borrow_mut()).map_err(|error| raise(py, &error))?
        else {
            return Ok(());
        };
        // Until the templates hold the new snapshot there is none: an error must not leave an old one under a new version.
        self.meta = None;
        let key = (meta.generation_key, meta.shape_id);
        let known = |(known, _): &((u64, u64), Templates)| *known == key;
        if self.templates.get(self.current).is_none_or(|current| !known(current)) {
            self.current = match self.templates.iter().position(known) {
                Some(at) => at,
                None => {
                    let bytes = to_bytes(&self.buffer.shape, meta.shape_len);
                    let shape = Shape::parse(&bytes).map_err(|error| corrupt(py, &error.to_string()))?;
                    let templates = Templates::new(py, Arc::new(shape))?;
                    if self.templates.len() == KEPT_TEMPLATES {
                        self.templates.remove(0);
                    }
                    self.templates.push((key, templates));
                    self.templates.len() - 1
                }
            };
        }
        let templates = &mut self.templates[self.current].1;
        // The values lie behind the shape: another length would give other words as values.
        if templates.shape.bytes.len() != meta.shape_len {
            return Err(corrupt(py, "a shape has another length than before"));
        }
        if let Err(error) = templates.update(py, &self.buffer.values, &self.buffer.blobs) {
            self.templates.remove(self.current); // half old, half new
            return Err(error);
        }
        self.meta = Some(meta);
        Ok(())
    }

    /// Copies the newest snapshot into the buffer if it is not the one of `meta`.
    fn copy(&mut self, reader: &mut Reader) -> Result<Option<SlotMeta>, Error> {
        let current = self.templates.get(self.current).map(|(key, _)| *key);
        let known = current.filter(|(generation, _)| *generation == reader.generation_key());
        let known = known.map_or(0, |(_, shape_id)| shape_id);
        if let Refresh::Snapshot(meta) = reader.refresh(known, &mut self.buffer)? {
            return Ok(Some(meta));
        }
        let newest = (reader.generation_key(), reader.version());
        if self.meta.is_some_and(|meta| (meta.generation_key, meta.version) == newest) {
            return Ok(None);
        }
        // Another decoder of this channel has seen it, this one has not.
        reader.forget();
        match reader.refresh(0, &mut self.buffer)? {
            Refresh::Snapshot(meta) => Ok(Some(meta)),
            Refresh::Unchanged => Ok(None),
        }
    }
}
